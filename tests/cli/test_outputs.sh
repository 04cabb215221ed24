#!/bin/sh
# Where the program's results go: every command, and every kind of place. Run from the top of the tree, after make.
. tests/cli/program.sh
umask 022

cat > recipe.json << 'END_OF_RECIPE'
{"dense": [{"column": "x", "transform": "standardise"}], "ids": [{"column": "u", "dim": 2}],
 "labels": [{"column": "y"}], "training": {"epochs": 2, "batch": 64}, "model": {"layers": [{"width": 4}, {"width": 4}]}}
END_OF_RECIPE
awk 'BEGIN { srand(1); print "u,x,y"; for (i = 0; i < 500; i++) print i % 20 "," rand() "," (rand() < 0.4) }' > data.csv
home train recipe.json --train data.csv --output m.safetensors > train.out 2>&1

# write COMMAND PLACE [DATA]: the command's result to the place. Those of a log go there too.
write() {
    case $1 in
    train) home train recipe.json --train "${3-data.csv}" --output "$2" > write.out 2> write.err ;;
    log) home train recipe.json --train "${3-data.csv}" --output of-log.safetensors --log "$2" > write.out 2> write.err ;;
    predict) home predict m.safetensors "${3-data.csv}" --output "$2" 2> write.err ;;
    eval) home eval m.safetensors "${3-data.csv}" --json "$2" > write.out 2> write.err ;;
    report) home report m.safetensors "${3-data.csv}" --output "$2" 2> write.err ;;
    esac
}
# whole COMMAND FILE: the result is the one of an ordinary file; a log has times, and is compared without them.
whole() {
    case $1 in
    log) cut -d, -f1,2,4- "$2" > whole.log && cut -d, -f1,2,4- expected.log | cmp - whole.log ;;
    *) cmp "$2" "expected.$1" ;;
    esac
}
mode() {
    stat -L -c %a "$1"
}
none_left() {
    for file in ./*.tmp ./*/*.tmp; do
        [ ! -e "$file" ] || { echo "$file is left over"; return 1; }
    done
}
# refused COMMAND PLACE PATTERN: before any row is read: the table is not even there.
refused() {
    write "$1" "$2" nowhere.csv
    [ $? -eq 1 ] && grep -qF -e "$3" write.err || { cat write.err; return 1; }
}

results='predict eval report'
all="train log $results"
for command in $all; do
    check "$command: a new file" write $command expected.$command
    check "$command: its mode is the umask's" test "$(mode expected.$command)" = 644
    check "$command: it has the result" test -s expected.$command
done
(umask 077 && write predict private.csv)
check "predict: a new file under another umask" test "$(mode private.csv)" = 600

for command in $all; do
    mkdir "in.$command"
    cd "in.$command" || exit 1
    for file in recipe.json data.csv m.safetensors expected.$command; do
        ln -s "../$file" .
    done
    mkdir real
    echo old > plain
    echo old > real/file
    chmod 604 plain
    chmod 640 real/file
    ln -s real/file link
    ln -s "$PWD/link" second
    ln -s real/nothing lost
    if [ "$(id -u)" -eq 0 ]; then
        chown 65534:65533 plain
    else
        skip "owners, which need root"
    fi
    check "$command: an old file is replaced" write $command plain
    check "$command: by all of the result" whole $command plain
    check "$command: its mode stays" test "$(mode plain)" = 604
    [ "$(id -u)" -ne 0 ] || check "$command: and its owner" test "$(stat -c %u:%g plain)" = 65534:65533
    check "$command: through links" write $command second
    check "$command: to the file at their end" whole $command real/file
    check "$command: they stay links" test -L second -a -L link
    check "$command: the mode stays there too" test "$(mode link)" = 640
    check "$command: a folder is refused" refused $command real 'real: not a file'
    check "$command: a missing folder is refused" refused $command no/file 'no/file: cannot write to its folder: No such'
    [ $command = log ] ||
        check "$command: a link that leads nowhere is refused" refused $command lost 'lost: cannot follow the link'
    check "$command: no temporary file is left" none_left
    cd ..
