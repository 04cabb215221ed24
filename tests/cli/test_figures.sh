#!/bin/sh
# Figures that are not defined, and rows that have no user. Run from the top of the tree, after make.
. tests/cli/program.sh

# ----------------------------------------------------------------------------------------- users

# Known users' labels follow x, those of rows without a user are the reverse; one label in five is missing.
cat > recipe.json << 'RECIPE'
{"dense": [{"column": "x"}], "labels": [{"column": "y"}], "user": "user",
 "training": {"epochs": 3, "batch": 64}, "model": {"layers": [{"width": 4}, {"width": 4}]}}
RECIPE
awk 'BEGIN {
    srand(1)
    print "user,x,y"
    for (i = 0; i < 2000; i++) { x = rand(); print "u" i % 40 "," x "," (rand() < x) }
}' > train.csv
awk 'BEGIN {
    srand(2)
    print "user,x,y"
    for (i = 0; i < 400; i++) { x = rand(); print "u" i % 40 "," x "," (i % 5 ? x > 0.5 : "") }
    for (i = 0; i < 1600; i++) { x = rand(); print "," x "," (i % 5 ? x < 0.5 : "") }
}' > eval.csv
awk -F, 'NR == 1 || $1 != ""' eval.csv > known.csv
run() { # OUTPUT COMMAND...: a check that keeps what the command prints
    output=$1
    shift
    "$@" > "$output" 2>&1
    check "$*" test $? -eq 0
}
run train.out home train recipe.json --train train.csv --output m.safetensors
run eval.out home eval m.safetensors eval.csv
run known.out home eval m.safetensors known.csv
gauc() {
    awk '$1 == "y" { print $5 }' "$1"
}
check "rows without a user are no user: $(gauc eval.out)" test "$(gauc eval.out)" = "$(gauc known.out)"
check "the table says how many rows have none" grep -qx "1600 of the 2000 rows have no user and do not count in GAUC" \
    eval.out
check "and nothing where all have one" sh -c '! grep -q "no user" known.out train.out'
home eval m.safetensors eval.csv --json eval.json > /dev/null
check "so does the JSON, of rows with a label" grep -q '"rows": 1600, "no_user_rows": 1280,' eval.json
check "inspect says it" sh -c 'home inspect m.safetensors eval.csv | grep -q "^1600 of the 2000 rows have no user"'
home report m.safetensors eval.csv --output report.html
check "report says it" grep -q "1600 of the 2000 rows have no user" report.html

# ------------------------------------------------------------------------------------- undefined

# Of three tasks one has labels of one class, and one has none at all.
cat > three.json << 'RECIPE'
{"dense": [{"column": "x"}], "labels": [{"column": "a"}, {"column": "b"}, {"column": "c"}],
 "training": {"epochs": 1, "batch": 64},
 "model": {"preset": "shared-bottom", "layers": [{"width": 4}]}}
RECIPE
awk 'BEGIN {
    srand(3)
    print "x,a,b,c"
    for (i = 0; i < 500; i++) { x = rand(); print x "," (rand() < x) "," (rand() < x) "," (rand() < x) }
}' > three.csv
awk -F, 'BEGIN { OFS = "," } NR > 1 { $3 = 0; $4 = "" } { print }' three.csv > partly.csv
awk -F, 'BEGIN { OFS = "," } NR > 1 { $2 = 1; $3 = 0; $4 = "" } { print }' three.csv > none.csv
no_nan() {
    ! grep -iE '(^|[^a-z])-?(nan|inf)([^a-z]|$)' "$@"
}
run three.out home train three.json --train three.csv --valid partly.csv --output m3.safetensors
check "the mean says of how many tasks it is" grep -qE '^mean AUC 0\.[0-9]+ of 1 of 3 tasks, the best so far: saved$' \
    three.out
check "no nan" no_nan three.out
for rows in partly none; do
    run $rows.eval home eval m3.safetensors $rows.csv
    run $rows.inspect home inspect m3.safetensors $rows.csv
    run $rows.report home report m3.safetensors $rows.csv --output $rows.html
    check "no nan in eval of $rows" no_nan $rows.eval
    check "no nan in inspect of $rows" no_nan $rows.inspect
    check "no nan in report of $rows" no_nan $rows.html
    check "undefined figures of c are -" grep -qE '^c +0 +0 +- +- +- +-$' $rows.eval
done
check "the only expert has no neighbour" grep -qE '^0 +shared\.0 .* - +- +[0-9.]+' partly.inspect
check "a gate over one expert has no entropy" grep -qE '^ +a +1\.000 +- +- +0\.000$' partly.inspect
check "report: a mean of one task says so" grep -q 'mean AUC of 1 of 3 tasks' partly.html
check "report: a mean of none is none" grep -q '<b>–</b><span>mean AUC of 0 of 3 tasks' none.html

summary
