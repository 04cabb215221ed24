#!/bin/sh
# The folders of lib/ are floors: a file includes its own folder and those listed below, and nothing else. What a build
# with HOME_SERVE_ONLY has is whole folders. Run from the top of the tree.
. tests/test.sh

# folder: the folders that it may include, each above all that it names
cat >"$scratch/floors" <<'FLOORS'
base:
host: base
kernels: base
config: base host kernels
steps: base kernels
plan: base host kernels config steps
model: base host kernels config steps plan
serve: base host kernels config steps plan model
train: base host kernels config steps plan model
create: base host kernels config steps plan model serve train
store: base host kernels config steps plan model serve train create
metrics: base host kernels config steps plan model serve train create
FLOORS
sed 's/:.*//' "$scratch/floors" >"$scratch/order"

every_folder_is_a_floor() {
    (cd lib && ls -d */) | tr -d / | sort >"$scratch/folders"
    sort "$scratch/order" | diff - "$scratch/folders" && [ -z "$(find lib -maxdepth 1 -name '*.[ch]')" ]
}

# A folder names only those above it in the list: there is no circle.
the_list_has_no_circle() {
    awk -F'[: ]+' '{ for (i = 2; i <= NF; i++) if ($i != "" && !($i in seen)) { print $1 " names " $i; bad = 1 } seen[$1] }
        END { exit bad }' "$scratch/floors"
}

# FILE FOLDER lines of all includes between folders; "?" for one that leads nowhere.
list_includes() {
    grep -o '^ *# *include "[^"]*"' lib/*/*.[ch] | sed 's/: *# *include "\(.*\)"/ \1/' |
        while read -r file name; do
            folder=${file%/*}
            if [ "$name" = home/home.h ]; then
                continue
            elif [ -e "$folder/$name" ] && [ "${name#*/}" = "$name" ]; then
                continue
            elif [ "${name#../}" != "$name" ] && [ -e "$folder/$name" ]; then
                name=${name#../}
                echo "$file ${name%%/*}"
            else
                echo "$file ?$name"
            fi
        done
}
includes_go_down() {
    list_includes >"$scratch/includes"
    [ -s "$scratch/includes" ] || return 1
    awk -F'[: ]+' 'NR == FNR { for (i = 2; i <= NF; i++) may[$1, $i]; next }
        { split($1, path, "/"); if (!((path[2], $2) in may)) { print $1 " includes " $2; bad = 1 } }
        END { exit bad }' "$scratch/floors" "$scratch/includes"
}

# Objects of all folders can stand in one.
basenames_are_unique() {
    [ -z "$(find lib -name '*.c' | sed 's,.*/,,' | sort | uniq -d)" ]
}

main_header_describes() { # folder
    case $1 in
    host) header=memory ;;
    train) header=training ;;
    store) header=safetensors ;;
    metrics) header=health ;;
    *) header=$1 ;;
    esac
    header=lib/$1/$header.h
    [ -e "$header" ] && sed '/\*\//q' "$header" | tr '\n*' '  ' | tr -s ' ' | grep -q 'Here: .* Called by: .* Calls: '
}

# The program and the examples stand on the installed library. What the program has of base and host besides, and how it
# replaces files, is listed in examples/cli/shared.txt; portability.h has no source.
program_includes_only_what_is_shared() {
    ! grep -n '# *include ".*lib/' examples/cli/*.[ch] | sed 's,^\([^:]*\):.*include "../../\(.*\)\.h"$,\1 \2.c,' |
        grep -v ' lib/base/portability\.c$' | grep -v -F -f examples/cli/shared.txt
}
shared_files_are_of_base_and_host() {
    ! grep -v -e '^lib/\(base\|host\)/[a-z0-9]*\.c$' -e '^lib/store/file\.c$' examples/cli/shared.txt &&
        xargs ls <examples/cli/shared.txt
}
other_examples_include_nothing_of_lib() {
    ! grep -rn '# *include ".*lib/' --include='*.[ch]' --include='*.hpp' examples | grep -v '^examples/cli/'
}

check 'every folder of lib is a floor, and every source is in one' every_folder_is_a_floor
check 'the list of floors has no circle' the_list_has_no_circle
check 'includes go down' includes_go_down
check 'base names are unique' basenames_are_unique
while read -r folder; do
    check "the main header of lib/$folder says what lives there, who calls it and what it calls" main_header_describes "$folder"
done <"$scratch/order"
check 'examples/cli includes of lib only what is shared' program_includes_only_what_is_shared
check 'what is shared is of base and host, and how files are replaced' shared_files_are_of_base_and_host
check 'other examples include nothing of lib' other_examples_include_nothing_of_lib
summary