done

# Any number of threads gives the same bytes.
for command in $results; do
    case $command in
    predict) home predict m.safetensors data.csv --threads 3 > threads.out ;;
    eval) home eval m.safetensors data.csv --json - --threads=3 > threads.out ;;
    report) home report m.safetensors data.csv --output - --threads 3 > threads.out ;;
    esac
    check "$command: the same with three threads" whole $command threads.out
done
home inspect m.safetensors data.csv > one.out
check "inspect: the same with three threads" sh -c 'home inspect m.safetensors data.csv --threads 3 | cmp - one.out'
check "train: validates the same with three threads" sh -c '
    for n in 1 3; do
        home train recipe.json --train data.csv --valid data.csv --output v.$n.safetensors --threads $n > v.$n.out 2> v.err
        sed "s/v\.$n\./v./" v.$n.out > v.$n.txt
    done
    cmp v.1.txt v.3.txt && cmp v.1.safetensors v.3.safetensors'

# Pipes, devices and what is open already get the result when all of it is there, as "-" does.
mkfifo pipe
for command in $results; do
    for place in - /dev/stdout /dev/fd/1 /proc/self/fd/1; do
        [ "$place" = - ] || [ -e "$place" ] || continue
        case $command in
        predict) home predict m.safetensors data.csv --output $place > stream.out ;;
        eval) home eval m.safetensors data.csv --json $place > stream.out ;;
        report) home report m.safetensors data.csv --output $place > stream.out ;;
        esac
        check "$command to $place" whole $command stream.out
    done
    cat pipe > stream.out &
    write $command pipe
    check "$command to a pipe with a name" wait $!
    check "$command: all of it" whole $command stream.out
    check "$command: a pipe stays a pipe" test -p pipe
    check "$command to a device" write $command /dev/null
    check "$command: it stays a device" test -c /dev/null
    if [ -e /dev/fd/0 ]; then
        write $command /dev/fd/7 7> stream.out
        check "$command to a descriptor" whole $command stream.out
        check "$command to one that is closed" refused $command /dev/fd/9 '/dev/fd/9: cannot write: Bad file'
    fi
done
if [ -e /dev/stdout ]; then
    ln -s /dev/stdout out
    { echo before; home predict m.safetensors data.csv --output out; echo after; } > stream.out
    check "through a link to it, what is there before and after stays" sh -c \
        '{ echo before; cat expected.predict; echo after; } | cmp - stream.out'
    check "which stays a link" test -L out
fi
for command in train log; do
    for place in pipe /dev/null; do
        check "$command to $place is refused" refused $command $place "$place: not a file"
    done
done

# What cannot be replaced is refused before the work.
if unshare -m true 2> /dev/null; then
    echo old > mounted
    echo old > "mounted too"
    for command in train $results; do
        check "$command: a mounted file is refused" unshare -m sh -c '
            mount --bind mounted "$1" && shift && exec "$@"' sh 'mounted too' sh -c '
            case $1 in
            train) set -- train recipe.json --train nowhere.csv --output "mounted too" ;;
            predict) set -- predict m.safetensors nowhere.csv --output "mounted too" ;;
            eval) set -- eval m.safetensors nowhere.csv --json "mounted too" ;;
            report) set -- report m.safetensors nowhere.csv --output "mounted too" ;;
            esac
            home "$@" 2> mounted.err
            [ $? -eq 1 ] && grep -q "^home $1: mounted too: cannot be replaced as a whole, because it is mounted" \
                mounted.err' sh $command
    done
    check "log: a mounted file is written to in its place" unshare -m sh -c '
        mount --bind mounted "mounted too" &&
        home train recipe.json --train data.csv --output of-log.safetensors --log "mounted too" > mounted.out 2>&1'
    check "log: all of it" whole log mounted
