#!/bin/sh
# The interface against the baseline, that of the last release: functions and fields may be added, nothing else
# may change. Programs built on the baseline's header run with the library of today.
# Run from the top of the tree, after make. Debian: apt-get install abigail-tools.
. tests/test.sh
baseline=tests/abi/baseline
today=include/home/home.h

# -------------------------------------------------------------------------------------- binary interface

# What abidiff reports must be no more than fields added behind the end of a struct, where an older caller's
# struct_size ends. Any other line of its report, known or not, is a difference.
compatible() { # library
    abidiff --no-architecture --no-added-syms --leaf-changes-only --no-show-locs --no-default-suppression \
        $baseline/home.abi "$1" >"$scratch/report" 2>&1
    status=$?
    [ $status -eq 0 ] && return 0
    cat "$scratch/report"
    [ $status -eq 4 ] && awk '
        /^.struct home_.* changed:$/ { end = 0; next }
        /^  type size changed from [0-9]+ to [0-9]+ \(in bits\)$/ { end = $5; next }
        /^    .*, at offset [0-9]+ \(in bits\)$/ && end > 0 && $(NF - 2) >= end { next }
        /^$/ || / summary: / || /^  [0-9]+ data member insertions?:$/ { next }
        { print "not allowed: " $0; bad = 1 }
        END { exit bad }' "$scratch/report"
}

change() { # sed script: makes the library of a header so changed
    sed "$1" $today >"$scratch/changed.h"
    if cmp -s $today "$scratch/changed.h"; then
        echo 'sed has changed nothing'
        return 1
    fi
    sh tests/abi/surface.sh "$scratch/changed.h" "$scratch/changed.so"
}
allows() { change "$1" && compatible "$scratch/changed.so"; }
refuses() { change "$1" && ! compatible "$scratch/changed.so"; }

if ! have abidiff readelf; then
    skip 'abidiff: abigail-tools or binutils are not installed'
elif [ "$(getconf LONG_BIT)" != 64 ]; then
    skip 'abidiff: the baseline is for machines with 64 bits'
else
    check 'the interface of today compiles' sh tests/abi/surface.sh $today "$scratch/today.so"
    check 'the header is compatible with the baseline' compatible "$scratch/today.so"
    if readelf -S build/libhome.so | grep -q '\.debug_info'; then
        check 'libhome.so is compatible with the baseline' compatible build/libhome.so
    else
        skip 'libhome.so against the baseline: built without -g'
    fi

    # The comparison itself.
    check 'a new function is allowed' allows 's/^HOME_API uint64_t home_hash_id/HOME_API int home_new(int);\n&/'
    check 'a field at the end is allowed' allows 's/^} home_batch;/size_t one; double two;\n&/'
    check 'a shorter text is refused' refuses 's/^    char message\[244\]/    char message[240]/'
    check 'a removed function is refused' refuses '/^HOME_API uint64_t home_hash_id/d'
    check 'a field in the middle is refused' refuses 's/^    size_t dense_stride;/    uint32_t new;\n&/'
    check 'a removed field is refused' refuses '/^    int32_t reserved2;/d'
    check 'a field of another size is refused' refuses 's/^    double init_std;/    float init_std;/'
    check 'a field of another sign is refused' refuses 's/^    int32_t loss;/    uint32_t loss;/'
    check 'a field at the end beside another change is refused' \
        refuses 's/^} home_batch;/size_t one;\n&/; s/^    const float \*dense;/    const double *dense;/'
    check 'another result is refused' refuses 's/^HOME_API size_t home_workspace_size/HOME_API uint32_t home_workspace_size/'
    check 'another parameter is refused' refuses 's/ home_model_step(home_model \*/ home_model_step(home_workspace */'
    check 'another callback is refused' refuses 's/(void \*user, size_t bytes)/(void *user, uint32_t bytes)/'
    check 'another status is refused' refuses 's/^typedef int32_t home_status/typedef int64_t home_status/'
fi

# ------------------------------------------------------------------------------------------- constants

constants() { # header
    $CC -E -dM -x c "$1" | grep '^#define HOME_[A-Z]' | grep -v -e HOME_API -e HOME_HOME_H -e HOME_VERSION | sort
}
constants_stay() {
    constants $baseline/home/home.h >"$scratch/old" && constants $today >"$scratch/new"
    [ "$(grep -c ' [0-9]' "$scratch/old")" -ge 50 ] || return 1
    comm -23 "$scratch/old" "$scratch/new" | sed 's/$/ is gone, or has another value/' | tee "$scratch/gone"
    [ ! -s "$scratch/gone" ]
}
check 'the constants stay' constants_stay

# ---------------------------------------------------------------------------- programs of the baseline

calls_everything() {
    for symbol in $(sed -n 's/^HOME_API.*[ *]\(home_[a-z0-9_]*\)(.*/\1/p' $baseline/home/home.h); do
        grep -q "$symbol(" tests/abi/caller.c || { echo "tests/abi/caller.c does not call $symbol"; return 1; }
    done
}
build() { # include folder, program
    $CC -std=c11 -O1 -I"$1" -o "$2" tests/abi/caller.c -Lbuild -lhome
}
runs_the_same() {
    LD_LIBRARY_PATH=build "$scratch/then" "$scratch/file" >"$scratch/then.out" &&
        LD_LIBRARY_PATH=build "$scratch/now" "$scratch/file" >"$scratch/now.out" &&
        [ -s "$scratch/then.out" ] && diff "$scratch/then.out" "$scratch/now.out"
}
check "the caller calls every function of the baseline" calls_everything
check "a program builds on the baseline's header" build $baseline "$scratch/then"
check "a program builds on today's header" build include "$scratch/now"
check 'programs on either header do the same with the library of today' runs_the_same

summary
