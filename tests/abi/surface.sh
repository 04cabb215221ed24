#!/bin/sh
# Makes a shared library with the interface that a header declares and nothing behind it: every function is empty,
# opaque structs stay opaque. It has the SONAME and the symbol versions of the one in build/.
#
#     sh tests/abi/surface.sh HEADER OUTPUT.so
set -eu
awk '/^HOME_API/ { open = 1 }
     open && /;$/ { sub(/;$/, " { for (;;); }"); open = 0 }
     { print }' "$1" >"$2.c"
soname=$(readelf -d build/libhome.so | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')
${CC:-cc} -std=c11 -g -O0 -fPIC -DHOME_SHARED -shared -Wl,-soname,"$soname" \
    -Wl,--version-script=lib/home.map -o "$2" "$2.c"
rm "$2.c"
