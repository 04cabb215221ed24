#!/bin/sh
# Tests of the program: sh tests/cli/test_cli.sh [path of the program]
# Prints one line per failed check, then "N passed, N failed". Expected figures come from awk, not from the
# program.
set -u
LC_ALL=C
export LC_ALL

root=$(cd "$(dirname "$0")/../.." && pwd)
program=${1:-$root/build/home}
program=$(cd "$(dirname "$program")" && pwd)/$(basename "$program")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
mkdir "$work/bin"
ln -s "$program" "$work/bin/home"
PATH=$work/bin:$PATH
cd "$work" || exit 1
home --version > version.out || { echo "cannot run $program"; exit 1; }

passed=0
failed=0

# check NAME COMMAND...: the command must succeed.
check() {
    name=$1
    shift
    if "$@" > check.log 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $name: $(tail -n 3 check.log | tr '\n' ' ')"
    fi
}
. "$root/tests/cli/checks.sh"

# json KEY FILE: the number under a task and a key of the output of `home eval --json`.
json() {
    awk -v task="\"$1\": {" -v key="\"$2\": " '
        index($0, task) { rest = substr($0, index($0, task)); at = index(rest, key)
                          rest = substr(rest, at + length(key)); sub(/[,}].*/, "", rest); print rest }' "$3"
}

differ() {
    ! cmp -s "$1" "$2"
}

