# Read by cpack when it runs: files and archive members get the time of the release.
if(NOT DEFINED ENV{SOURCE_DATE_EPOCH})
  set(ENV{SOURCE_DATE_EPOCH} ${CPACK_QUERN_EPOCH})
endif()
