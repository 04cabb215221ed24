#!/bin/sh
# What files of strangers can do to the program: nothing in them steers a terminal, is a formula in a spreadsheet or
# costs more time than its size. Run from the top of the tree, after make.
. tests/cli/program.sh

# seconds COMMAND...: the processor time of a command.
seconds() {
    ( time -p "$@" > seconds.out 2>&1 ) 2>&1 | awk '/^user/ { print $2 }'
}

# ---------------------------------------------------------------------------------------- terminals

# clean FILE...: nothing in them steers a terminal or the order of text: C0 but line ends, DEL, C1 as bytes and in
# UTF-8, marks, embeddings, overrides and isolates, separators of lines and paragraphs.
clean() {
    awk '/[\001-\011\013-\037\177]/ || /\302[\200-\237]/ || /\330\234/ || /\342\200[\216\217\250-\256]/ ||
         /\342\201[\246-\257]/ || /(^|[^\302-\364\200-\277])[\200-\277]/ {
             print FILENAME ":" FNR; bad = 1 } END { exit bad }' "$@"
}
printf 'a\302\205' > dirty.txt
check "the check finds a C1" sh -c '! awk "/\302[\200-\237]/ { bad = 1 } END { exit bad }" dirty.txt'

# Every name of the recipe is of a stranger; the library itself refuses C0 in those of fields, tables and groups. A
# line end in one may not begin a line of its own.
evil='\u001b[31m\u001b]0;owned\u0007\nfake\r\t\u007f\u009b2J\u202eab\u2066\u200f\u061c\u2028end'
raw=$(printf '\033[31m\033]0;owned\007\nfake\r\t\177\302\2332J\342\200\256ab\342\201\246\342\200\217\330\234\342\200\250end')
some='\u009b2J\u202eab\u2066\u200f\u061c\u2028end'
raw_some=$(printf '\302\2332J\342\200\256ab\342\201\246\342\200\217\330\234\342\200\250end')
cat > evil.json <<END
{"dense": [{"column": "x$evil", "transform": "standardise"}, {"column": "z"}],
 "ids": [{"column": "u$some", "table": "t$some", "dim": 2}, {"column": "v", "separator": "\u001b", "dim": 2}],
 "labels": [{"column": "click$evil", "task": "click", "group": "one$some"}, {"column": "like", "group": "two"}],
 "user": "u$some", "training": {"epochs": 1, "batch": 64},
 "model": {"layers": [{"width": 8}, {"width": 8}]}}
END
{
    printf '"x%s","u%s",v,"click%s",like,z\n' "$raw" "$raw_some" "$raw"
    awk -v raw="$raw" 'BEGIN { srand(1); for (i = 0; i < 2000; i++)
        printf "%.3f,\"%d%s\",a,%d,%d,%d\n", rand(), i % 7, raw, rand() < 0.5, rand() < 0.2, 1 }'
} > evil.csv
check "train on a stranger's names" sh -c \
    'home train evil.json --train evil.csv --valid evil.csv --output evil.safetensors --log evil.log > train.out 2> train.err'
check "info of them" sh -c 'home info evil.safetensors > info.out 2> info.err'
check "eval" sh -c 'home eval evil.safetensors evil.csv --json evil.scores > eval.out 2> eval.err'
check "predict" sh -c 'home predict evil.safetensors evil.csv > predict.out 2> predict.err'
check "inspect" sh -c 'home inspect evil.safetensors evil.csv > inspect.out 2> inspect.err'
check "report" sh -c 'home report evil.safetensors evil.csv --log evil.log --output - > report.out 2> report.err'
for command in train info eval predict inspect report; do
    check "$command is clean" clean $command.out $command.err
    check "$command: no line of a stranger's" sh -c "! grep -q '^fake' $command.out $command.err"
done
check "scores and log are clean" clean evil.scores evil.log
check "names can be told apart still" grep -q '^  x?\[31m?\]0;owned? fake' info.out
{ cat evil.csv; printf 'x\033[2J\302\233,u,v,1,1,1\n'; } > bad.csv
for command in eval predict inspect; do
    home $command evil.safetensors bad.csv > bad.out 2> bad.err
    check "an error of $command is clean" clean bad.out bad.err
done
home train evil.json --train bad.csv --output bad.safetensors > bad.out 2> bad.err
check "an error of train is clean" clean bad.out bad.err
check "and says what it quotes" grep -q 'x?\[2J?' bad.err
sed 's/"z"/"\\u202ez"/' evil.json > missing.json
home train missing.json --train evil.csv --output bad.safetensors > bad.out 2> bad.err
check "a missing column is clean" clean bad.out bad.err
printf '{"dense": [{"column": "\302\233"}], "\342\200\256": 1}' > bad.json
home train bad.json --train evil.csv --output bad.safetensors > bad.out 2> bad.err
check "an unknown key is clean" clean bad.out bad.err

