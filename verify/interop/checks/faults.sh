# What the command says when it cannot do its job. Owns: exit codes and the two-line shape.
# shellcheck shell=bash disable=SC2154

# faulty CODE PATTERN WORDS...: the command must end with CODE, and say on stderr one line of what
# is wrong, which matches PATTERN, and one of what to do.
faulty() {
    local code=0 expected=$1 pattern=$2 said
    shift 2
    timeout 20 "$@" >"$work/fault.out" 2>"$work/fault.err" </dev/null || code=$?
    said=$(cat "$work/fault.err")
    equal "$code" "$expected" "exit code; it said: $said"
    equal "$(wc -l <"$work/fault.err")" 2 "lines on stderr; it said: $said"
    [[ $said =~ ^error:\ .+$'\n'help:\ .+$ ]] || fail "not 'error: ...' and 'help: ...': $said"
    head -n 1 <<<"$said" | grep -qiE "$pattern" || fail "the first line has no /$pattern/: $said"
    head -n 1 <<<"$said"
}

ours_only() { [ -z "$referee" ] || skip "the referee has no stack"; }

check_fault_device_busy() {
    ours_only
    faulty 1 'utcp0' "$usertcp" serve "$site" >/dev/null
    grep -q -- --dev "$work/fault.err" || fail "no word of --dev: $(cat "$work/fault.err")"
    fetch "$base4/hello.txt" | cmp - "$site/hello.txt"
    head -n 1 "$work/fault.err"
}

check_fault_bad_cidr() { faulty 2 '10\.77\.0\.300' "$usertcp" serve "$site" --addr 10.77.0.300/24; }
check_fault_unknown_option() { faulty 2 'fast' "$usertcp" serve "$site" --fast; }
check_fault_no_directory() {
    faulty 1 'nowhere' "$usertcp" serve "$work/nowhere" --dev utcp3 --addr 10.79.0.2/24
}
check_fault_refused() {
    faulty 1 'refused' "$usertcp" connect 10.78.0.1 1 --dev utcp1 --addr 10.78.0.2/24 --peer 10.78.0.1/24
}

# --- Without permission -------------------------------------------------------------------------------

nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)

start_as_nobody() {
    "${nobody[@]}" "$usertcp" serve "$site" >"$work/nobody.log" 2>&1 </dev/null &
    nobody_pid=$!
    trap 'kill $nobody_pid' EXIT
    await http://127.0.0.1:8077/hello.txt "$nobody_pid" ||
        fail "no answer at 127.0.0.1:8077; it said: $(cat "$work/nobody.log")"
}

check_without_permission() {
    ours_only
    start_as_nobody
    fetch http://127.0.0.1:8077/data.bin | cmp - "$site/data.bin"
    equal "$(fetch http://127.0.0.1:8077/big.bin | sum)" "$big_sum" "SHA-256"
    grep -q '127\.0\.0\.1:8077' "$work/nobody.log" || fail "it does not say where: $(cat "$work/nobody.log")"
    grep -qiE 'permission|privilege|root' "$work/nobody.log" ||
        fail "it does not say why: $(cat "$work/nobody.log")"
    grep -iE 'permission|privilege|root' "$work/nobody.log" | head -n 1 | sed 's/^ *//'
}

check_fault_port_in_use() {
    ours_only
    start_as_nobody
    faulty 1 '8077' "${nobody[@]}" "$usertcp" serve "$site"
}

# The last word of the server all checks used.
check_stop() {
    kill -TERM "$main_pid"
    for _ in $(seq 50); do
        [ -e "/proc/$main_pid/fd/0" ] || break
        sleep 0.1
    done
    [ ! -e "/proc/$main_pid/fd/0" ] || fail "still running 5 s after SIGTERM"
    ! grep -qi panic "$work/main.log" || fail "$(grep -i -A 5 panic "$work/main.log")"
    for _ in $(seq 20); do
        [ -e /proc/sys/net/ipv4/conf/utcp0 ] || break
        sleep 0.1
    done
    ! ip link show utcp0 2>/dev/null || fail "utcp0 is still there"
    tail -n 1 "$work/main.log"
}
