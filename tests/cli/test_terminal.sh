#!/bin/sh
# What the program shows of its progress, on terminals of any width and without one. Run from the top of the tree,
# after make.
. tests/cli/program.sh

cat > recipe.json << 'END_OF_RECIPE'
{"dense": [{"column": "x"}], "labels": [{"column": "y"}], "training": {"epochs": 3, "batch": 2},
 "model": {"layers": [{"width": 16}, {"width": 16}]}}
END_OF_RECIPE
rows() {
    awk -v rows="$1" 'BEGIN { srand(1); print "x,y"; for (i = 0; i < rows; i++) print rand() "," (rand() < 0.4) }'
}
rows 300 > few.csv
# As many rows as an epoch of a second has on this machine, so that it is drawn several times.
rows 8000 > many.csv
before=$(date +%s%N)
home train recipe.json --train many.csv --epochs 1 --output m.safetensors > train.out 2> train.err
took=$(((($(date +%s%N) - before) / 1000000) + 1))
[ "$took" -ge 1000 ] || rows $((8000 * 1000 / took)) > many.csv
home train recipe.json --train few.csv --output m.safetensors > train.out 2> train.err
check "nothing is said of a file that is read at once" sh -c '! grep reading train.err'

# slowly FILE: its bytes, with a pause in them.
slowly() {
    head -n 100 "$1"
    sleep 0.6
    tail -n +101 "$1"
}
slowly few.csv | home train recipe.json --train - --output m.safetensors > train.out 2> train.err
check "but of one that takes long" sh -c 'grep -c "^reading standard input: 0.0 MB$" train.err | grep -qx 1'
slowly few.csv | home predict m.safetensors - > predict.out 2> predict.err
check "where only results are expected, nothing is" test ! -s predict.err

if ! script -qec true /dev/null > /dev/null 2>&1; then
    skip "terminals" 20
    summary
fi

# on COLUMNS FILE COMMAND: what the command sends to a terminal of so many columns, one line a drawing.
on() {
    script -qec "stty cols $1; $3" /dev/null | tr '\r' '\n' | sed "s/$(printf '\033')\[K//g" | grep . > "$2"
}
# narrower COLUMNS FILE
narrower() {
    test -s "$2" && awk -v columns="$1" '!/ rows in / && length($0) >= columns { print; exit 1 }' "$2"
}
train='home train recipe.json --output m.safetensors > train.out'
for columns in 20 40 80 200; do
    on $columns shown "$train --train many.csv"
    check "$columns columns: a line is never wider" narrower $columns shown
    check "$columns columns: the epoch and the share are always there" grep -q '^epoch 1/3.* [0-9]* %' shown
    check "$columns columns: the first epoch and the last have a last line" test "$(grep -c '^epoch [13]/3 done' shown)" -eq 2
done
check "a wide one has all" grep -q '^epoch 1/3 \[#*\.*\]  *[0-9]* %  [0-9]* rows/s  loss 0\.[0-9]*  [0-9]* s left$' shown
on 40 shown "$train --train many.csv"
check "a narrow one has the time that is left" grep -q '^epoch 1/3 .* [0-9]* %.*  [0-9]* s left$' shown
on 100 shown "{ $train --train many.csv & sleep 0.5; stty cols 30; echo; echo changed; wait; }"
sed '1,/changed/d' shown > after
check "a window that is made smaller" narrower 30 after
on 80 shown "$train --train few.csv --epochs 1000 --batch 100"
check "a thousand epochs do not flood it" test "$(grep -c ' done: ' shown)" -le 30
check "the last one is told" grep -q '^epoch 1000/1000 done: ' shown

long=$(printf 'a\303\251%.0s' 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20).csv
cp few.csv "$long"
on 60 shown "{ head -n 100 few.csv; sleep 0.6; tail -n +101 few.csv; } | home predict m.safetensors - --output p.csv"
check "reading is shown" grep -q '^reading standard input  0.0 MB' shown
rows 300000 > long.csv
gzip -k long.csv
cp long.csv.gz "$long.gz"
for file in long.csv long.csv.gz "$long.gz"; do
    on 50 shown "home predict m.safetensors $file --output p.csv"
    if grep -q reading shown; then
        check "reading $file: a line is never wider" narrower 50 shown
        check "reading $file: the share is known" grep -q '^reading .* [0-9]* %' shown
    else
        skip "$file is read too fast" 2
    fi
done

summary
