#!/bin/sh
# After make install and make uninstall: tells the loader of the libraries that have come to or gone from a folder. Only
# root can, and only of a folder that the loader looks into; otherwise says what is left to do. Where no ldconfig lists
# these folders, the loader works in some other way, and nothing is done.
#
#     sh pkgconfig/ldconfig.sh install FOLDER        or uninstall
set -eu
PATH=$PATH:/usr/sbin:/sbin
command -v ldconfig >/dev/null || exit 0
task=$1
folder=$(cd -P -- "$2" && pwd) || exit 0

all=$(LC_ALL=C ldconfig -N -X -v 2>/dev/null | sed -n 's|^\(/[^:]*\):.*|\1|p')
[ -n "$all" ] || exit 0

is_searched() {
    printf '%s\n' "$all" |
        while read -r searched; do
            [ "$(cd -P -- "$searched" 2>/dev/null && pwd)" != "$folder" ] || echo yes
        done | grep -q yes
}

if ! is_searched; then
    hint="the loader does not look into $folder: programs need -Wl,-rpath,$folder or LD_LIBRARY_PATH"
elif [ "$(id -u)" = 0 ] && ldconfig; then
    exit 0
else
    hint="the loader does not know yet what is new in $folder: run ldconfig as root"
fi
[ "$task" = uninstall ] || printf '  NOTE    %s\n' "$hint"
