# Every outside library as an imported target. Debian 12 package names in the comments.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto>=3.0)  # libssl-dev
if(QUERN_BUILD_TESTS)
  pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka>=1.1.5) # libcmocka-dev
endif()
if(QUERN_ONLY_WORKERS)
  return()
endif()
pkg_check_modules(UV REQUIRED IMPORTED_TARGET libuv>=1.44)         # libuv1-dev
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1>=0.2.5)   # libyaml-dev
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3>=3.38)   # libsqlite3-dev
pkg_check_modules(GIT2 REQUIRED IMPORTED_TARGET libgit2>=1.5)      # libgit2-dev
pkg_check_modules(ONIG REQUIRED IMPORTED_TARGET oniguruma>=6.9.8) # libonig-dev
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl>=7.88)     # libcurl4-openssl-dev
