#!/bin/sh
# What the program makes of tables: large numbers, tables from strangers, files of another kind. Run from the top of
# the tree, after make.
. tests/cli/program.sh

# --------------------------------------------------------------------------------- large numbers

# recipe COLUMN TRANSFORM: of a model with one dense column.
recipe() {
    cat << RECIPE
{"dense": [{"column": "$1"$2}], "labels": [{"column": "y"}], "training": {"epochs": 2, "batch": 64},
 "model": {"layers": [{"width": 8}, {"width": 8}], "optimizer": {"learning_rate": 0.01}}}
RECIPE
}

# Times of 100 s, from the start and as seconds, milli- and microseconds of a calendar, and as both large and negative
# numbers. Standardised, all of them are the same up to the rounding of the result.
awk 'BEGIN {
    srand(1)
    print "age,s,ms,us,minus,hour,y"
    for (row = 0; row < 1000; row++) {
        t = int(rand() * 100)
        printf "%d,%.0f,%.0f,%.0f,%.0f,%.6f,%d\n", t, 1764340000 + t, (1764340000 + t) * 1e3, (1764340000 + t) * 1e6,
               -(1764340000 + t) * 1e3, (1764340000 + t) / 3600, t < 50
    }
}' > times.csv
predictions() {
    home predict "$1" times.csv | tail -n +2
}
standardised=', "transform": "standardise"'
recipe age "$standardised" > age.json
check "train on small numbers" home train age.json --train times.csv --output age.safetensors
predictions age.safetensors > age.pred
check "they differ" test "$(sort -u age.pred | wc -l)" -eq 100
near() {
    paste age.pred "$1" | awk '{ d = $1 - $2; if (d > 1e-3 || d < -1e-3) { print NR, $0; exit 1 } }'
}
for column in s ms us hour; do
    recipe $column "$standardised" > times.json
    check "train on large numbers: $column" home train times.json --train times.csv --output times.safetensors
    predictions times.safetensors > times.pred
    check "the model gets what it gets from small numbers: $column" near times.pred
    check "a table of rows read part by part too: $column" test "$(sort -u times.pred | wc -l)" -eq 100
done
home info times.safetensors > info.out
check "the mean is that of the numbers" sh -c 'grep -q "^  hour: standardise (mean 490094, deviation 0.00[78]" info.out'
recipe us ', "transform": "bucketise", "buckets": 100' > times.json
check "train on buckets" home train times.json --train times.csv --output times.safetensors
check "boundaries are as exact" test "$(predictions times.safetensors | sort -u | wc -l)" -gt 60
recipe ms ', "transform": ["log1p", "standardise"]' > times.json
check "train on logarithms" home train times.json --train times.csv --output times.safetensors
check "steps hand on all digits" test "$(predictions times.safetensors | sort -u | wc -l)" -eq 100
recipe minus "$standardised" > times.json
check "train on negative ones" home train times.json --train times.csv --output times.safetensors
check "they differ too" test "$(predictions times.safetensors | sort -u | wc -l)" -eq 100

# A constant column is zeros, though its mean is rounded: another value must not be divided by that rounding.
{ echo x,y; yes 0.1,0 | head -n 700; yes 0.1,1 | head -n 300; } > constant.csv
recipe x "$standardised" > constant.json
check "train on a constant" home train constant.json --train constant.csv --output constant.safetensors
check "its deviation is 1" sh -c 'home info constant.safetensors | grep -q "^  x: standardise (mean 0.1, deviation 1)"'

# Without a transform whole numbers are rounded, and that is told once.
recipe ms '' > plain.json
home train plain.json --train times.csv --output plain.safetensors > plain.out 2> plain.err
check "lost digits are told" grep -q '^home: warning: times.csv: column "ms" has whole numbers such as 17643400' \
    plain.err
check "once" test "$(grep -c 'column "ms"' plain.err)" -eq 1
for column in age hour; do
    recipe $column '' > plain.json
    home train plain.json --train times.csv --output plain.safetensors > plain.out 2> plain.err
    check "column $column loses none" sh -c '! grep -q warning plain.err'
done
check "nor does a standardised one" sh -c \
    'home train times.json --train times.csv --output plain.safetensors 2>&1 | grep -c warning | grep -qx 0'

# More rows than fit one part of what is read.
awk 'BEGIN { print "x,e,y"; for (row = 0; row < 5000; row++) print row "," (row % 3 ? row : "") "," row % 2 }' > many.csv
cat > many.json << 'RECIPE'
{"dense": [{"column": "x", "transform": "standardise"}, {"column": "e"}, {"column": "x", "transform": "bucketise"}],
 "labels": [{"column": "y"}], "training": {"epochs": 1}, "model": {"layers": [{"width": 4}, {"width": 4}]}}
RECIPE
check "train on many rows" home train many.json --train many.csv --output many.safetensors
check "their mean" sh -c 'home info many.safetensors | grep -q "^  x: standardise (mean 2499.5, deviation 1443.3[0-9]*)"'

# ------------------------------------------------------------------------- files of another kind

cp age.safetensors m.st
cp age.json r.json
gzip -c times.csv > zipped
printf '<!DOCTYPE html>\n<html></html>\n' > page.html
: > nothing
head -c 300 m.st > cut.st
for command in predict eval inspect 'report --output x.html'; do
    # shellcheck disable=SC2086
    set -- $command
    word=$1
    shift
    fails 2 'times.csv: not a checkpoint: it looks like a CSV table; expected MODEL and DATA in this order' \
        home "$word" times.csv m.st "$@"
    fails 2 'times.csv: not a checkpoint: it looks like a CSV table' home "$word" times.csv times.csv "$@"
    fails 2 'r.json: not a checkpoint: it looks like JSON' home "$word" r.json times.csv "$@"
    fails 2 'zipped: not a checkpoint: it looks like a file compressed by gzip' home "$word" zipped times.csv "$@"
    fails 2 'page.html: not a checkpoint: it looks like an HTML page' home "$word" page.html times.csv "$@"
    fails 2 'nothing: not a checkpoint: it looks like an empty file' home "$word" nothing times.csv "$@"
    fails 1 'm.st: not a CSV table: it looks like a checkpoint' home "$word" m.st ./m.st "$@"
    fails 1 'r.json: not a CSV table: it looks like JSON' home "$word" m.st r.json "$@"
    fails 1 'page.html: not a CSV table: it looks like an HTML page' home "$word" m.st page.html "$@"