none_left() {
    for file in ./*.tmp ./*.tmp.*; do
        [ ! -e "$file" ] || { echo "$file is left over"; return 1; }
    done
}

# ------------------------------------------------------------------------------------------- data

# rows SEED COUNT: a log in which clicks depend on the user's number, the tags and the duration.
rows() {
    awk -v seed="$1" -v count="$2" 'BEGIN {
        srand(seed)
        split("cat|dog,dog,sport|cat|sport,,music", tags, ",")
        print "user_id,tags,liked_tag,age,duration_ms,country,is_click,is_like,w"
        for (row = 0; row < count; row++) {
            user = int(rand() * 60); tag = 1 + int(rand() * 5); liked = 1 + int(rand() * 5)
            age = rand() < 0.1 ? "" : 15 + int(rand() * 60)
            duration = int(1000 * exp(4 * rand()))
            z = (user % 5) - 2 + (tag == liked) - log(duration / 8000) / 2
            click = rand() < 0.05 ? "" : rand() < 1 / (1 + exp(-z))
            like = rand() < 1 / (1 + exp(3 - z))
            split(tags[liked], one, "|")
            printf "user %d,%s,%s,%s,%d,%d,%s,%d,%.2f\n", user, tags[tag], one[1], age, duration, row % 3,
                   click, like, 0.5 + rand()
        }
    }'
}

rows 1 3000 > train.csv
rows 2 1000 > valid.csv
gzip -k train.csv valid.csv

cat > recipe.json <<'END'
{
  "dense": [{"column": "duration_ms", "transform": ["log1p", "standardise"]},
            {"column": "age", "transform": "bucketise", "buckets": 5},
            {"column": "age", "transform": "standardise"},
            {"column": "country"}],
  "ids": [{"column": "user_id", "dim": 4, "min_count": 45, "dropout": 0.2},
          {"column": "tags", "dim": 3, "table": "tag", "separator": "|", "pooling": "mean"},
          {"column": "liked_tag", "table": "tag"}],
  "labels": [{"column": "is_click", "task": "click", "group": "interaction"},
             {"column": "is_like", "group": "watch", "weight": 0.5}],
  "row_weight": "w",
  "user": "user_id",
  "training": {"epochs": 3, "batch": 64, "patience": 2, "seed": 5, "learning_rate_decay": 0.9},
  "model": {"layers": [{"width": 16, "feature_rank": 4}, {"width": 8, "feature_rank": 4}],
            "tower": {"hidden": [8]}, "optimizer": {"learning_rate": 0.003, "embedding_learning_rate": 0.05}}
}
END

# ------------------------------------------------------------------------------- the usual way round

check "train" home train recipe.json --train train.csv --valid valid.csv --output m.safetensors
home train recipe.json --train train.csv --valid valid.csv --output m.safetensors > train.out 2> train.err
check "a table after every epoch" test "$(grep -c '^click ' train.out)" -eq 3
check "the table tells the positives" grep -q "^is_like  *1000  *$(awk -F, '$8 == 1' valid.csv | wc -l) " train.out
check "plain lines without a terminal" grep -q 'epoch 3/3 done: 3000 rows in .* rows/s, loss ' train.err
check "no control characters without a terminal" sh -c '! tr -d "\n -~" < train.err | grep -q .'
check "eval" home eval m.safetensors valid.csv --json valid.json
home eval m.safetensors valid.csv > eval.out
check "eval prints what train printed" sh -c \
    'best=$(grep -n saved train.out | tail -n 1 | cut -d: -f1); head -n "$best" train.out | grep "^click " | tail -n 1 | grep -qxFf - eval.out'
check "predict" home predict m.safetensors valid.csv --output valid.pred
check "info" sh -c 'home info m.safetensors > info.out'
check "no temporary file is left" none_left

# What predict says must score as eval says, by other means.
tail -n +2 valid.csv | cut -d, -f7 > click.labels
tail -n +2 valid.pred | cut -d, -f1 | paste -d' ' - click.labels | awk 'NF == 2' > click.pairs
check "predict's header" test "$(head -n 1 valid.pred)" = click,is_like
check "a prediction per row" test "$(wc -l < valid.pred)" -eq 1001
check "eval: rows" test "$(json click rows valid.json)" -eq "$(wc -l < click.pairs)"
check "eval: positives" test "$(json click positives valid.json)" -eq "$(grep -c ' 1$' click.pairs)"
check "eval: log loss" within "$(json click log_loss valid.json)" \
    "$(awk '{ s -= log($2 ? $1 : 1 - $1) } END { printf "%.9g", s / NR }' click.pairs)" 1e-5
check "eval: calibration" within "$(json click calibration valid.json)" \
    "$(awk '{ p += $1; l += $2 } END { printf "%.9g", p / l }' click.pairs)" 1e-5
check "eval: AUC" within "$(json click auc valid.json)" "$(awk '{ p[NR] = $1; l[NR] = $2 } END {
    for (i = 1; i <= NR; i++) if (l[i]) for (j = 1; j <= NR; j++) if (!l[j]) {
        n++; s += p[i] > p[j] ? 1 : p[i] == p[j] ? 0.5 : 0 }
    printf "%.9g", s / n }' click.pairs)" 1e-9
tail -n +2 valid.pred | cut -d, -f1 > click.pred
tail -n +2 valid.csv | cut -d, -f1,7 | paste -d, - click.pred | awk -F, '$2 != ""' > click.users
check "eval: GAUC" within "$(json click gauc valid.json)" "$(awk -F, '{ u[NR] = $1; l[NR] = $2; p[NR] = $3; rows[$1]++ } END {
    for (i = 1; i <= NR; i++) if (l[i]) for (j = 1; j <= NR; j++) if (!l[j] && u[i] == u[j]) {
        n[u[i]]++; s[u[i]] += p[i] > p[j] ? 1 : p[i] == p[j] ? 0.5 : 0 }
    for (x in n) { sum += rows[x] * s[x] / n[x]; weight += rows[x] }
    printf "%.9g", sum / weight }' click.users)" 1e-9
check "the model learned something" within "$(json click auc valid.json)" 0.8 0.12
home predict m.safetensors valid.csv > stdout.pred
check "predict to standard output" cmp stdout.pred valid.pred

# --------------------------------------------------------------------------------- the columns' place

# same FILE: the file must be predicted like valid.csv.
same() {
    home predict m.safetensors "$1" > same.pred && cmp same.pred valid.pred
}

cut -d, -f1-6 valid.csv > raw.csv
check "predict needs no labels" same raw.csv
awk -F, -v OFS=, '{ print "x", $6, $5, $4, $3, $2, $1 }' raw.csv > mixed.csv
check "the order of columns is free" same mixed.csv
{ head -n 1 raw.csv; tail -n +2 raw.csv | awk '{ row[NR] = $0 } END { for (i = NR; i; i--) print row[i] }'; } > back.csv
home predict m.safetensors back.csv | tail -n +2 | awk '{ row[NR] = $0 } END { for (i = NR; i; i--) print row[i] }' > back.pred
tail -n +2 valid.pred > forth.pred
check "a row's prediction does not depend on the others" cmp back.pred forth.pred

# -------------------------------------------------------------------------------------- file formats

check "gzip: predict" same valid.csv.gz
check "gzip: train" home train recipe.json --train train.csv.gz --valid valid.csv.gz --output gz.safetensors
check "gzip: the same bytes" cmp m.safetensors gz.safetensors
check "threads: train" home train recipe.json --train train.csv --valid valid.csv --output threads.safetensors --threads 3
check "threads: the same bytes" cmp m.safetensors threads.safetensors
awk '{ gsub(/,/, "\",\""); printf "\"%s\"\r\n", $0 }' valid.csv > quoted.csv
check "quotes and CRLF" same quoted.csv
{ printf '\357\273\277'; cat valid.csv; } > mark.csv
check "a byte order mark" same mark.csv
printf %s "$(cat valid.csv)" > unended.csv
check "a last line without its end" same unended.csv
for end in '\n' '  \n' '\r\n' '\n\n\t\n' ' '; do
    { cat valid.csv; printf "$end"; } > blank.csv
    check "blank lines at the end" same blank.csv
done
{ cat valid.csv; yes '' | head -n 3000000; } > blank.csv # more than one buffer
check "many blank lines at the end" same blank.csv
echo '{"dense": [{"column": "x"}], "labels": [{"column": "y"}],
       "model": {"layers": [{"width": 4}, {"width": 4}]}}' > one.json
printf 'x,y\n1,0\n2,1\n3,0\n' > one.csv
home train one.json --train one.csv --output one.safetensors > one.out 2>&1
printf 'x\n1\n\n3\n\n\n' > blank.csv
check "in a file of one column, a blank line counts before others" \
    test "$(home predict one.safetensors blank.csv | wc -l)" -eq 4
printf 'x\n1\n\n""\n\n' > blank.csv
check "and an empty field in quotes always" test "$(home predict one.safetensors blank.csv | wc -l)" -eq 4
sed '9s/^/\n/' valid.csv > blank.csv
fails 1 'blank.csv:9:1: number of fields: 1; expected 9' home predict m.safetensors blank.csv
cp valid.csv.gz './a;touch injected;.csv.gz'
check "a file name is not a command" same './a;touch injected;.csv.gz'
check "and was not run" test ! -e injected
cp valid.csv.gz ./-dash.csv.gz
check "a file name is not an option" sh -c 'home predict m.safetensors -- -dash.csv.gz | cmp - valid.pred'

# "-" is standard input or output, or refused; never a file of that name.
check "predict from standard input" sh -c 'home predict m.safetensors - < valid.csv | cmp - valid.pred'
check "predict to standard output" sh -c 'home predict m.safetensors valid.csv --output - | cmp - valid.pred'
check "eval to standard output" sh -c 'home eval m.safetensors - --json - < valid.csv | cmp - valid.json'
check "report to standard output" sh -c \
    'home report m.safetensors - --output=- < valid.csv | tail -n 1 | grep -q "</html>"'
check "inspect from standard input" sh -c 'home inspect m.safetensors - < valid.csv | grep -q "^-: 1000"'
check "train from standard input" sh -c \
    'home train recipe.json --train - --valid valid.csv --output dash.safetensors < train.csv'
check "a recipe from standard input" sh -c \
    'home train - --train train.csv --valid valid.csv --output dash.safetensors < recipe.json'
check "and the same bytes" cmp m.safetensors dash.safetensors
fails 1 'standard input:2:' sh -c 'sed 2s/,/,,/ valid.csv | home predict m.safetensors -'
fails 2 'MODEL: "-"; expected the name of a file' home predict - valid.csv
fails 2 'MODEL: "-"; expected the name of a file' home info -
for words in '--output -' '--output x.safetensors --log -' '--output x.safetensors --resume -'; do
    # shellcheck disable=SC2086
    fails 2 ': "-"; expected the name of a file' home train recipe.json --train train.csv $words
done
fails 2 '--train: "-" is the file of' home train - --train - --output x.safetensors
check "no file is called -" test ! -e ./-

# Losses are means over labels, however few: one row in 100 has the second. With hardly any learning
# they are the log loss of what was predicted just before, which the metrics compute on their own.
cat > rare.json <<'END'
{"dense": [{"column": "x"}], "labels": [{"column": "click"}, {"column": "survey"}, {"column": "never"}],
 "training": {"epochs": 1, "batch": 32},
 "model": {"layers": [{"width": 4}, {"width": 4}], "optimizer": {"learning_rate": 1e-9}}}
END
awk 'BEGIN { srand(1); print "x,click,survey,never"; for (i = 0; i < 20000; i++)
  print rand() "," (rand() < 0.5) "," (rand() < 0.01 ? (rand() < 0.5) : "") "," }' > rare.csv
check "rare labels" sh -c 'home train rare.json --train rare.csv --output rare.safetensors --log rare.log 2> rare.err'
for task in click survey; do
    check "training loss of $task" within "$(awk -F, -v t=$task '$5 == t { print $8 }' rare.log)" \
        "$(awk -F, -v t=$task '$5 == t { print $11 }' rare.log)" 1e-6
done
check "none without labels" test -z "$(awk -F, '$5 == "never" { print $8 }' rare.log)"
check "their sum" within "$(sed -n 's/.*done: .* loss //p' rare.err)" \
    "$(awk -F, 'NR > 1 { sum += $11 } END { print sum }' rare.log)" 1e-3

# A prediction that is not a number is told, not written.
printf 'x,y\n.001,0\n.002,1\n.003,0\n.004,1\n' > huge.csv
echo '{"dense": [{"column": "x", "transform": "standardise"}], "labels": [{"column": "y"}],
       "model": {"layers": [{"width": 4}, {"width": 4}]}}' > huge.json
home train huge.json --train huge.csv --output huge.safetensors > huge.out 2>&1
printf 'x,y\n1,0\n3e38,1\n' > huge.csv
for command in 'predict --output huge.pred' eval inspect; do
    # shellcheck disable=SC2086
    set -- $command
    word=$1
    shift
    fails 1 'task "y"' home "$word" huge.safetensors huge.csv "$@"
done
fails 1 'row 2, task "y": the prediction is not a number; expected a probability' home predict huge.safetensors huge.csv
check "and none is written" test ! -e huge.pred

# Ids with separators, quotes and line ends in them, one user each.
cat > ids.json <<'END'
{"ids": [{"column": "id", "dim": 2}], "labels": [{"column": "y"}], "training": {"epochs": 1, "batch": 8},
 "model": {"layers": [{"width": 4}, {"width": 4}]}}
END
awk 'BEGIN { print "y,id"; for (i = 0; i < 16; i++)
    print i % 2 "," (i % 4 == 0 ? "\"a,b\"" : i % 4 == 1 ? "\"say \"\"hi\"\"\"" : i % 4 == 2 ? "\"two\nlines\"" : "\303\251t\303\251") }' > ids.csv
check "ids with commas, quotes and line ends" home train ids.json --train ids.csv --output ids.safetensors
check "are four" sh -c 'home info ids.safetensors | grep -q "table id with 4 values + 1"'
check "are found again" sh -c 'home predict ids.safetensors ids.csv | tail -n +2 | sort -u | wc -l | grep -qx 4'

# -------------------------------------------------------------------------------- what was learned

tail -n +2 train.csv | cut -d, -f5 > durations
mean=$(awk '{ s += log(1 + $1) } END { printf "%.9g", s / NR }' durations)
deviation=$(awk -v m="$mean" '{ d = log(1 + $1) - m; s += d * d } END { printf "%.9g", sqrt(s / NR) }' durations)
learned=$(grep '^  duration_ms: log1p standardise' info.out)
check "log1p then standardise: the mean" within "$(echo "$learned" | sed 's/.*mean \([^,]*\),.*/\1/')" "$mean" 1e-4
check "log1p then standardise: the deviation" within \
    "$(echo "$learned" | sed 's/.*deviation \([^)]*\)).*/\1/')" "$deviation" 1e-4
boundaries=$(tail -n +2 train.csv | cut -d, -f4 | grep . | sort -n | awk '{ v[NR] = $1 } END {
    for (i = 1; i < 5; i++) printf " %d", v[int(NR * i / 5) + 1] }')
check "bucketise: quantiles$boundaries" grep -qF "  age: bucketise (5 buckets:$boundaries), a column for missing" info.out
common=$(tail -n +2 train.csv | cut -d, -f1 | sort | uniq -c | awk '$1 >= 45' | wc -l)
check "min_count: $common users" grep -q "^  user_id: id, table user_id with $common values + 1," info.out
check "a shared table has the tags of both columns" grep -q '^  tags: list, table tag with 4 values + 1, dim 3' info.out
check "and so says its other column" grep -q '^  liked_tag: id, table tag with 4 values + 1, dim 3' info.out
check "the tensor of the shared table" grep -q '^  \[5, 3\]  *embeddings.tag.weight  table' info.out
check "one table of tags" test "$(grep -c '  embeddings\.' info.out)" -eq 2
check "the width of the dense inputs: 1 + 6 + 1 + 1" grep -q '^dense inputs: 4 columns, 9 values' info.out
check "parameters in tables" grep -q "^parameters: [0-9]*, and $((4 * (common + 1) + 15)) in embedding tables" info.out
check "steps: 47 in each of 3 epochs" grep -q '^training: {"epoch": 3, "steps": 141, "validation_auc": 0\.' info.out
check "FLOPs per row" grep -q '^FLOPs per row: [1-9]' info.out
check "tasks and groups" grep -q '^  is_like: column is_like, group watch, weight 0.5' info.out

# variant NAME COLUMN VALUE: valid rows with a column set, and their predictions.
variant() {
    awk -F, -v OFS=, -v c="$2" -v v="$3" 'NR > 1 { $c = v } { print }' raw.csv > "$1.csv"
    home predict m.safetensors "$1.csv" > "$1.pred"
}
rare=$(tail -n +2 train.csv | cut -d, -f1 | sort | uniq -c | awk '$1 < 45 { $1 = ""; print substr($0, 2); exit }')
often=$(tail -n +2 train.csv | cut -d, -f1 | sort | uniq -c | awk '$1 >= 45 { $1 = ""; print substr($0, 2); exit }')
variant unknown 1 nobody
variant rare 1 "$rare"
variant often 1 "$often"
variant empty 1 ""
check "there is a rare user" test -n "$rare"
check "rare is unknown" cmp unknown.pred rare.pred
check "empty is unknown" cmp unknown.pred empty.pred
check "known is not unknown" sh -c '! cmp -s unknown.pred often.pred'
variant tags 2 'cat|dog'
variant messy 2 '|dog||cat|'
variant cat 2 cat
check "a list is a set of ids between separators" cmp tags.pred messy.pred
check "and all of them count" sh -c '! cmp -s tags.pred cat.pred'
variant twice 2 'cat|cat'
check "the mean of an id with itself is the id" cmp twice.pred cat.pred
variant missing 5 ""
variant mean 5 "$(awk -v m="$mean" 'BEGIN { printf "%.9g", exp(m) - 1 }')"
check "a missing value is the mean" sh -c "paste -d, missing.pred mean.pred | tail -n +2 |
    awk -F, '{ d = \$1 - \$3; if (d > 1e-5 || d < -1e-5) exit 1 }'"
variant shorter 5 1000
check "and not any value" sh -c '! cmp -s missing.pred shorter.pred'

check "the weight of a task" grep -q '"name": "is_like", "group": "watch", "weight": 0.5,' info.out

# What happens to one column alone is seen best without the others.
cat > small.json <<'END'
{"dense": [{"column": "age", "transform": "bucketise", "buckets": 5}],
 "ids": [{"column": "tags", "dim": 2, "separator": "|", "table": "tag", "min_count": 3},
         {"column": "liked_tag", "table": "tag"}],
 "labels": [{"column": "is_click"}], "training": {"epochs": 1, "batch": 64},
 "model": {"layers": [{"width": 4}, {"width": 4}], "optimizer": {"embedding_learning_rate": 0.5}}}
END
check "train on little" home train small.json --train train.csv --output small.safetensors
# little NAME AGE TAGS: the prediction of one row.
little() {
    printf 'age,tags,liked_tag\n%s,%s,dog\n' "$2" "$3" > "$1.csv"
    home predict small.safetensors "$1.csv" > "$1.pred"
}
set -- $boundaries
little at "$1" cat
little above "$(($1 + 1))" cat
little below "$(($1 - 1))" cat
little far 1000 cat
little last "$4" cat
little unaged "" cat
check "a boundary belongs to the bucket above" cmp at.pred above.pred
check "and not to the one below" differ at.pred below.pred
check "the last bucket has no end" cmp far.pred last.pred
check "missing is a bucket of its own" differ unaged.pred below.pred
little twice "$1" 'cat|cat'
check "the sum of an id with itself is not the id" differ at.pred twice.pred
awk -F, -v OFS=, 'NR == 2 || NR == 3 { $2 = "new|new"; $3 = "new" } { print }' train.csv > new.csv
check "train on new ids" home train small.json --train new.csv --output new.safetensors
check "two rows are fewer than 3, however often they have the id" sh -c \
    'home info new.safetensors | grep -q "table tag with 4 values + 1"'
awk -F, -v OFS=, 'NR >= 2 && NR <= 4 { $2 = "new" } { print }' train.csv > new.csv
check "train on three" home train small.json --train new.csv --output new.safetensors
check "three rows are enough" sh -c 'home info new.safetensors | grep -q "table tag with 5 values + 1"'

rate=$(tail -n +2 train.csv | awk -F, '$7 != "" { w += $9; s += $9 * $7 } END { printf "%.9g", s / w }')
check "towers start at the base rate" within \
    "$(sed -n 's/.*"name": "click".*"base_rate": \([^}]*\)}.*/\1/p' info.out)" "$rate" 1e-6

sed 's/"group": "watch"/"group": "watch", "given": "click"/' recipe.json > given.json
check "a task given another" home train given.json --train train.csv --output given.safetensors --epochs 1
both=$(tail -n +2 train.csv | awk -F, '{ w += $9; s += $9 * $8 } END { printf "%.9g", s / w }')
home info given.safetensors > given.out
check "its tower starts at the rate among the rows of the other" within \
    "$(sed -n 's/.*"name": "is_like".*"base_rate": \([^,}]*\), "given": "click".*/\1/p' given.out)" \
    "$(awk -v a="$both" -v b="$rate" 'BEGIN { print a / b }')" 1e-6
home predict given.safetensors valid.csv > given.pred
check "it is never more probable than the other" awk -F, 'NR > 1 && $2 > $1 { exit 1 }' given.pred
sed 's/"group": "watch"/"group": "watch", "base_rate": 0.25/' recipe.json > rate.json
check "a base rate of its own" sh -c 'home train rate.json --train train.csv --output rate.safetensors --epochs 1 &&
    home info rate.safetensors | grep -q "\"name\": \"is_like\".*\"base_rate\": 0.25[,}]"'

# ------------------------------------------------------------------------------- what training uses

# outcome NAME RECIPE TRAIN OPTION...: predictions, for users nobody knows, of a model trained so.
outcome() {
    name=$1 with=$2 on=$3
    shift 3
    [ $# -gt 0 ] || set -- --epochs 2
    home train "$with" --train "$on" --output outcome.safetensors "$@" > outcome.out 2>&1 || cat outcome.out
    home predict outcome.safetensors unknown.csv > "$name.pred"
}

# Every other row weighs nothing, and then its label tells nothing.
awk -F, -v OFS=, 'NR > 1 { $9 = NR % 2 } { print }' train.csv > half.csv
awk -F, -v OFS=, 'NR > 1 && NR % 2 == 0 && $7 != "" { $7 = 1 - $7; $8 = 1 - $8 } { print }' half.csv > flipped.csv
grep -v row_weight recipe.json > unweighted.json
outcome half recipe.json half.csv
outcome flipped recipe.json flipped.csv
check "rows of weight 0 do not count" cmp half.pred flipped.pred
outcome half unweighted.json half.csv
outcome flipped unweighted.json flipped.csv
check "without weights they do" differ half.pred flipped.pred

# The users move to other rows; when every id is dropped, that makes no difference.
awk -F, -v OFS=, 'NR == 1 { print; next } { row[NR] = $0; user[NR] = $1 } END {
    for (i = 2; i <= NR; i++) { $0 = row[i]; $1 = user[i < NR ? i + 1 : 2]; print } }' train.csv > moved.csv
sed 's/"dropout": 0.2/"dropout": 1/' recipe.json > all.json
sed 's/"dropout": 0.2/"dropout": 0/' recipe.json > none.json
outcome stayed all.json train.csv
outcome moved all.json moved.csv
check "dropout 1 hides the ids" cmp stayed.pred moved.pred
outcome stayed none.json train.csv
outcome moved none.json moved.csv
check "dropout 0 does not" differ stayed.pred moved.pred
outcome some recipe.json train.csv
check "dropout 0.2 is not 0" differ some.pred stayed.pred

sed 's/"learning_rate_decay": 0.9/"learning_rate_decay": 0.5/' recipe.json > decay.json
outcome slow decay.json train.csv
outcome first recipe.json train.csv --epochs 1
outcome slowfirst decay.json train.csv --epochs 1
check "learning_rate_decay acts from the second epoch on" cmp first.pred slowfirst.pred
check "and there it does" differ some.pred slow.pred
outcome batch recipe.json train.csv --batch 32 --epochs 2
check "--batch counts" differ some.pred batch.pred
head -n 66 train.csv > odd.csv
check "a last batch of one row" home train recipe.json --train odd.csv --output odd.safetensors

# -------------------------------------------------------------------------- determinism and stopping

check "train again" home train recipe.json --train train.csv --valid valid.csv --output again.safetensors
check "the same bytes" cmp m.safetensors again.safetensors
check "another seed" home train recipe.json --train train.csv --valid valid.csv --output seed.safetensors --seed 6
check "other bytes" sh -c '! cmp -s m.safetensors seed.safetensors'
check "without validation" sh -c 'home train recipe.json --train train.csv --output plain.safetensors --epochs=1 > plain.out'
check "the table is of the training rows" grep -q '^epoch 1, 3000 training rows' plain.out

sed 's/"dropout": 0.2/"dropout": 0/; s/"learning_rate": 0.003/"learning_rate": 0.05/' recipe.json > greedy.json
head -n 301 train.csv > few.csv
home train greedy.json --train few.csv --valid valid.csv --output early.safetensors --epochs 60 > early.out 2> early.err
check "stops early" grep -q '^stopped early: no better epoch in the last 2$' early.out
best=$(sed -n 's/.* holds the model after epoch //p' early.out)
check "two epochs after the best" test "$(grep -c '^epoch ' early.out)" -eq $((best + 2))
check "the best is the one with the highest mean AUC" test "$best" -eq \
    "$(sed -n 's/^mean AUC \([^,]*\).*/\1/p' early.out | awk '$1 > top { top = $1; best = NR } END { print best }')"
check "train up to the best" home train greedy.json --train few.csv --output short.safetensors --epochs "$best"
home eval early.safetensors valid.csv > early.eval
home eval short.safetensors valid.csv > short.eval
check "the checkpoint is the best epoch's" cmp early.eval short.eval
sed 's/"patience": 2/"patience": 0, "select": ["is_like"]/; s/"epochs": 3/"epochs": 4/' greedy.json > select.json
home train select.json --train few.csv --valid valid.csv --output select.safetensors > select.out 2> select.err
check "patience 0 goes on" test "$(grep -c '^epoch ' select.out)" -eq 4
check "select: the mean is of the selected task" within \
    "$(sed -n 's/^mean AUC \([^,]*\).*/\1/p' select.out | head -n 1)" \
    "$(awk '/^is_like/ { print $4; exit }' select.out)" 6e-5

# ---------------------------------------------------------------------------------------- signals

# start_training ARGUMENT...: in the background, with the process in $pid.
start_training() {
    home train recipe.json "$@" > signal.out 2> signal.err &
    pid=$!
}

for signal in INT TERM; do
    rm -f signal.safetensors signal.err
    start_training --train train.csv --output signal.safetensors --epochs 100000
    wait_until test -e signal.safetensors
    kill -s "$signal" "$pid"
    wait "$pid"
    status=$?
    check "$signal: exit status 130, not $status" test "$status" -eq 130
    check "$signal: says what is saved" grep -q 'interrupted; signal.safetensors holds the model after epoch [1-9]' signal.err
    check "$signal: the checkpoint is good" home eval signal.safetensors valid.csv
    check "$signal: no temporary file is left" none_left
done

rm -f signal.safetensors signal.err
rows 3 60000 > long.csv
start_training --train long.csv --output signal.safetensors --epochs 1 --batch 2
wait_until grep -qs ' rows in ' signal.err
kill -s INT "$pid"
wait "$pid"
status=$?
check "before the first epoch: exit status 130, not $status" test "$status" -eq 130
check "before the first epoch: says so" grep -q 'interrupted; no epoch was finished, so nothing was saved' signal.err
check "before the first epoch: no file" test ! -e signal.safetensors

mkfifo endless
home predict m.safetensors endless --output endless.pred 2> endless.err &
pid=$!
exec 9> endless
head -n 100 raw.csv >&9
sleep 0.3
kill -s INT "$pid"
wait "$pid"
status=$?
exec 9>&-
check "while reading: exit status 130, not $status" test "$status" -eq 130
check "while reading: says so" grep -q 'interrupted while reading endless' endless.err
check "while reading: no result" test ! -e endless.pred
check "while reading: no temporary file is left" none_left

# ----------------------------------------------------------------------------------- errors in data

# broken LINE COLUMN VALUE: valid.csv with one field replaced, as broken.csv.
broken() {
    awk -F, -v OFS=, -v line="$1" -v c="$2" -v v="$3" 'NR == line { $c = v } { print }' valid.csv > broken.csv
}
# byte LINE COLUMN: where the field begins.
byte() {
    awk -F, -v line="$1" -v c="$2" 'NR == line { for (i = 1; i < c; i++) n += length($i) + 1; print n + 1 }' broken.csv
}
train_broken() {
    rm -f bad.safetensors
    home train recipe.json --train broken.csv --output bad.safetensors
}

broken 700 4 young
fails 1 "broken.csv:700:$(byte 700 4): column \"age\": \"young\"; expected a decimal number" train_broken
check "no model of a broken file" test ! -e bad.safetensors
fails 1 "broken.csv:700:$(byte 700 4): column \"age\"" home predict m.safetensors broken.csv --output bad.pred
check "no predictions of a broken file" test ! -e bad.pred
check "nothing on standard output" test ! -s fails.out
home predict m.safetensors broken.csv > bad.pred 2> /dev/null
check "nothing on standard output, really" test ! -s bad.pred
cp valid.pred kept.pred
fails 1 "column \"age\"" home predict m.safetensors broken.csv --output kept.pred
check "an old result stays" cmp kept.pred valid.pred
fails 1 "column \"age\"" home eval m.safetensors broken.csv --json bad.scores
check "no scores of a broken file" test ! -e bad.scores
for value in nan inf 0x10 1e99 ' 5' 5x - . 1e --1; do
    broken 3 4 "$value"
    fails 1 "broken.csv:3:$(byte 3 4): column \"age\": \"$value\"; expected" home predict m.safetensors broken.csv
done
for value in 5 +5 5. 5.0 0.5e1 50e-1 5.00000000000000000000 00000000000000000000005; do
    variant number 4 "$value"
    variant five 4 5
    check "\"$value\" is 5" cmp number.pred five.pred
done
broken 10 7 yes
fails 1 "broken.csv:10:$(byte 10 7): column \"is_click\": \"yes\"; expected a label from 0 to 1" train_broken
broken 10 7 2
fails 1 "broken.csv:10:$(byte 10 7): column \"is_click\": \"2\"; expected a label from 0 to 1" \
    home eval m.safetensors broken.csv
broken 10 9 -1
fails 1 "broken.csv:10:$(byte 10 9): column \"w\": \"-1\"; expected a weight of 0 or more" train_broken
broken 10 9 ""
fails 1 "column \"w\": \"\"; expected a weight of 0 or more" train_broken
broken 10 1 "$(printf 'caf\351')"
fails 1 "broken.csv:10:1: column \"user_id\"" train_broken
check "predict takes any bytes for an unknown id" home predict m.safetensors broken.csv
broken 10 4 '1,2'
fails 1 'broken.csv:10:1: number of fields: 10; expected 9' train_broken
broken 10 4 ''
sed '10s/,//' valid.csv > broken.csv
fails 1 'broken.csv:10:1: number of fields: 8; expected 9' train_broken
sed '10s/.*//' valid.csv > broken.csv
fails 1 'broken.csv:10:1: number of fields: 1; expected 9' train_broken
broken 10 2 'ca"t'
fails 1 "broken.csv:10:$(($(byte 10 2) + 2)): a quote inside a field" train_broken
broken 10 2 '"cat"s'
fails 1 "broken.csv:10:$(($(byte 10 2) + 5)): text after a closing quote" train_broken
broken 1001 2 '"cat'
fails 1 "broken.csv:1001:$(byte 1001 2): a quoted field without its closing quote" train_broken
{ head -n 3 valid.csv; printf '"two\nlines",cat,cat,old,1,1,1,1,1\n'; } > broken.csv
fails 1 'broken.csv:5:16: column "age": "old"' train_broken
: > broken.csv
fails 1 'broken.csv:1:1: the file is empty' train_broken
head -n 1 valid.csv > broken.csv
fails 1 'broken.csv: 0 rows; expected at least 2' train_broken
check "no rows, no predictions" sh -c 'home predict m.safetensors broken.csv | cmp - "$0"' "$(head -n 1 valid.pred > head.pred; echo head.pred)"
cut -d, -f1-3,5- valid.csv > broken.csv
fails 1 'broken.csv:1:1: no column "age" in the header' home predict m.safetensors broken.csv
sed '1s/country/age/' valid.csv > broken.csv
fails 1 'broken.csv:1:1: 2 columns "age" in the header; expected one' home predict m.safetensors broken.csv
cut -d, -f1-7 valid.csv > broken.csv
fails 1 'broken.csv:1:1: no column "is_like" in the header' home eval m.safetensors broken.csv
awk -F, -v OFS=, 'NR > 1 { $7 = $8 = 0 } { print }' valid.csv > broken.csv
fails 1 'broken.csv: no selected task has positive and negative labels' \
    home train recipe.json --train train.csv --valid broken.csv --output bad.safetensors
check "JSON null where there is no AUC" sh -c \
    'home eval m.safetensors broken.csv --json null.json > null.out && grep -q "\"auc\": null" null.json'
head -c 10000 train.csv.gz > broken.csv.gz
fails 1 'broken.csv.gz: gzip could not decompress it' \
    home train recipe.json --train broken.csv.gz --output bad.safetensors
cp valid.csv broken.csv.gz
fails 1 'broken.csv.gz: gzip could not decompress it' home predict m.safetensors broken.csv.gz
fails 1 'nowhere.csv: cannot open: No such file' home predict m.safetensors nowhere.csv
fails 1 '.: cannot read: Is a directory' home predict m.safetensors .
cp valid.csv.gz hidden.csv
fails 1 'hidden.csv: compressed by gzip; expected a name that ends in .gz' home predict m.safetensors hidden.csv
for format in '' '"'; do # every line in CR, with and without quotes
    awk -v q="$format" '{ gsub(/,/, q "," q); printf "%s\r", q $0 q }' valid.csv > cr.csv
    for command in predict eval inspect; do
        fails 1 'a line end of CR alone; expected LF, or CR and LF' home $command m.safetensors cr.csv
    done
    fails 1 'cr.csv:1:' home train recipe.json --train cr.csv --output bad.safetensors
done
awk 'NR == 500 { printf "%s\r", $0; next } 1' valid.csv > cr.csv
fails 1 'cr.csv:500:' home predict m.safetensors cr.csv
# A daemon ignores SIGCHLD, and so do its children: half a file is still no file. What it gives ends with a whole line.
{ head -n 1000 train.csv | gzip -c; tail -n +1001 train.csv | gzip -c | head -c 100; } > broken.csv.gz
check "the first half of it ends with a whole line" \
    sh -c 'head -n 1000 train.csv > half.csv; gzip -dc broken.csv.gz 2> half.err | head -n 1000 | cmp - half.csv'
ignoring() { sh -c 'trap "" CHLD; exec "$@"' sh "$@"; }
fails 1 'broken.csv.gz: gzip could not decompress it' ignoring home predict m.safetensors broken.csv.gz
fails 1 'broken.csv.gz: gzip could not decompress it' \
    ignoring home train recipe.json --train broken.csv.gz --output bad.safetensors
check "a whole file is read where SIGCHLD is ignored" \
    ignoring home predict m.safetensors valid.csv.gz --output ignored.pred
check "all of it" cmp ignored.pred valid.pred
tr , ';' < valid.csv > broken.csv
fails 1 'expected one (and commas between fields, not ";")' home predict m.safetensors broken.csv
sed '1s/age/Age/' valid.csv > broken.csv
fails 1 'no column "age" in the header, which has "user_id" "tags" "liked_tag" "Age" "duration_ms" ' \
    home predict m.safetensors broken.csv
sed '1s/user_id/age/' valid.csv > broken.csv
fails 1 'broken.csv:1:1: 2 columns "age"' home predict m.safetensors broken.csv
head -n 2 valid.csv > broken.csv
fails 1 'broken.csv: 1 row; expected at least 2' train_broken
awk -F, -v OFS=, 'NR > 1 { $7 = "" } { print }' train.csv > empty.csv
home train recipe.json --train empty.csv --output empty.safetensors --epochs 1 > empty.out 2> empty.err
check "a label that is always empty is told" grep -qxF \
    'home: warning: empty.csv: column "is_click" is empty in every row: task "click" learns nothing' empty.err
check "and only that" test "$(grep -c warning empty.err)" -eq 1
check "it is no error" test -s empty.safetensors
home inspect empty.safetensors empty.csv > empty.out
check "of such a task nothing is known" grep -qx 'underfitting: unknown: task click has no labels' empty.out
home inspect empty.safetensors valid.csv > empty.out
check "but of one that has labels" grep -q '^underfitting: [^c]' empty.out

# --------------------------------------------------------------------------------- errors in recipes

# recipe PATTERN TEXT REPLACEMENT: the recipe with a text replaced must fail so.
recipe() {
    awk -v from="$2" -v to="$3" '{ at = index($0, from)
        if (at) $0 = substr($0, 1, at - 1) to substr($0, at + length(from))
        print }' recipe.json > broken.json
    fails 1 "$1" home train broken.json --train train.csv --output bad.safetensors
}

