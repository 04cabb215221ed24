#!/bin/sh
# How "home train" learns: what it keeps, what it does for ids that it has not seen, and how far what it saves predicts
# as what it trained. Run from the top of the tree, after make.
. tests/test.sh
mkdir "$scratch/bin"
ln -s "$PWD/build/home" "$scratch/bin/home"
PATH=$scratch/bin:$PATH
cd "$scratch" || exit 1

# within A B TOLERANCE
within() {
    awk -v a="$1" -v b="$2" -v t="$3" 'BEGIN { d = a - b; exit !(d <= t && -d <= t && a != "" && b != "") }' ||
        { echo "$1 is not $2 within $3"; return 1; }
}

# figure MODEL DATA KEY: a figure of the task y.
figure() {
    home eval "$1" "$2" --json - 2> eval.err | sed -n "s/.*\"y\": {.*\"$3\": \([^,}]*\).*/\1/p"
}

# ------------------------------------------------------------------------------------- training further

cat > small.json <<'END'
{"dense": [{"column": "x", "transform": "standardise"}], "ids": [{"column": "u", "dim": 2}],
 "labels": [{"column": "y"}], "training": {"epochs": 8, "batch": 64},
 "model": {"layers": [{"width": 4}, {"width": 4}],
           "optimizer": {"learning_rate": 0.01, "embedding_learning_rate": 0.2}}}
END
awk 'BEGIN { srand(1); print "u,x,y"
    for (i = 0; i < 3000; i++) { u = int(rand() * 20); print u "," rand() "," (rand() < u / 20) } }' > data.csv
head -n 1501 data.csv > train.csv
{ head -n 1 data.csv; tail -n 1500 data.csv; } > valid.csv
sed 's/"batch": 64/"batch": 64, "learning_rate_factor": 100/' small.json > wild.json
sed 's/"batch": 64/"batch": 64, "learning_rate_factor": 0.01/' small.json > gentle.json

home train small.json --train train.csv --valid valid.csv --output good.safetensors --resumable > good.out 2>&1
best=$(sed -n 's/.* holds the model after epoch \([0-9]*\).*/\1/p' good.out)
auc=$(figure good.safetensors valid.csv auc)
# resume RECIPE FROM TO ARGUMENT...: trains further, with validation rows.
resume() {
    with=$1 from=$2 to=$3
    shift 3
    home train "$with" --train train.csv --valid valid.csv --resume "$from" --output "$to" "$@" > resume.out 2> resume.err
}
cp good.safetensors kept.safetensors
check "resume with steps too large" resume wild.json kept.safetensors kept.safetensors --epochs 1
check "a worse epoch does not replace the model" cmp kept.safetensors good.safetensors
check "the model's own score is told" grep -q "^mean AUC $(printf %.5f "$auc"), of the model to go on from: to be beaten" resume.out
check "and that nothing was better" grep -qx "kept.safetensors holds the model after epoch $best: no later one is better" resume.out
check "elsewhere" resume wild.json good.safetensors other.safetensors --epochs 2
check "another file gets the model as it was" cmp other.safetensors good.safetensors
check "patience counts from it" test "$(grep -c '^epoch ' resume.out)" -eq 2
check "patience 1 is over after one epoch" grep -q '^stopped early: no better epoch in the last 1$' resume.out
head -n 301 train.csv > few.csv
home train small.json --train few.csv --valid valid.csv --output poor.safetensors --epochs 1 --resumable > poor.out 2>&1
poor=$(figure poor.safetensors valid.csv auc)
cp poor.safetensors better.safetensors
check "resume a poor one" resume small.json better.safetensors better.safetensors --epochs 3
check "a better epoch does replace it" awk -v a="$poor" -v b="$(figure better.safetensors valid.csv auc)" \
    'BEGIN { exit !(b > a + 0.01) }'
check "and is told" grep -q ', the best so far: saved$' resume.out
check "without validation every epoch replaces it" sh -c '
    home train wild.json --train train.csv --resume kept.safetensors --output kept.safetensors --epochs 1 > resume.out 2>&1
    ! cmp -s kept.safetensors good.safetensors'

summary
