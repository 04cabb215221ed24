#!/bin/sh
# The examples of other languages: for each that is installed, every command of its section in
# examples/ffi/README.md runs; its program prints the same bytes as the one in C for models with dense values, with
# ids, and with both, and fails with the same message for files that are missing or damaged; where it trains, losses and
# checkpoint are those of C. Run from the top of the tree, after make.
set -u
CC=${CC:-cc}
CXX=${CXX:-g++}
GOCACHE=${GOCACHE:-$PWD/build/ffi/go-cache}
LC_ALL=C.UTF-8 # in a locale of ASCII alone, Java has no paths with other letters
export CC CXX GOCACHE LC_ALL PYTHONDONTWRITEBYTECODE=1
# After make BLIS=1, what has libhome.a inside needs this too.
BLIS_LIB=${BLIS_LIB-}
[ -z "$BLIS_LIB" ] || export CGO_LDFLAGS="$BLIS_LIB" RUSTFLAGS="-C link-arg=$BLIS_LIB"
passed=0
failed=0
skipped=0
folder=build/ffi
mkdir -p "$folder"

check() { # check NAME COMMAND...
    name=$1
    shift
    if "$@" >"$folder/log" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "$0: $name failed:"
        cat "$folder/log"
        return 1
    fi
}

skip() {
    echo "skipped: $1"
    skipped=$((skipped + 1))
}

# The commands of a section of the README: its indented lines.
commands() {
    sed -n "/^## $1\$/,/^## /s/^    //p" examples/ffi/README.md | sed "s|build/libhome\.a|& $BLIS_LIB|"
}

run_readme() {
    commands "$1" >"$folder/commands.sh"
    [ -s "$folder/commands.sh" ] && sh -eu "$folder/commands.sh" </dev/null
}

same_bytes() { # same_bytes MODEL COMMAND...
    model=$1
    shift
    "$@" "$folder/$model.safetensors" >"$folder/output" && diff "$folder/$model.expected" "$folder/output"
}

same_error() { # same_error FILE COMMAND...
    file=$1
    shift
    "$@" "$folder/$file" >"$folder/output" 2>"$folder/message"
    [ $? -eq 1 ] && [ ! -s "$folder/output" ] && diff "$folder/$file.expected" "$folder/message"
}

usage() { # usage COMMAND...: without arguments it says, in a line, how it is called
    "$@" >"$folder/output" 2>"$folder/message"
    [ $? -eq 2 ] && [ ! -s "$folder/output" ] && [ "$(grep -c '' "$folder/message")" -eq 1 ] &&
        grep -q '^usage: ' "$folder/message"
}

same_training() { # same_training MODEL COMMAND...
    model=$1
    shift
    rm -f "$folder/trained"
    "$@" "examples/ffi/$model.json" "$folder/trained" >"$folder/output" &&
        diff "$folder/$model.losses" "$folder/output" && cmp "$folder/$model.safetensors" "$folder/trained"
}

models='dense ids only_ids'
bad_files='missing cut.safetensors damaged.safetensors text.safetensors'

make_expectations() {
    run_readme C || return 1
    for model in $models; do
        "$folder/train" "examples/ffi/$model.json" "$folder/$model.safetensors" >"$folder/$model.losses" &&
            "$folder/predict" "$folder/$model.safetensors" >"$folder/$model.expected" || return 1
        [ "$(grep -c '^[0-9a-f]\{8\} [0-9a-f]\{8\} [0-9a-f]\{8\}$' "$folder/$model.expected")" -eq 128 ] || return 1
    done
    rm -f "$folder/missing"
    head -c 5000 "$folder/ids.safetensors" >"$folder/cut.safetensors"
    echo 'not a checkpoint' >"$folder/text.safetensors"
    # One bit of the last float is another.
    head -c -1 "$folder/ids.safetensors" >"$folder/damaged.safetensors"
    tail -c 1 "$folder/ids.safetensors" | tr '\000-\377' '\001-\377\000' >>"$folder/damaged.safetensors"
    for file in $bad_files; do
        "$folder/predict" "$folder/$file" 2>"$folder/$file.expected" && return 1
        grep '^error [0-9]*: .' "$folder/$file.expected" || return 1
    done
}

# What the programs in C have no room for, they refuse.
too_large_for_c() {
    printf '{"dense": 17, "tasks": [{"name": "a"}], "layers": [{"width": 4}, {"width": 4}]}' >"$folder/wide.json"
    "$folder/train" "$folder/wide.json" "$folder/wide.safetensors" 2>"$folder/message"
    [ $? -eq 1 ] && grep '^error 1: the model has 17 dense values' "$folder/message" || return 1
    head -c 10000 /dev/zero >"$folder/long.json"
    "$folder/train" "$folder/long.json" "$folder/wide.safetensors" 2>"$folder/message"
    [ $? -eq 1 ] && grep 'long.json is too long, expected less than 10000 bytes' "$folder/message"
}

learns() { # the losses of the last line are below those of the first
    awk 'NR == 1 { for (i = 4; i <= NF; i += 2) first[i] = $i }
         END { for (i = 4; i <= NF; i += 2) if ($i >= first[i]) exit 1; exit NR < 2 }' "$1"
}