recipe 'broken.json:2:52: transform: "log"; expected "none", "log1p"' '["log1p", "standardise"]' '"log"'
recipe 'broken.json:2:81: "log1p"; expected nothing after "bucketise"' '["log1p", "standardise"]' '["standardise", "bucketise", "log1p"]'
recipe 'broken.json:3:68: buckets: 1; expected a whole number from 2' '"buckets": 5' '"buckets": 1'
recipe 'buckets: 3; expected "buckets" only beside' '"transform": "standardise"' '"buckets": 3'
recipe 'broken.json:5:13: no "column" in this object; expected one' '{"column": "country"}' '{}'
recipe 'colunm: "country"; expected one of the keys "column" "transform" "buckets"' '"column": "country"' '"colunm": "country"'
recipe 'broken.json:6:11: no "dim" in this object; expected one' '"dim": 4, ' ''
recipe 'dim: 0; expected a whole number from 1' '"dim": 4' '"dim": 0'
recipe 'min_count: 1.5; expected a whole number' '"min_count": 45' '"min_count": 1.5'
recipe 'dropout: 2; expected a number from 0 to 1' '"dropout": 0.2' '"dropout": 2'
recipe 'separator: "||"; expected one ASCII character' '"separator": "|"' '"separator": "||"'
recipe 'pooling: "max"; expected "sum" or "mean"' '"pooling": "mean"' '"pooling": "max"'
recipe 'expected the same dim, min_count and init_std' '"column": "liked_tag"' '"column": "liked_tag", "dim": 5'
recipe 'column: "age"; expected a label that is not an input' '"column": "is_click"' '"column": "age"'
recipe 'weight: 0; expected a number from' '"weight": 0.5' '"weight": 0'
recipe 'batch: 1; expected a whole number from 2' '"batch": 64' '"batch": 1'
recipe 'patience: "x"; expected a whole number' '"patience": 2' '"patience": "x"'
recipe '"nothing"; expected the task of a label' '"seed": 5' '"select": ["nothing"]'
recipe 'base_rate: 1; expected true or false' '"seed": 5' '"base_rate": 1'
recipe 'learning_rate_factor: 0; expected a number from' '"seed": 5' '"learning_rate_factor": 0'
recipe 'learning_rate_decay: 2; expected a number from' '"learning_rate_decay": 0.9' '"learning_rate_decay": 2'
recipe 'dense: 3; expected this to be left out' '"layers"' '"dense": 3, "layers"'
recipe 'broken.json:14:34: model.layers[0].width is 0, expected a whole number from 1 to' '"width": 16' '"width": 0'
recipe 'broken.json:14:23: model.layers has 1 element, expected 2 for the preset home' '}, {"width": 8, "feature_rank": 4}]' '}]'
recipe 'broken.json:15:23: model.towers: there is no key of this name' '"tower"' '"towers"'
recipe 'broken.json:15:34: model.tower.hidden[0] is 0, expected' '"hidden": [8]' '"hidden": [0]'
recipe 'broken.json:15:34: model.tower.hidden[0] is 99999999, expected a whole number from 1 to' '"hidden": [8]' '"hidden": [99999999]'
recipe 'broken.json:15:67: model.experts.norm_epsilon is -1, expected' '"optimizer": {' '"experts": {"norm_epsilon": -1}, "optimizer": {'
recipe 'model.self_gate.hidden[1] is 99999999, expected' '"optimizer": {' '"self_gate": {"hidden": [1, 99999999]}, "optimizer": {'
recipe 'broken.json:15:70: model.optimizer.learning_rate is -1, expected' '0.003' '-1'
recipe 'broken.json:10:45: labels[1].group is "shared", expected another name' '"watch"' '"shared"'
recipe 'broken.json:10:45: labels[1].given is "nobody", expected' '"group": "watch"' '"given": "nobody"'
recipe 'broken.json:14:12: no "layers" in this object; expected one' '"layers"' '"layer"'
recipe 'base_rate: 1; expected a number from 1e-06 to 0.999999' '"group": "watch"' '"base_rate": 1'
recipe "broken.json:11:21: expected ',' or" '"w",' '"w" "é"'
recipe "broken.json:11:22: expected ',' or" '"w",' '"é" 5,'
recipe 'no column "nope" in the header' '"user": "user_id"' '"user": "nope"'
recipe 'no column "nope" in the header' '"row_weight": "w"' '"row_weight": "nope"'
echo '{"dense": [], "labels": [{"column": "y"}], "model": {}}' > broken.json
fails 1 'broken.json:1:1: no column in "dense" and "ids"; expected at least one' home train broken.json --train train.csv --output bad.safetensors
echo '[]' > broken.json
fails 1 'broken.json:1:1: []; expected an object' home train broken.json --train train.csv --output bad.safetensors
check "none of these wrote a model" test ! -e bad.safetensors

