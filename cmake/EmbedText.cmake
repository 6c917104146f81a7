# cmake -DSOURCE=<file> -DNAME=<identifier> -DOUT=<file> -P EmbedText.cmake
# OUT defines NAME, a C string with the text of SOURCE.
file(READ ${SOURCE} text)
string(REPLACE "\\" "\\\\" text "${text}")
string(REPLACE "\"" "\\\"" text "${text}")
string(REPLACE "\n" "\\n\"\n\t\"" text "${text}")
file(WRITE ${OUT} "static const char ${NAME}[] =\n\t\"${text}\";\n")