# language NAME 'TOOLS IT NEEDS' COMMAND...: the name of its section, and what runs its program with a model.
language() {
    language=$1
    tools=$2
    shift 2
    for tool in $tools; do
        if ! command -v "$tool" >/dev/null; then
            skip "$language: $tool is not installed"
            return 1
        fi
    done
    check "$language: the README's commands run" run_readme "$language" || return 1
    check "$language: predict tells its usage" usage "$@"
    for model in $models; do
        check "$language: predictions of the model $model are the same bytes" same_bytes "$model" "$@"
    done
    for file in $bad_files; do
        check "$language: the error for $file is the same" same_error "$file" "$@"
    done
}

trains() { # trains COMMAND...
    check "$language: train tells its usage" usage "$@"
    for model in $models; do
        check "$language: training of the model $model is the same" same_training "$model" "$@"
    done
}

# Code that copies a model does not get past go vet. The copied tree is as deep as the original, whose paths it has.
go_vet_sees_copies() {
    tree=$folder/go_vet
    rm -rf "$tree" && cp -R examples/ffi/go "$tree" && (cd "$tree" && go vet ./...) || return 1
    printf 'package main\n\nimport "example.com/home"\n\nfunc copied(m *home.Model) home.Model { return *m }\n' \
        >"$tree/predict/copied.go"
    (cd "$tree" && go vet ./... 2>message)
    grep 'return copies lock value' "$tree/message"
}

# The python3 of the README may be one without NumPy.
with_numpy() {
    for python in ${PYTHON-} python3 /usr/bin/python3; do
        if "$python" -c 'import numpy' 2>/dev/null; then
            check 'Python: the tests with NumPy pass' env PYTHONPATH=examples/ffi/python "$python" -m unittest test_home
            return
        fi
    done
    skip 'no python3 with the module numpy found'
}

# Where C's declarations are written anew, a message has the header's length: struct_size is the same for some others.
message_lengths() {
    length=$(sed -n 's/^ *char message\[\([0-9]*\)\];.*/\1/p' include/home/home.h)
    grep "\"message\", c_char \* $length)" examples/ffi/python/home.py &&
        grep "MESSAGE_BYTES = $length;" examples/ffi/node/home.js &&
        grep "message: \[c_char; $length\]" examples/ffi/rust/src/sys.rs
}

# Every function of home.h is used in a wrapper or named in its head as one that is not, a group of them as home_x_*;
# and what is named is in home.h.
same_calls() { # same_calls FILE...
    cat "$@" >"$folder/wrapper"
    sed -n 's/^HOME_API .*[ *]\(home_[a-z0-9_]*\)(.*/\1/p' include/home/home.h >"$folder/calls"
    [ "$(grep -c '' "$folder/calls")" -eq "$(grep -c '^HOME_API' include/home/home.h)" ] || return 1
    missing=0
    while read -r call; do
        short=${call#home_}
        group=${short%%_*}
        grep -Eq "(^|[^a-z0-9_])(home_)?$short([^a-z0-9_]|\$)|home_${group}_\*" "$folder/wrapper" && continue
        echo "$* does not mention $call"
        missing=1
    done <"$folder/calls"
    # shellcheck disable=SC2013 # words on purpose
    for word in $(grep -Eo '(^|[^a-z0-9_])home_[a-z0-9_]*[a-z0-9]([^a-z0-9_*]|$)' "$folder/wrapper" |
        sed 's/.*\(home_[a-z0-9_]*\).*/\1/' | sort -u); do
        case $word in
        *_ | home_jni) continue ;;
        esac
        grep -qw "$word" include/home/home.h && continue
        echo "$* has $word, which is not in home.h"
        missing=1
    done
    [ "$missing" -eq 0 ]
}

check "home_error is the header's" message_lengths
check 'Python: calls' same_calls examples/ffi/python/home.py
check 'C++: calls' same_calls include/home/home.hpp
check 'Rust: calls' same_calls examples/ffi/rust/src/lib.rs examples/ffi/rust/src/sys.rs
check 'Go: calls' same_calls examples/ffi/go/home.go
check 'Java: calls' same_calls examples/ffi/java/home/Model.java examples/ffi/java/home_jni.c
check 'Node: calls' same_calls examples/ffi/node/home.js
if check 'C: models, predictions and errors' make_expectations; then
    for model in $models; do
        check "C: training of $model learns" learns "$folder/$model.losses"
    done

    check 'C: predict tells its usage' usage "$folder/predict"
    check 'C: train tells its usage' usage "$folder/train"
    check 'C: a model and a configuration that are too large are refused' too_large_for_c
    language Python python3 python3 examples/ffi/python/predict.py &&
        trains python3 examples/ffi/python/train.py && with_numpy
    language C++ "$CXX" "$folder/predict_cpp" && trains "$folder/train_cpp"
    language Rust cargo "$folder/rust/debug/examples/predict"
    language Go go "$folder/predict_go" && check 'Go: go vet sees copies' go_vet_sees_copies
    language Java 'javac java' env LD_LIBRARY_PATH="$folder" java -cp "$folder/java" Predict
    if [ -d examples/ffi/node/node_modules/koffi ]; then
        language Node node node examples/ffi/node/predict.js
    else
        skip 'Node: no koffi (npm ci --ignore-scripts --prefix examples/ffi/node)'
    fi
fi

if [ "$skipped" -ne 0 ]; then
    echo "$passed passed, $failed failed, $skipped skipped"
else
    echo "$passed passed, $failed failed"
fi
[ "$failed" -eq 0 ]
