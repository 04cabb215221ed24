#!/bin/sh
# examples/serve: threads that predict while checkpoints are swapped, saved by training that goes on.
. tests/test.sh

served=$scratch/model.safetensors
recipe=$scratch/recipe.json
rows() {
    awk -v seed="$1" -v count=2000 'BEGIN {
        srand(seed)
        print "x,y,like,view"
        while (count--) { x = rand(); y = rand(); print x "," y "," (rand() < x) "," (rand() < y) }
    }'
}
rows 1 >"$scratch/monday.csv"
rows 2 >"$scratch/tuesday.csv"
cat >"$recipe" <<'END'
{"dense": [{"column": "x"}, {"column": "y"}],
 "labels": [{"column": "like", "group": "act"}, {"column": "view", "group": "watch"}],
 "training": {"epochs": 1}, "model": {"layers": [{"width": 32}, {"width": 32}]}}
END

# until_there FILE PATTERN: within thirty seconds the pattern is in the file.
until_there() {
    tries=0
    while ! grep -q "$2" "$1"; do
        tries=$((tries + 1))
        [ "$tries" -lt 300 ] || return 1
        sleep 0.1
    done
}

check 'program and server build' $MAKE -s build/home build/serve
check 'the model of monday trains' build/home train "$recipe" --train "$scratch/monday.csv" --output "$served" --resumable
sed 's/"x"}, //' "$recipe" | sed 's/{"column": {/{/' >"$scratch/narrow.json"
check 'a model with other inputs trains' build/home train "$scratch/narrow.json" --train "$scratch/monday.csv" \
    --output "$scratch/narrow.safetensors"

build/serve "$served" 3 1e9 >"$scratch/out" 2>"$scratch/err" &
server=$!
check 'the server serves' until_there "$scratch/out" 'served by 3 threads'
check 'the model trains on while it is served' build/home train "$recipe" --train "$scratch/tuesday.csv" --resume "$served" --output "$served"
check 'the server takes the newer model up' until_there "$scratch/out" 'a newer model is served'
head -c 1000 "$served" >"$scratch/damaged" && mv "$scratch/damaged" "$served"
check 'the server refuses a damaged model' until_there "$scratch/out" 'the old model stays'
cp "$scratch/narrow.safetensors" "$scratch/copy" && mv "$scratch/copy" "$served"
check 'the server refuses a model with other inputs' until_there "$scratch/err" 'other inputs'
kill "$server"
wait "$server"
check 'SIGTERM ends the server without a failed call' test $? -eq 0
check 'the server says that no call failed' grep -qx '1 swaps, 0 failed calls' "$scratch/out"
# A model as small as this one is often swapped between two calls, so there may be none during the swap.
for phase in before after; do
    check "calls are answered $phase the swap" grep -q "^$phase  *[1-9]" "$scratch/out"
done
check 'the server ends by itself after its time' build/serve "$served" 1 0.1
check 'a file that is not there is refused' sh -c "! build/serve '$scratch/nothing' 1 1 2>'$scratch/err'"
check 'a file that is not there is named' grep -q nothing "$scratch/err"
summary
