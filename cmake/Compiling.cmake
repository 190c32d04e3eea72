# How every target is compiled: language, warnings, hardening and sanitizers, on one interface target.
add_library(fieldpipe_compiling INTERFACE)
target_compile_features(fieldpipe_compiling INTERFACE cxx_std_20)
target_include_directories(fieldpipe_compiling INTERFACE "${PROJECT_SOURCE_DIR}/lib")
target_compile_options(fieldpipe_compiling INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion
  $<$<BOOL:${FIELDPIPE_WERROR}>:-Werror>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # Warns of overlaps inside the operator+ of std::string that cannot be (GCC bug 105651).
  target_compile_options(fieldpipe_compiling INTERFACE -Wno-restrict)
endif()

if(FIELDPIPE_FUZZ)
  target_compile_options(fieldpipe_compiling INTERFACE -fsanitize=fuzzer-no-link)
endif()

set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
include(CheckPIESupported)
check_pie_supported(LANGUAGES CXX)

if(FIELDPIPE_SANITIZE)
  target_compile_options(fieldpipe_compiling INTERFACE
    -fsanitize=${FIELDPIPE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(fieldpipe_compiling INTERFACE -fsanitize=${FIELDPIPE_SANITIZE})
elseif(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  # What Debian's hardening=+all gives; _FORTIFY_SOURCE needs optimisation. A packager's own flags win.
  target_compile_options(fieldpipe_compiling INTERFACE
    -fstack-protector-strong -Wformat -Werror=format-security -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
  target_link_options(fieldpipe_compiling INTERFACE -Wl,-z,relro,-z,now)
endif()
