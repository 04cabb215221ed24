#!/bin/sh
# How "home train" learns: what it keeps, what it does for ids that it has not seen, and how far what it saves predicts
# as what it trained. Run from the top of the tree, after make.
. tests/cli/program.sh

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

# ---------------------------------------------------------------------------------------- batch norms

# Few steps on columns far from 0: what is saved must predict as what was trained, on the same rows.
awk 'BEGIN { srand(1); print "x,z,y"
    for (i = 0; i < 4000; i++) { x = rand(); print 1000 + 500 * x "," rand() "," (rand() < x * 0.2) } }' > far.csv
cat > far.json <<'END'
{"dense": [{"column": "x"}, {"column": "z"}], "labels": [{"column": "y"}], "training": {"batch": 500},
 "model": {"preset": "mmoe", "experts": {"norm": "batch", "activation": "swish"},
           "layers": [{"width": 16, "shared_experts": 2}]}}
END
sed 's/"batch": 500/"batch": 500, "norm_batches": 0/' far.json > lagging.json
for recipe in far lagging; do
    check "train $recipe" sh -c "home train $recipe.json --train far.csv --output $recipe.safetensors > $recipe.out 2>&1"
    grep '^y ' $recipe.out | tail -n 1 > $recipe.last
done
check "calibrated" within "$(figure far.safetensors far.csv calibration)" 1 0.06
check "no worse than in training" awk -v a="$(figure far.safetensors far.csv log_loss)" \
    -v b="$(awk '{ print $6 }' far.last)" 'BEGIN { exit !(a > 0 && a < b + 0.0005) }'
lag=$(figure lagging.safetensors far.csv calibration)
check "running averages alone give $lag" awk -v c="$lag" 'BEGIN { exit !(c > 1.1 || c < 0.9) }'
fails_recipe() {
    sed "s/\"batch\": 500/\"norm_batches\": $1/" far.json > bad.json
    ! home train bad.json --train far.csv --output bad.safetensors 2> bad.err && grep -qF 'expected a whole number from 0' bad.err
}
check "norm_batches is a whole number" fails_recipe -1
if have python3; then
    # The norm of an expert's first layer sees W x, whose mean over the rows is W times their mean.
    check "means are of all rows, with the weights as they are" python3 - <<'END'
import csv, json, struct

