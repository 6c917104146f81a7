# A toolchain: from amd64 to arm64 with Debian's gcc-aarch64-linux-gnu; what was built runs in
# qemu-user. Libraries for arm64 are in the folder QUERN_ARM64_ROOT (tests/arm64/setup.sh unpacks
# Debian's packages there; the machine's own packages stay as they are).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu
  -E LD_LIBRARY_PATH=${QUERN_ARM64_ROOT}/usr/lib/aarch64-linux-gnu:${QUERN_ARM64_ROOT}/lib/aarch64-linux-gnu)

list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES QUERN_ARM64_ROOT)
set(CMAKE_FIND_ROOT_PATH ${QUERN_ARM64_ROOT})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
# Debian's headers of one architecture lie apart from those of all.
set(CMAKE_C_FLAGS_INIT
  "-isystem ${QUERN_ARM64_ROOT}/usr/include/aarch64-linux-gnu -isystem ${QUERN_ARM64_ROOT}/usr/include")
# What those libraries need themselves.
set(CMAKE_EXE_LINKER_FLAGS_INIT "-Wl,-rpath-link,${QUERN_ARM64_ROOT}/usr/lib/aarch64-linux-gnu \
-Wl,-rpath-link,${QUERN_ARM64_ROOT}/lib/aarch64-linux-gnu")
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${QUERN_ARM64_ROOT})
set(ENV{PKG_CONFIG_LIBDIR} ${QUERN_ARM64_ROOT}/usr/lib/aarch64-linux-gnu/pkgconfig)
