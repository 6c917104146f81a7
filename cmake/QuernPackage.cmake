# `cpack` in a release build makes quern_VERSION-1_ARCH.deb. The same tree gives the same bytes: times
# come from SOURCE_DATE_EPOCH, which is the last commit's unless it is set. cmake/debian/ has what is
# Debian's own; everything else comes by the install rules.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME quern)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "quern authors <quern@users.noreply.github.com>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "convert a matrix of models every night and publish them")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_SET_DESTDIR OFF)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "ca-certificates")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "git-lfs, openssh-client, python3, sqlite3")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"quern turns a YAML matrix of models, engines and quantizations into
converted, checked, documented model repositories, every night and
unattended. Each step is in an SQLite store before and after it happens;
workers run in a sandbox; what was done is not done again.
.
It converts safetensors to GGUF itself and drives vendor toolkits in
environments of their own.")

# The date in the changelog and of every file of the package.
if(DEFINED ENV{SOURCE_DATE_EPOCH})
  set(epoch $ENV{SOURCE_DATE_EPOCH})
else()
  execute_process(COMMAND git -C ${PROJECT_SOURCE_DIR} log -1 --format=%ct
    OUTPUT_VARIABLE epoch OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(NOT epoch MATCHES "^[0-9]+$") # a source archive, without git
  file(TIMESTAMP ${PROJECT_SOURCE_DIR}/CHANGELOG.md epoch "%s" UTC)
endif()
set(CPACK_QUERN_EPOCH ${epoch})
set(CPACK_PROJECT_CONFIG_FILE ${PROJECT_SOURCE_DIR}/cmake/QuernPackageConfig.cmake)
set(ENV{LC_ALL} C)
execute_process(COMMAND date -u -R -d @${epoch} OUTPUT_VARIABLE QUERN_PACKAGE_DATE
  OUTPUT_STRIP_TRAILING_WHITESPACE)

set(doc ${CMAKE_CURRENT_BINARY_DIR}/debian)
configure_file(${PROJECT_SOURCE_DIR}/cmake/debian/changelog.in ${doc}/changelog.Debian @ONLY)
function(install_gzipped source name destination)
  add_custom_command(OUTPUT ${doc}/${name}.gz
    COMMAND gzip -9nc ${source} > ${doc}/${name}.gz DEPENDS ${source} VERBATIM)
  string(MAKE_C_IDENTIFIER gzip_${name} target)
  add_custom_target(${target} ALL DEPENDS ${doc}/${name}.gz)
  install(FILES ${doc}/${name}.gz DESTINATION ${destination})
endfunction()
install_gzipped(${doc}/changelog.Debian changelog.Debian ${CMAKE_INSTALL_DOCDIR})
install_gzipped(${PROJECT_SOURCE_DIR}/CHANGELOG.md changelog ${CMAKE_INSTALL_DOCDIR})
install(FILES ${PROJECT_SOURCE_DIR}/cmake/debian/copyright DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES ${PROJECT_SOURCE_DIR}/cmake/debian/lintian-overrides
  DESTINATION ${CMAKE_INSTALL_DATADIR}/lintian/overrides RENAME quern)

include(CPack)
