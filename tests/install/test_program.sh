#!/bin/sh
# The program `home` built from examples/cli against an installed library, as docs/cli.md says: it needs the public
# interface and the files of examples/cli/shared.txt, nothing else that is in lib/.
# Run from the top of the tree, after make. Debian: apt-get install pkg-config.
. tests/test.sh

cat >"$scratch/recipe.json" <<'END'
{
  "dense":  [{"column": "length", "transform": ["log1p", "standardise"]},
             {"column": "age", "transform": "bucketise", "buckets": 4}],
  "ids":    [{"column": "user", "dim": 4, "min_count": 2, "dropout": 0.3},
             {"column": "tags", "dim": 2, "separator": "|", "pooling": "mean"}],
  "labels": [{"column": "click", "group": "a"}, {"column": "view", "group": "b"}],
  "user":   "user",
  "training": {"epochs": 2, "batch": 32},
  "model":  {"layers": [{"width": 8}, {"width": 8}], "tower": {"hidden": [4]}}
}
END
awk 'BEGIN {
    print "user,tags,length,age,click,view"
    for (row = 0; row < 200; row++)
        printf "u%d,t%d|t%d,%d,%s,%d,%d\n", row * 7 % 23, row % 3, row % 5, 100 + row * 37 % 900,
            (row % 6 ? row % 50 : ""), (row * 7 % 23 > 11), (row * 37 % 900 < 300)
}' >"$scratch/rows.csv"

# What docs/cli.md says, with "cc" and the program's name replaced.
sed -n '/^## Building it against an installed library/,$s/^    //p' docs/cli.md >"$scratch/documented"
build() { # program, option of the linker and of pkg-config, or neither
    sed -e "s|^cc |$CC ${2-} |" -e "s| -o home | -o '$1' |" -e "s|pkg-config |&${3-} |" "$scratch/documented" \
        >"$scratch/command" || return 1
    cat "$scratch/command"
    grep -q -e "-o '$1'" "$scratch/command" && PKG_CONFIG_PATH=$scratch/installed/lib/pkgconfig sh "$scratch/command"
}

# Trains and predicts; the checkpoint and the probabilities must be those of build/home.
agrees() { # program
    model=$scratch/model.safetensors
    rm -f "$model" "$scratch/predictions"
    for program in build/home "$1"; do
        LD_LIBRARY_PATH=$scratch/installed/lib "$program" train "$scratch/recipe.json" --train "$scratch/rows.csv" \
            --output "$model" && LD_LIBRARY_PATH=$scratch/installed/lib "$program" predict "$model" \
            "$scratch/rows.csv" --output "$scratch/predictions" || return 1
        [ "$program" != build/home ] || { mv "$model" "$model.here" && mv "$scratch/predictions" "$scratch/expected"; }
    done
    [ "$(wc -l <"$scratch/expected")" -eq 201 ] && cmp "$model.here" "$model" &&
        cmp "$scratch/expected" "$scratch/predictions"
}
needs_the_library() { # program
    readelf -d "$1" | grep -q 'NEEDED.*libhome'
}
needs_no_library() {
    ! needs_the_library "$1"
}
# A copy that is visible would take the place of the library's own.
hides_its_copies() { # program
    nm -D --defined-only "$1" >"$scratch/visible" && ! grep ' home' "$scratch/visible"
}

# The objects of build/home find in the library's visible names all that they do not bring along.
# shellcheck disable=SC2046,SC2086 # words on purpose
links_with_visible_names() {
    $CC -o "$scratch/here" build/static/examples/cli/*.o $(sed 's|\(.*\)c$|build/static/\1o|' examples/cli/shared.txt) \
        build/libhome.so -lm
}
check "build/home needs no hidden name of the library" links_with_visible_names

if have pkg-config; then
    check 'install' $MAKE --no-print-directory install PREFIX="$scratch/installed"
    check 'the command of docs/cli.md builds the program' build "$scratch/shared"
    check 'it needs libhome.so' needs_the_library "$scratch/shared"
    check 'it shows libhome.so nothing of its own copies' hides_its_copies "$scratch/shared"
    check 'it trains and predicts as build/home does' agrees "$scratch/shared"
    check 'with -static and --static it builds with the library inside' build "$scratch/static" -static --static
    check 'it needs no libhome.so' needs_no_library "$scratch/static"
    check 'it trains and predicts as build/home does' agrees "$scratch/static"
else
    skip 'pkg-config is not installed' 8
fi
summary