# All mistakes in a recipe's "model", each on a line with its place.
cat > broken.json <<'END'
{"dense": [{"column": "age"}], "labels": [{"column": "is_click"}, {"column": "long_view", "group": "shared"}],
 "model": {"layers": [{"width": 0, "hidden": [3, 0]}, {"widht": 8}], "swish_beta": 0,
           "experts": {"norm": "layer"},
           "optimizer": {"kind": "rowwise_adagrad", "embedding_kind": "sgd"}}}
END
fails 1 'broken.json:2:33: model.layers[0].width is 0, expected' home train broken.json --train train.csv --output bad.safetensors
sed 's/^home train: //' fails.err > told
cat > expected <<'END'
broken.json:2:33: model.layers[0].width is 0, expected a whole number from 1 to 16777216
broken.json:2:50: model.layers[0].hidden[1] is 0, expected a whole number from 1 to 16777216
broken.json:2:65: model.layers[1].widht: there is no key of this name
broken.json:2:84: model.swish_beta is 0, expected a number from 1e-06 to below 1e+06
broken.json:3:32: model.experts.norm is "layer", expected "none" or "batch"
broken.json:4:34: model.optimizer.kind is "rowwise_adagrad", expected "adam", "sgd", "adamw" or "adagrad"
broken.json:4:71: model.optimizer.embedding_kind is "sgd", expected "adam", "rowwise_adagrad" or "adagrad"
broken.json:1:100: labels[1].group is "shared", expected another name
broken.json:2:55: model.layers[1].width is missing, expected a whole number from 1 to 16777216
END
check "all mistakes in a model are told" diff expected told

