# What test scripts of the program ask of it, besides the script's own `check`.

# fails STATUS PATTERN COMMAND...: the command must exit with the status and say the pattern (of grep -F).
fails() {
    status=$1
    pattern=$2
    shift 2
    "$@" > fails.out 2> fails.err
    got=$?
    check "\"$pattern\": status $got, said: $(cat fails.err)" test "$got" -eq "$status"
    check "\"$pattern\": said: $(cat fails.err)" grep -qF -e "$pattern" fails.err
}

# within A B TOLERANCE
within() {
    awk -v a="$1" -v b="$2" -v t="$3" 'BEGIN { d = a - b; exit !(d <= t && -d <= t && a != "" && b != "") }' ||
        { echo "$1 is not $2 within $3"; return 1; }
}

# wait_until COMMAND...: for up to 20 s.
wait_until() {
    tries=0
    until "$@" || [ "$tries" -ge 200 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
}
