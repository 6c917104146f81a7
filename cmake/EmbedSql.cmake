# embed_sql(TARGET): turn db/queries.sql and db/schema/*.sql into db/queries.inc and db/schema.inc,
# C tables that the store includes. See EmbedSqlScript.cmake for what they look like.
function(embed_sql target)
  set(out ${CMAKE_CURRENT_BINARY_DIR}/generated/db)
  file(GLOB schema CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/schema/*.sql)
  add_custom_command(
    OUTPUT ${out}/queries.inc ${out}/schema.inc
    COMMAND ${CMAKE_COMMAND} -DSOURCE=${CMAKE_CURRENT_SOURCE_DIR} -DOUT=${out}
            -P ${PROJECT_SOURCE_DIR}/cmake/EmbedSqlScript.cmake
    DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/queries.sql ${schema}
            ${PROJECT_SOURCE_DIR}/cmake/EmbedSqlScript.cmake
    COMMENT "Embedding SQL" VERBATIM)
  target_sources(${target} PRIVATE ${out}/queries.inc ${out}/schema.inc)
  target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/generated)
endfunction()