def tensors(path):
    data = open(path, "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    for name, entry in json.loads(data[8:8 + size]).items():
        if name != "__metadata__":
            begin, end = (8 + size + offset for offset in entry["data_offsets"])
            yield name, struct.unpack("<%df" % ((end - begin) // 4), data[begin:end])

rows = [(float(row["x"]), float(row["z"])) for row in csv.DictReader(open("far.csv"))]
mean = [sum(column) / len(rows) for column in zip(*rows)]
expert = "layers.0.units.shared.experts.%d."
for path, good in ("far.safetensors", True), ("lagging.safetensors", False):
    of = dict(tensors(path))
    off = 0
    for e in 0, 1:
        weight = of[expert % e + "linear.0.weight"]
        for k, running in enumerate(of[expert % e + "norm.running_mean"]):
            expected = weight[2 * k] * mean[0] + weight[2 * k + 1] * mean[1]
            values = [weight[2 * k] * x + weight[2 * k + 1] * z for x, z in rows]
            variance = sum((value - expected) ** 2 for value in values) / len(rows)
            off = max(off, abs(running - expected) / variance ** 0.5,
                      abs(of[expert % e + "norm.running_var"][k] / variance - 1))
    assert (off < 0.02) == good, (path, off)
END
else
    skip 'means of the batch norms: python3 is not installed'
fi

# ------------------------------------------------------------------------------------------ new ids

# Most of 500 users hardly click; new ones are drawn from the same. What an unknown user gets must have been learned.
users() {
    awk -v seed="$1" -v from="$2" 'BEGIN { srand(seed); print "u,x,y"; for (i = 0; i < 20000; i++) {
        u = from + int(rand() * 500); print "u" u "," rand() "," (rand() < (u * 7919 % 100 < 90 ? 0.03 : 0.5)) } }'
}
users 1 0 > users.csv
users 2 0 > same.csv
users 3 500 > new.csv
cat > users.json <<'END'
{"dense": [{"column": "x", "transform": "standardise"}], "ids": [{"column": "u", "dim": 8}], "labels": [{"column": "y"}],
 "training": {"epochs": 8, "batch": 256, "patience": 0}, "model": {"layers": [{"width": 16}, {"width": 16}],
 "tower": {"hidden": [8]}, "optimizer": {"embedding_learning_rate": 0.05}}}
END
sed 's/"dim": 8/"dim": 8, "dropout": 0/' users.json > undropped.json
sed 's/"dim": 8/"dim": 8, "dropout": 0.02/' users.json > dropped.json
for recipe in users undropped dropped; do
    check "train $recipe" home train $recipe.json --train users.csv --valid same.csv --output $recipe.safetensors
done
check "the default dropout is 0.02" sh -c '
    home eval users.safetensors new.csv > a.out 2> a.err; home eval dropped.safetensors new.csv 2> b.err | cmp - a.out'
base=$(awk -F, 'NR > 1 { n++; s += $3 } END { p = s / n; print -(p * log(p) + (1 - p) * log(1 - p)) }' new.csv)
loss=$(figure users.safetensors new.csv log_loss)
check "new users: log loss $loss, of the base rate $base" awk -v l="$loss" -v b="$base" 'BEGIN { exit !(l > 0 && l < 1.03 * b) }'
loss=$(figure undropped.safetensors new.csv log_loss)
check "without dropout it would be $loss" awk -v l="$loss" -v b="$base" 'BEGIN { exit !(l > 1.1 * b) }'
check "known users lose nothing" within "$(figure users.safetensors same.csv auc)" \
    "$(figure undropped.safetensors same.csv auc)" 0.004

# ---------------------------------------------------------------------------------------- unknown ids

# told DATA SHARE: a file's warning and counts by each command; SHARE is of its unknown ids, in percent.
told() {
    for command in eval inspect; do
        check "$command counts unknown ids" sh -c "home $command known.safetensors $1 2> told.err |
            grep -q '^u  *[0-9]*  *[0-9]*  *$2 %  '"
        check "$command warns" grep -q "warning: $1: column \"u\": [0-9]* of [0-9]* ids ($2 %, more than 10 %)" told.err
    done
    check "predict warns" sh -c "home predict known.safetensors $1 2>&1 > told.out | grep -q 'warning: $1: column .u.: .* ($2 %,'"
    check "report warns" sh -c "home report known.safetensors $1 --output told.html 2>&1 | grep -q 'warning: $1: column .u.'"
    check "report counts" grep -q "<tr><td>u</td>.*<td class=\"bad\">$2 %</td>" told.html
}

# change AWK: the ids of data.csv changed
change() {
    awk -F, -v OFS=, "NR > 1 { $1 } { print }" data.csv > changed.csv
}

sed 's/"u", "dim": 2/"u", "dim": 2, "dropout": 0/' small.json > known.json
awk -F, -v OFS=, 'NR > 1 { $1 = sprintf("%03d", $1) } { print }' data.csv > zeros.csv
home train known.json --train data.csv --output known.safetensors --epochs 1 > known.out 2>&1
check "known ids are not told" sh -c '
    home eval known.safetensors data.csv > told.out 2> told.err && ! grep -q "^ids of" told.out && ! test -s told.err'
check "and counted in JSON" sh -c '
    home eval known.safetensors data.csv --json - | grep -qF "\"ids\": {\"u\": {\"ids\": 3000, \"empty\": 0, \"unknown\": 0}}"'
change '$1 = $1 ".0"'
told changed.csv 100.0
check "the figures are as they were" sh -c '
    home eval known.safetensors changed.csv 2> told.err | tail -n 1 | grep -q "^y  *3000 "'
# Each way of writing 7 that is found: the awk that writes so, what it looks like, and the question.
asks() {
    change "$1"
    home predict known.safetensors changed.csv > told.out 2> told.err
    check "asks: $3" grep -qF "\" too, but \"$2\" is known: $3" told.err
}
asks '$1 = $1 ".00"' "$(sed -n 2p data.csv | cut -d, -f1)" 'are the ids written as numbers?'
asks '$1 = " " $1' "$(sed -n 2p data.csv | cut -d, -f1)" 'is there space around the ids?'
asks '$1 = "00" $1' "$(sed -n 2p data.csv | cut -d, -f1)" 'are the ids written as numbers?'
asks '$1 = "+" $1' "$(sed -n 2p data.csv | cut -d, -f1)" 'are the ids written as numbers?'
asks '$1 = "\"\"\"" $1 "\"\"\""' "$(sed -n 2p data.csv | cut -d, -f1)" 'are the ids in quotes once more?'
asks '$1 = $1 "|" 3' "$(sed -n 2p data.csv | cut -d, -f1)" 'are there several ids in a field?'
change '$1 = "new" $1'
home predict known.safetensors changed.csv > told.out 2> told.err
check "no spelling, no question" grep -qF "unknown to the model, for example \"new$(sed -n 2p data.csv | cut -d, -f1)\"" told.err
home train known.json --train zeros.csv --output known.safetensors --epochs 1 > known.out 2>&1
asks '$1 = $1 + 0' "$(sed -n 2p zeros.csv | cut -d, -f1)" 'have the ids lost their zeros in front?'
awk -F, -v OFS=, 'NR > 1 { $1 = $1 ".0" } { print }' data.csv > fractions.csv
home train known.json --train fractions.csv --output known.safetensors --epochs 1 > known.out 2>&1
asks '$1 = $1 + 0' "$(sed -n 2p fractions.csv | cut -d, -f1)" 'were they written as numbers in training?'
awk -F, -v OFS=, 'NR > 1 { $1 = "User" $1 } { print }' data.csv > letters.csv
home train known.json --train letters.csv --output known.safetensors --epochs 1 > known.out 2>&1
asks '$1 = "uSER" $1' "$(sed -n 2p letters.csv | cut -d, -f1)" 'are the ids written in other letters?'

# Many are more than 10 %: 300 of 3000 are not, 301 are. Empty ids are counted apart.
home train known.json --train data.csv --output known.safetensors --epochs 1 > known.out 2>&1
change 'if (NR <= 301) $1 = "new"; else if (NR <= 501) $1 = ""; else if (NR <= 701) $1 = 3'
awk 'BEGIN { print "u,x,y"; for (i = 0; i < 3000; i++) print (i < 300 ? "new" : i % 20) ",0.5," i % 2 }' > few.csv
check "300 of 3000 are not many" sh -c '
    home eval known.safetensors few.csv 2> told.err | grep -q "^u  *3000  *300  *10.0 %  new" && ! test -s told.err'
sed '302s/^[0-9]*/new/' few.csv > many.csv
check "301 are" sh -c 'home eval known.safetensors many.csv 2>&1 > told.out | grep -q "301 of 3000 ids (10.0 %, more"'
sed '3,12s/^[^,]*//' many.csv > empty.csv
check "empty ids are told apart" sh -c '
    home eval known.safetensors empty.csv --json - | grep -qF "{\"u\": {\"ids\": 2990, \"empty\": 10, \"unknown\": 291}}"'
check "of the validation rows too" sh -c '
    home train known.json --train data.csv --valid many.csv --output x.safetensors --epochs 1 2>&1 > told.out |
        grep -q "warning: many.csv: column .u.: 301 of 3000"'
check "but not of those that make the vocabulary" sh -c '
    ! home train known.json --train many.csv --output x.safetensors --epochs 1 2>&1 | grep -q warning'

summary