# HOME_ISA is the program's, not the library's.
HOME_ISA=avx fails 1 'HOME_ISA is "avx", expected "portable", "avx2", "avx512" or "neon"' \
    home train recipe.json --train few.csv --output bad.safetensors
check "HOME_ISA caps what trains" env HOME_ISA=portable home train recipe.json --train few.csv --output capped.safetensors --epochs 1
HOME_ISA=sse fails 1 'HOME_ISA is "sse", expected' home eval capped.safetensors few.csv

{ printf '\357\273\277'; cat recipe.json; } > mark.json
check "a byte order mark in a recipe" home train mark.json --train few.csv --output mark.safetensors --epochs 1
{ printf '\357\273\277'; echo '{"model" 1}'; } > broken.json
fails 1 "broken.json:1:10: expected ':'" home train broken.json --train train.csv --output bad.safetensors

# What can be told before the rows are read is: the last line of this file is an error too.
{ cat train.csv; echo bad; } > late.csv
sed 's/"width": 16/"width": 0/' recipe.json > broken.json
fails 1 'model.layers[0].width is 0' home train broken.json --train late.csv --output bad.safetensors
cut -d, -f1-3 valid.csv > narrow.csv
fails 1 'narrow.csv:1:1: no column "duration_ms"' \
    home train recipe.json --train late.csv --valid narrow.csv --output bad.safetensors