else
    skip "mounted files, which need root" 6
fi

# as_nobody COMMAND...: with the rights of no one; root may write everywhere.
as_nobody() {
    if [ "$(id -u)" -eq 0 ]; then
        setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
    else
        "$@"
    fi
}
chmod 755 "$scratch" "$scratch/bin"
if as_nobody test -x "$scratch/bin/home" && as_nobody home --version > version.out 2>&1; then
    mkdir kept open
    chmod 777 open
    echo old > kept/file
    chmod 666 kept/file
    chmod 555 kept
    cp recipe.json data.csv m.safetensors open
    cd open || exit 1
    for words in 'train recipe.json --train nowhere.csv --output' 'predict m.safetensors nowhere.csv --output' \
        'eval m.safetensors nowhere.csv --json' 'report m.safetensors nowhere.csv --output'; do
        # shellcheck disable=SC2086
        as_nobody home $words ../kept/file 2> kept.err
        check "a file in a folder that may not be changed is refused: $words" \
            grep -qF '../kept/file: cannot write to its folder: Permission denied' kept.err
    done
    cd ..
    chmod 755 kept
else
    skip "folders that may not be changed, which need another user" 4
fi

# ---------------------------------------------------------------------------------------- killed

# start: "home predict" in the background with half a table, so that it waits for the rest.
start() {
    rm -f half killed.csv
    mkfifo half
    home predict m.safetensors half --output killed.csv 2> killed.err &
    pid=$!
    exec 9> half
    head -n 100 data.csv >&9
    wait_until test -e killed.csv.0.tmp
}
# Whoever runs the tests under nohup has told the program to go on.
is_ignored() {
    [ "$(sh -c "kill -s $1 \$\$; echo ignored" 2> /dev/null)" = ignored ]
}
for signal in INT TERM HUP PIPE; do
    if [ $signal = HUP ] && is_ignored HUP; then
        skip "HUP, which is ignored here" 3
        continue
    fi
    start
    kill -s $signal $pid
    wait $pid 2> /dev/null
    status=$?
    exec 9>&-
    [ $signal = PIPE ] || check "$signal: exit status 130, not $status" test $status -eq 130
    check "$signal: the temporary file goes" test ! -e killed.csv.0.tmp
    check "$signal: there is no result" test ! -e killed.csv
done

# A file above the limit of the process is an error like that of a full disk, not a signal.
limited() {
    (ulimit -f 1 && write "$@")
}
for command in train predict report; do
    limited $command large
    status=$?
    check "$command: a file above the limit is an error, not $status" test $status -eq 1
    check "$command: it says so: $(cat write.err)" grep -q 'cannot write "large": ' write.err
    check "$command: it leaves nothing" test ! -e large
    check "$command: no temporary file either" none_left
done

start
kill -s KILL $pid
wait $pid 2> /dev/null
exec 9>&-
check "after SIGKILL a temporary file is left" test -e killed.csv.0.tmp
check "the next run" write predict killed.csv
check "removes it" none_left
check "and writes its own" whole predict killed.csv
home predict m.safetensors half --threads 3 2> killed.err > killed.out &
pid=$!
exec 9> half
head -n 100 data.csv >&9
sleep 0.3
if [ -r /proc/$pid/status ]; then
    check "threads are there" awk '/^Threads:/ { exit !($2 >= 3) }' /proc/$pid/status
fi
exec 9>&-
wait $pid
rm -f killed.csv
sh -c 'trap "" HUP; exec home predict m.safetensors half --output killed.csv' 2> killed.err &
pid=$!
exec 9> half
head -n 100 data.csv >&9
wait_until test -e killed.csv.0.tmp
kill -s HUP $pid
tail -n +101 data.csv >&9
exec 9>&-
check "under nohup it goes on" wait $pid
check "to its end" whole predict killed.csv

summary
