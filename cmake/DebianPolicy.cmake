# Run by CPack over the staged files: what Debian's policy asks of a package and `cmake --install` has no use for.
file(GLOB_RECURSE pages "${CPACK_TEMPORARY_INSTALL_DIRECTORY}/usr/share/man/*.[1-9]")
foreach(page ${pages})
  execute_process(COMMAND gzip -9n "${page}" COMMAND_ERROR_IS_FATAL ANY)
endforeach()

set(doc "${CPACK_TEMPORARY_INSTALL_DIRECTORY}/usr/share/doc/fieldpipe")
file(MAKE_DIRECTORY "${doc}")
file(READ "${CPACK_FIELDPIPE_SOURCE_DIR}/LICENSE" license)
file(WRITE "${doc}/copyright" "${license}")
string(TIMESTAMP now "%a, %d %b %Y %H:%M:%S +0000" UTC)
file(WRITE "${doc}/changelog.Debian" "fieldpipe (${CPACK_PACKAGE_VERSION}-1) unstable; urgency=medium

  * Release ${CPACK_PACKAGE_VERSION}; see changelog.gz.

 -- ${CPACK_PACKAGE_CONTACT}  ${now}
")
file(COPY_FILE "${CPACK_FIELDPIPE_SOURCE_DIR}/CHANGELOG.md" "${doc}/changelog")
execute_process(COMMAND gzip -9n "${doc}/changelog" "${doc}/changelog.Debian" COMMAND_ERROR_IS_FATAL ANY)
# The package is ours and no upload to Debian, where the first one answers a request.
set(overrides "${CPACK_TEMPORARY_INSTALL_DIRECTORY}/usr/share/lintian/overrides")
file(WRITE "${overrides}/fieldpipe" "fieldpipe: initial-upload-closes-no-bugs *\n")
file(CHMOD_RECURSE "${doc}" "${overrides}/.." FILE_PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ
  DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