fails 1 'late.csv:3002:1: number of fields' home train recipe.json --train late.csv --valid valid.csv --output bad.safetensors

# ------------------------------------------------------------------- results in the place of other files

# spares FILE PATTERN COMMAND...: the command must be refused as wrong usage, and the file stay as it is.
spares() {
    spared=$1
    shift
    cp "$spared" spared.copy
    fails 2 "$@"
    check "\"$1\": $spared is as it was" cmp "$spared" spared.copy
}

cp few.csv own.csv
cp recipe.json own.json
ln own.csv hard.csv
ln -s own.csv soft.csv
cp m.safetensors own.safetensors
for path in own.csv ./own.csv "$PWD/own.csv" hard.csv soft.csv; do
    spares own.csv "--output: \"$path\" is the file of --train too; expected another one" \
        home train recipe.json --train own.csv --output "$path"
done
spares own.csv '--log: "own.csv" is the file of --train too' \
    home train recipe.json --train own.csv --output x.safetensors --log own.csv
spares own.csv '--output: "own.csv" is the file of --valid too' \
    home train recipe.json --train train.csv --valid own.csv --output own.csv
spares own.json '--log: "own.json" is the file of RECIPE too' \
    home train own.json --train train.csv --output x.safetensors --log own.json
spares own.csv '--output: "./x" is the file of --log too' home train recipe.json --train own.csv --output ./x --log x
spares own.safetensors '--log: "own.safetensors" is the file of --resume too' \
    home train recipe.json --train train.csv --resume own.safetensors --output x.safetensors --log own.safetensors
