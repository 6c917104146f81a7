# cmake -DSOURCE=<file> -DOUT=<file> -P EmbedText.cmake
# OUT is SOURCE as one C string literal, to be included behind an "=".
file(READ ${SOURCE} text)
string(REPLACE "\\" "\\\\" text "${text}")
string(REPLACE "\"" "\\\"" text "${text}")
string(REPLACE "\n" "\\n\"\n\"" text "${text}")
file(WRITE ${OUT} "\"${text}\"\n")