done
check "none of these wrote a page" test ! -e x.html
fails 1 'cut.st: ' home eval cut.st times.csv
check "half a checkpoint is one, for the library to judge" sh -c '! grep -q "looks like" fails.err'
fails 1 'times.csv: not a checkpoint: it looks like a CSV table; expected a model made by "home train"' home info times.csv
fails 1 'times.csv: not a checkpoint: it looks like a CSV table; expected a model' \
    home train r.json --train times.csv --output y.st --resume times.csv
fails 1 'm.st: not a CSV table' home train r.json --train m.st --output y.st
fails 1 'r.json: not a CSV table' home train r.json --train ./r.json --output y.st

# Another separator than commas.
for separator in '\t' ';' '|'; do
    tr , "$separator" < times.csv > other.csv
    case $separator in
    '\t') named='tabs' ;;
    *) named="\"$separator\"" ;;
    esac
    fails 1 "expected one (and commas between fields, not $named)" home train r.json --train other.csv --output y.st
    sed '1s/y$/y,z/' other.csv > comma.csv
    fails 1 "expected one (and commas between fields, not $named)" home predict m.st comma.csv
done
printf 'a;b,c|d\n1,2\n' > other.csv
fails 1 'which has "a;b" "c|d"; expected one' home predict m.st other.csv
check "a name with such a letter is no hint" sh -c '! grep -q "and commas" fails.err'

# Nothing is taken for the text before its zero byte: not a name, an id or a number.
zero='a zero byte; expected text in UTF-8 (is the file in UTF-16?)'
printf 'age\0x,y\n1,0\n' > zero.csv
fails 1 "zero.csv:1:4: $zero" home predict age.safetensors zero.csv
printf 'age,y\n1,0\n"1\0",0\n' > zero.csv
fails 1 "zero.csv:3:3: $zero" home predict age.safetensors zero.csv
printf 'age,y\n1,"0\n\0"\n' > zero.csv
fails 1 "zero.csv:3:1: $zero" home eval age.safetensors zero.csv
printf '\377\376a\0g\0e\0,\0y\0\n\0' > zero.csv
fails 1 "zero.csv:1:4: $zero" home predict age.safetensors zero.csv

# ------------------------------------------------------------------------- tables from strangers

# A small file that becomes a large one: columns without end. It is refused within 400 MB of addresses.
{ echo; head -c 60000000 /dev/zero | tr '\0' ,; } | tail -c +2 | gzip > commas.csv.gz
within_400_mb() {
    # shellcheck disable=SC3045
    (ulimit -v 400000 && "$@")
}
if within_400_mb home --version > version.out 2>&1; then
    fails 1 'commas.csv.gz:1:1: a record of more than 1000000 fields' within_400_mb home predict m.st commas.csv.gz
    fails 1 'commas.csv.gz:1:1: a record of more than 1000000 fields' \
        within_400_mb home train r.json --train commas.csv.gz --output y.st
else
    skip "a limit of addresses" 4
fi
{ echo age,y; printf '"'; head -c 70000000 /dev/zero | tr '\0' x; echo '",1'; } | gzip > long.csv.gz
fails 1 'long.csv.gz:2:1: a record of more than 64 MiB' home predict age.safetensors long.csv.gz
{ echo age,y; awk 'BEGIN { for (i = 0; i < 500000; i++) print "1,0\n2,1" }'; } | gzip > rows.csv.gz
limit='MiB of memory, which is the limit; expected less, or a larger --memory-limit'
fails 1 "the data take more than 16 $limit" home train age.json --train rows.csv.gz --output y.st --memory-limit 16
check "of a million rows" home train age.json --train rows.csv.gz --output y.st --memory-limit 400 --epochs 1 --batch 100000
check "those of evaluation are read part by part" home eval y.st rows.csv.gz --memory-limit 100
cat > ids.json << 'RECIPE'
{"ids": [{"column": "u", "dim": 2, "separator": "|"}], "labels": [{"column": "y"}], "training": {"epochs": 1},
 "model": {"layers": [{"width": 4}, {"width": 4}]}}
RECIPE
printf 'u,y\na|b,0\nb,1\n' > ids.csv
check "train on lists" home train ids.json --train ids.csv --output ids.st
{ echo u,y; yes 'a|b|c|' | head -n 1000000 | tr -d '\n'; echo ,1; } > ids.csv
fails 1 "the data take more than 16 $limit" home predict ids.st ids.csv --memory-limit 16
check "a list of three million" home predict ids.st ids.csv --memory-limit 200
for command in predict eval inspect 'report --output x.html'; do
    # shellcheck disable=SC2086
    set -- $command
    word=$1
    shift
    fails 1 "the data take more than 1 $limit" home "$word" m.st times.csv "$@" --memory-limit 1
    fails 2 '--memory-limit: "0"; expected a whole number from 1' home "$word" m.st times.csv "$@" --memory-limit 0
done
fails 1 "the data take more than 1 $limit" home train r.json --train times.csv --output z.st --memory-limit 1
check "nothing is left of these" test ! -e x.html -a ! -e z.st

summary