spares own.csv '--json: "own.csv" is the file of DATA too' home eval m.safetensors own.csv --json own.csv
spares own.safetensors '--json: "own.safetensors" is the file of MODEL too' \
    home eval own.safetensors valid.csv --json own.safetensors
spares own.csv '--output: "own.csv" is the file of DATA too' home predict m.safetensors own.csv --output own.csv
spares own.safetensors '--output: "own.safetensors" is the file of MODEL too' \
    home predict own.safetensors valid.csv --output own.safetensors
from_own() {
    "$@" < own.csv
}
spares own.csv '--output: "soft.csv" is the file of DATA too' \
    from_own home predict m.safetensors - --output soft.csv
spares own.csv '--log: "own.csv" is the file of --train too' \
    from_own home train recipe.json --train - --output x.safetensors --log own.csv
spares own.csv '--output: "own.csv" is the file of DATA too' home report m.safetensors own.csv --output own.csv
spares own.csv '--output: "own.csv" is the file of --log too' \
    home report m.safetensors valid.csv --log own.csv --output own.csv
check "none of these left a file" test ! -e x -a ! -e x.safetensors

# ------------------------------------------------------------------------- other files, usage, streams

fails 1 'nowhere.safetensors' home predict nowhere.safetensors valid.csv
fails 1 'valid.csv' home info valid.csv
head -c 2000 m.safetensors > half.safetensors
fails 1 'half.safetensors' home eval half.safetensors valid.csv
fails 1 'no/m.safetensors: cannot write to its folder: No such file' \
    home train recipe.json --train train.csv --output no/m.safetensors