# All that is for people to read goes through print.c; pages and CSV files have their own.
prints() {
    found=$(cd "$root/examples/cli" &&
        grep -nE '(^|[^a-z_])(v?f?printf|putchar|puts|fputs|fputc|perror|fwrite)\(' ./*.c |
        grep -vE '^\./(output|print|page|chart|gates|report|csv|history|predict)\.c:' |
        grep -vE '^\./main\.c:[0-9]*: .*fputs\((help|text), std' |
        grep -vE '^\./main\.c:[0-9]*: .*printf\("home %s\\n", home_version_string' |
        grep -vE '^\./eval\.c:[0-9]*: .*fwrite\(text\.data, 1, text\.length, to\.file\)' |
        grep -vE '^\./progress\.c:')
    [ -z "$found" ] || { echo "$found"; return 1; }
}
check "nothing is printed past the mask" prints

# ------------------------------------------------------------------------------------- spreadsheets

cat > named.json <<'END'
{"dense": [{"column": "x"}], "labels": [{"column": "y", "task": "NAME"}],
 "training": {"epochs": 1, "batch": 16}, "model": {"layers": [{"width": 4}, {"width": 4}]}}
END
awk 'BEGIN { print "x,y,=y"; for (i = 0; i < 64; i++) print i % 9 "," i % 2 "," i % 2 }' > named.csv
named() {
    sed "s/NAME/$1/" named.json > tried.json
}
for name in '=1+1' '+1' '-1' '@sum' '  =1' '\\uff1dx'; do
    named "$name"
    fails 1 'does not begin with =, +, - or @' home train tried.json --train named.csv --output named.safetensors
done
for name in '\\u001b[2J' 'a\\tb' '\\rb' 'a\\u009b' '\\u202ea' 'a\\nb'; do
    named "$name"
    fails 1 'tried.json:1:65: task: ' home train tried.json --train named.csv --output named.safetensors
    check "a name without control characters: $name" grep -qF 'expected a name without control characters' fails.err
done
check "none of these wrote a model" test ! -e named.safetensors
sed 's/"column": "y", "task": "NAME"/"column": "=y"/' named.json > tried.json
fails 1 'tried.json:1:52: column: "=y"; expected a name that' home train tried.json --train named.csv --output x.safetensors
for name in 'a=1' "'=1" 'é' 'a-b' '1'; do
    named "$name"
    check "$name is a name" home train tried.json --train named.csv --output named.safetensors
done
sed 's/"column": "y", "task": "NAME"/"column": "=y", "task": "y"/' named.json > tried.json
check "a column may have any" home train tried.json --train named.csv --output named.safetensors
sed 's/"column": "y", "task": "NAME"/&}, {"column": "x2", "task": "NAME"/' named.json > tried.json
fails 1 'task: "NAME"; expected a name that no label before it has' \
    home train tried.json --train named.csv --output x.safetensors

# The model of a stranger who did not train it with this program.
if have python3; then
    named click
    home train tried.json --train named.csv --output named.safetensors > named.out 2>&1
    python3 - <<'END'
import struct
data = open("named.safetensors", "rb").read()
size = struct.unpack("<Q", data[:8])[0]
header = data[8:8 + size].rstrip()
import json
parsed = json.loads(header)
parsed["__metadata__"].pop("home.crc32", None)
text = json.dumps(parsed, ensure_ascii=False).replace("click", "=1+1;").encode()
text += b" " * (-len(text) % 8)
open("stranger.safetensors", "wb").write(struct.pack("<Q", len(text)) + text + data[8 + size:])
END
    check "info of a stranger's model" home info stranger.safetensors
    for command in predict eval inspect; do
        fails 1 'stranger.safetensors:1:' home $command stranger.safetensors named.csv
        check "$command does not write its name" grep -qF 'task: "=1+1;"; expected a name that' fails.err
    done
    check "and writes nothing" test ! -s fails.out
else
    skip 'a stranger'"'"'s model: python3 is not installed' 8
fi

# ------------------------------------------------------------------------------------ time and size

# large COUNT: a recipe of so many columns and tables.
large() {
    awk -v n="$1" 'BEGIN { printf "{\"dense\": ["
        for (i = 0; i < n; i++) printf "%s{\"column\": \"d%d\"}", i ? "," : "", i
        printf "], \"ids\": ["
        for (i = 0; i < n; i++) printf "%s{\"column\": \"i%d\", \"dim\": 1}", i ? "," : "", i
        printf "], \"labels\": ["
        for (i = 0; i < n; i++) printf "%s{\"column\": \"l%d\"}", i ? "," : "", i
        printf "], \"training\": {\"select\": ["
        for (i = 0; i < n; i++) printf "%s\"l%d\"", i ? "," : "", i
        print "]}, \"model\": {}}" }'
}
large 40000 > large.json
fails 1 'no "layers" in this object' home train large.json --train named.csv --output x.safetensors
took=$(seconds home train large.json --train named.csv --output x.safetensors)
check "a recipe of 120000 columns takes $took s" awk -v t="$took" 'BEGIN { exit !(t < 2) }'

# The columns of a wide file are found by an index: 20000 of 20001 names compared with each other took 1.4 s.
awk 'BEGIN { for (i = 0; i < 20000; i++) printf "d%d,", i; print "y"
    for (r = 0; r < 4; r++) { for (i = 0; i < 20000; i++) printf "%d,", i * r % 7; print r % 2 } }' > wide.csv
awk 'BEGIN { printf "{\"dense\": ["; for (i = 0; i < 20000; i++) printf "%s{\"column\": \"d%d\"}", i ? "," : "", i
    print "], \"labels\": [{\"column\": \"y\"}], \"training\": {\"epochs\": 1},"
    print " \"model\": {\"preset\": \"mmoe\", \"layers\": [{\"width\": 2}]}}" }' > wide.json
check "train on a wide file" home train wide.json --train wide.csv --output wide.safetensors
took=$(seconds home predict wide.safetensors wide.csv)
check "to predict it takes $took s" awk -v t="$took" 'BEGIN { exit !(t < 0.7) }'
check "info of it" home info wide.safetensors

summary
