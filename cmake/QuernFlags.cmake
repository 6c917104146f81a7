# Assertions guard against our own bugs and stay on in every build.
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELWITHDEBINFO "${CMAKE_C_FLAGS_RELWITHDEBINFO}")
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELEASE "${CMAKE_C_FLAGS_RELEASE}")

# One INTERFACE target carries warnings, sanitizers and definitions to everything we compile.
add_library(quern_flags INTERFACE)
target_include_directories(quern_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(quern_flags INTERFACE
  _GNU_SOURCE _FILE_OFFSET_BITS=64 QUERN_VERSION="${PROJECT_VERSION}")
target_compile_options(quern_flags INTERFACE
  -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla
  -Wformat=2 -Wundef -fno-common -fstack-protector-strong)
# Same input, same bytes: no contraction of a*b+c, whatever the target can do.
target_compile_options(quern_flags INTERFACE -ffp-contract=off)
# Nor does it matter where quern was built.
target_compile_options(quern_flags INTERFACE
  -ffile-prefix-map=${PROJECT_SOURCE_DIR}/= -ffile-prefix-map=${PROJECT_BINARY_DIR}/=build/)
if(QUERN_WERROR)
  target_compile_options(quern_flags INTERFACE -Werror)
endif()
if(QUERN_CRASH_TESTS)
  target_compile_definitions(quern_flags INTERFACE QUERN_CRASH_TESTS)
endif()
if(QUERN_SANITIZE)
  target_compile_options(quern_flags INTERFACE
    -fsanitize=${QUERN_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(quern_flags INTERFACE -fsanitize=${QUERN_SANITIZE})
endif()
if(NOT QUERN_BUILD_TESTS)
  # What is packed has the same bytes wherever it is built. A build id would be made of the debugging
  # information too, which tells a compiler behind ccache from one without.
  target_link_options(quern_flags INTERFACE -Wl,--build-id=none)
endif()
if(QUERN_SANITIZE MATCHES "address")
  # Programs in the sandbox of workers cannot be traced, which is how LeakSanitizer looks for leaks.
  add_library(quern_leaks STATIC ${CMAKE_CURRENT_LIST_DIR}/leaks.c)
  target_link_libraries(quern_flags INTERFACE quern_leaks)
  target_link_options(quern_flags INTERFACE -Wl,-u,__lsan_is_turned_off)
endif()