fails 1 '/dev/null: not a file' home train recipe.json --train train.csv --output /dev/null
fails 2 'no --train given' home train recipe.json --output x.safetensors
fails 2 'no --output given' home train recipe.json --train train.csv
fails 2 'no RECIPE given' home train
fails 2 'no DATA given' home eval m.safetensors
fails 2 'one word too many' home info m.safetensors m.safetensors
fails 2 '--colour: no such option' home info m.safetensors --colour
fails 2 '-x: no such option' home info m.safetensors -x
fails 2 '--epochs: "0"; expected a whole number from 1' home train recipe.json --epochs 0
fails 2 '--seed: nothing; expected a value' home train recipe.json --seed
fails 2 'no such command' home fly
fails 2 'no such command' home help fly
fails 2 '--epochs: given twice' home train recipe.json --train train.csv --output x.safetensors --epochs 1 --epochs=2
fails 2 '--train: given twice' home train recipe.json --train train.csv --train valid.csv --output x.safetensors
fails 2 '--resumable: given twice' home train recipe.json --resumable --resumable
fails 2 '--threads: "0"; expected a whole number from 1 to 1024' home train recipe.json --threads 0
fails 2 '--threads: "1025"; expected a whole number from 1 to 1024' home train recipe.json --threads 1025
fails 2 '--patience: only with --valid' home train recipe.json --train train.csv --output x.safetensors --patience 1
fails 2 'usage: home train' home
for command in train eval predict info; do
    check "$command --help" sh -c "home $command --help | grep -q '^usage: home $command '"
done
for words in -h help; do
    check "$words" sh -c "home $words | grep -q '^usage: home train '"
done
for words in 'train -h' 'help train' 'train recipe.json -h'; do
    check "$words" sh -c "home $words | grep -q 'adds to it'"
done
check "--help" sh -c 'home --help | grep -q "home info MODEL"'
check "--version" sh -c 'home --version | grep -qx "home [0-9]*\.[0-9]*\.[0-9]*"'
if [ -c /dev/full ]; then
    fails 1 'standard output: cannot write' sh -c 'home predict m.safetensors valid.csv > /dev/full'
    fails 1 'standard output: cannot write' sh -c 'home info m.safetensors > /dev/full'
fi
if script -qec true /dev/null > /dev/null 2>&1; then # there, and pseudo-terminals too
    script -qec 'home train recipe.json --train long.csv --output bar.safetensors --epochs 1 --batch 2' /dev/null > bar.out
    check "a bar on a terminal" grep -q 'epoch 1/1 \[#*\.*\] .* rows/s  loss .* s left' bar.out
fi

# ----------------------------------------------------------------------------------- training further

# Epochs are one stream of numbers: stopping after any of them and resuming gives the bytes of not stopping. The
# rates of the epochs of a run start at the full one, so this is said of a recipe without decay.
sed 's/, "learning_rate_decay": 0.9//' recipe.json > even.json
rows 3 1500 > next.csv
further() {
    home train even.json --train "$1" --resume "$2" --output "$3" --epochs "$4"
}
check "two epochs in one go" home train even.json --train train.csv --output whole.safetensors --epochs 2 --resumable
check "one epoch" home train even.json --train train.csv --output half.safetensors --epochs 1 --resumable
check "and one more" further train.csv half.safetensors joined.safetensors 1
check "stopping in between changes no byte" cmp whole.safetensors joined.safetensors
check "two epochs on the next day" further next.csv whole.safetensors next.safetensors 2
check "the first of them" further next.csv joined.safetensors joined.safetensors 1
check "the second" further next.csv joined.safetensors joined.safetensors 1
check "nor does it on other rows" cmp next.safetensors joined.safetensors
check "they learned" differ whole.safetensors next.safetensors
check "epochs go on" sh -c 'home info next.safetensors | grep -qF "\"epoch\": 4,"'
check "vocabularies stay" sh -c 'home info next.safetensors | grep "^  user_id:" > a; home info whole.safetensors | grep -qxFf a'
check "without the state a model is smaller" test "$(wc -c < m.safetensors)" -lt "$(wc -c < whole.safetensors)"
sed 's/"seed": 5/"seed": 5, "learning_rate_factor": 0.9/' recipe.json > slower.json
check "two epochs of which the second is slower" home train recipe.json --train train.csv --output whole2.safetensors --epochs 2 --resumable
check "one" home train recipe.json --train train.csv --output half2.safetensors --epochs 1 --resumable
check "and one that resumes slower" home train slower.json --train train.csv --resume half2.safetensors --output joined2.safetensors --epochs 1
check "a factor goes on where a decay has led" cmp whole2.safetensors joined2.safetensors
check "further with validation rows" home train recipe.json --train next.csv --valid valid.csv \
    --resume whole.safetensors --output valid.safetensors
check "what is trained further predicts" home eval valid.safetensors valid.csv

fails 1 'm.safetensors: it holds no optimizer state; expected' further next.csv m.safetensors x.safetensors 1
fails 1 'home train: cannot open "nothere.safetensors": No such file' further next.csv nothere.safetensors x.safetensors 1
sed 's/"buckets": 5/"buckets": 6/' even.json > other.json
fails 1 'other.json: "dense[1]" differs from the recipe in whole.safetensors; expected' \
    home train other.json --train next.csv --resume whole.safetensors --output x.safetensors
sed '/row_weight/d' even.json > other.json
fails 1 'other.json: "row_weight" differs' \
    home train other.json --train next.csv --resume whole.safetensors --output x.safetensors
sed 's/"width": 16/"width": 32/' even.json > other.json
fails 1 'other.json: "model" differs' \
    home train other.json --train next.csv --resume whole.safetensors --output x.safetensors
tr -s ' \n' ' ' < even.json | sed 's/{/ { /g; s/"seed": 5/"seed": 6/' > other.json
check "space and training may differ" \
    home train other.json --train next.csv --resume whole.safetensors --output y.safetensors --epochs 1
sed '1s/age/years/' next.csv > renamed.csv
fails 1 'renamed.csv:1:1: no column "age"' further renamed.csv whole.safetensors x.safetensors 1
sed '2s/^\([^,]*,[^,]*,[^,]*,\)[^,]*/\1old/' next.csv > bad.csv
fails 1 'expected a decimal number' further bad.csv whole.safetensors x.safetensors 1
fails 2 '--resumable: "yes"; expected no value' home train even.json --resumable=yes
check "a failure leaves no file" test ! -e x.safetensors

# -------------------------------------------------------------------------- the manual's own example

mkdir manual
sed -n '/^```sh$/,/^```$/p' "$root/docs/cli.md" | grep -v '^```' > manual/example.sh
check "the manual has an example" grep -q '^home train ' manual/example.sh
check "the manual's example runs" sh -c 'cd manual && sh -e example.sh'
check "and predicts" test "$(wc -l < manual/predictions.csv)" -eq 1001
check "and reports" grep -q '</html>' manual/report.html

# And the README's, with what that made; its PATH is of the tree, where ours is of the program under test.
sed -n '/^    export PATH=/,/^    home report/p' "$root/README.md" > manual/readme.sh
check "the README begins with the PATH" grep -qx '    export PATH="$PWD/build:$PATH"' manual/readme.sh
sed -i 1d manual/readme.sh
check "the README's commands are six" test "$(grep -c '^    home ' manual/readme.sh)" -eq 6
check "they run" sh -c 'cd manual && rm model.safetensors predictions.csv report.html && sh -e readme.sh'
check "the manual has the same PATH" grep -qx '    export PATH="$PWD/build:$PATH"' "$root/docs/cli.md"
check "no temporary file is left at the end" none_left

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
