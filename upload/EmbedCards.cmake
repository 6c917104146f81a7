# cmake -DSOURCE=<folder of *.md> -DOUT=<file> -P EmbedCards.cmake
# One line `T("NAME", "text")` for each SOURCE/NAME.md, by name.
file(GLOB files ${SOURCE}/*.md)
list(SORT files)
set(result "")
foreach(file IN LISTS files)
  get_filename_component(name ${file} NAME_WLE)
  file(READ ${file} text)
  string(REPLACE "\\" "\\\\" text "${text}")
  string(REPLACE "\"" "\\\"" text "${text}")
  string(REPLACE "\n" "\\n\"\n\t\"" text "${text}")
  string(APPEND result "T(\"${name}\",\n\t\"${text}\")\n")
endforeach()
file(WRITE ${OUT} "${result}")
