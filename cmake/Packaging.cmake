# The Debian package of `./run package`: tools, pages and completions, with the dependencies that dpkg-shlibdeps finds.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_CONTACT "The fieldpipe authors <fieldpipe@example.invalid>")
set(CPACK_PACKAGE_VENDOR "fieldpipe")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "composable programs for data out of field devices")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"Small programs that read standard input, do one thing with it and write
standard output, so that the data path of a gateway is a shell pipeline: CAN
frames to FlexConnect messages and back, records to and from an MQTT broker,
Memfault chunks to the cloud, questions and updates to devices that speak SMP
(MCUmgr), and both sides of the application port of Bytebeam's uplink, with
nothing lost on the way.")
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "${CPACK_PACKAGE_CONTACT}")
set(CPACK_DEBIAN_PACKAGE_SECTION utils)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_STRIP_FILES ON)
# Folders are 0755 whatever the umask of who builds.
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_PRE_BUILD_SCRIPTS "${CMAKE_CURRENT_LIST_DIR}/DebianPolicy.cmake")
set(CPACK_FIELDPIPE_SOURCE_DIR "${PROJECT_SOURCE_DIR}")
include(CPack)
