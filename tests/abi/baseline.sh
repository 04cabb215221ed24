#!/bin/sh
# Makes the include/home/home.h of today the baseline that later versions are compared with; docs/abi.md says when.
# Run from the top of the tree, after make.
set -eu
folder=tests/abi/baseline
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$folder/home"
cp include/home/home.h "$folder/home/home.h"
sh tests/abi/surface.sh include/home/home.h "$scratch/libhome.so"
abidw --no-architecture --no-corpus-path --no-comp-dir-path --no-show-locs --no-elf-needed --type-id-style hash \
    --out-file "$scratch/home.abi" "$scratch/libhome.so"
sed "s|'$scratch/|'|" "$scratch/home.abi" >"$folder/home.abi"
