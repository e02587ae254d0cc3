# What all checks use. Owns: verdicts, sizes, servers, files, counters.
# Must not know: what is checked.
#
# A check is a function check_NAME. It runs in a subshell under `set -e`. Its last line of output is
# the detail shown; `skip REASON` and `fail REASON` end it; any command that fails does too.
# shellcheck shell=bash disable=SC2154,SC2034

stack4=10.77.0.2 stack6=fd77::2
base4=http://$stack4 base6="http://[$stack6]"
passed=0 failed=0 skipped=0

# --- Verdicts ---------------------------------------------------------------------------------------

skip() {
    echo "$*"
    exit 77
}

fail() {
    echo "$*"
    exit 1
}

# Ends a check for which a program is not installed.
need() {
    local tool
    for tool in "$@"; do
        command -v "$tool" >/dev/null || skip "$tool is not installed"
    done
}

run_check() {
    local name=$1 output code began seconds
    began=$EPOCHREALTIME
    output=$(
        set -Eeuo pipefail
        exec 3>&1 # wherever a failing command's output goes, this is told
        trap 'echo "line $LINENO: ${BASH_COMMAND%%$'"'\\n'"'*}" >&3' ERR
        "check_$name" 2>&1 </dev/null
    )
    code=$?
    seconds=$(awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { printf "%5.1f s", b - a }')
    case $code in
    0)
        passed=$((passed + 1))
        printf 'ok       %-22s %s  %s\n' "$name" "$seconds" "$(tail -n 1 <<<"$output")"
        # What a check prints above its last line is a table to be shown.
        head -n -1 <<<"$output" | sed 's/^/             /'
        ;;
    77)
        skipped=$((skipped + 1))
        printf 'SKIPPED  %s: %s\n' "$name" "$(tail -n 1 <<<"$output")"
        ;;
    *)
        failed=$((failed + 1))
        printf 'FAIL     %-22s %s\n' "$name" "$seconds"
        tail -n 40 <<<"$output" | sed 's/^/             /'
        ;;
    esac
}

summary() {
    printf '\n%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
    [ "$failed" = 0 ]
    exit
}

# --- Sizes ------------------------------------------------------------------------------------------

size_up() {
    case $mode in
    quick) big_mib=64 wrk_seconds=3 wire_wrk_seconds=1 churn_count=10000 ;;
    normal) big_mib=1024 wrk_seconds=10 wire_wrk_seconds=3 churn_count=10000 ;;
    full) big_mib=1024 wrk_seconds=30 wire_wrk_seconds=5 churn_count=10000 ;;
    esac
}

# --- The place --------------------------------------------------------------------------------------

set_up() {
    ip link set lo up
    echo 1024 65535 >/proc/sys/net/ipv4/ip_local_port_range
    # Ports that servers of the checks listen on: a client of an earlier check that drew one would keep
    # it in TIME-WAIT, and the server could not bind it.
    echo 8077,9000 >/proc/sys/net/ipv4/ip_local_reserved_ports
    # Between two devices of ours, for connect_own_echo.
    echo 1 >/proc/sys/net/ipv4/ip_forward
    # Default congestion control of the kernel side: not every kernel allows every one here.
    echo reno >/proc/sys/net/ipv4/tcp_congestion_control

    site=$work/site
    mkdir "$site" "$site/sub"
    echo "hello from the other side of a wire" >"$site/hello.txt"
    echo "deeper" >"$site/sub/deep.txt"
    head -c 200000 /dev/urandom >"$site/data.bin"
    head -c "${big_mib}M" /dev/urandom >"$site/big.bin"
    big_sum=$(sum <"$site/big.bin")
    chmod -R a+rX "$site"
    if command -v gcc >/dev/null; then gcc -O2 -Wall -o "$work/churn" "$here/churn.c"; fi

    start main serve "$site" --writable
    if ! await "$base4/hello.txt" "$main_pid"; then
        echo "FAIL     usertcp serve did not answer at $base4/; it said:"
        sed 's/^/             /' "$work/main.log"
        failed=1
        summary
    fi
    idle_files=$(open_files "$main_pid")
    idle_octets=$(stat_of used_octets)
}

# start NAME WORDS...: runs the command in the background. Sets NAME_pid; its output is NAME.log.
start() {
    local name=$1
    shift
    "$usertcp" "$@" >"$work/$name.log" 2>&1 </dev/null &
    printf -v "${name}_pid" %s $!
}

# await URL PID: waits until the URL answers; not if the process ends before.
await() {
    for _ in $(seq 100); do
        curl -s -o /dev/null --max-time 1 "$1" && return
        kill -0 "$2" 2>/dev/null || return 1
        sleep 0.1
    done
    return 1
}

# await_port HOST PORT
await_port() {
    for _ in $(seq 100); do
        (: <"/dev/tcp/$1/$2") 2>/dev/null && return
        sleep 0.1
    done
    return 1
}

# await_listener PORT PID: waits until some address listens on the port; not if the process ends before.
await_listener() {
    local port
    port=$(printf ':%04X 0+:0000 0A' "$1")
    for _ in $(seq 100); do
        grep -qE "$port" /proc/net/tcp /proc/net/tcp6 && return
        kill -0 "$2" 2>/dev/null || return 1
        sleep 0.05
    done
    return 1
}

# --- Small tools ------------------------------------------------------------------------------------

fetch() { curl -sS --fail --max-time 300 "$@"; }
sum() { sha256sum | cut -d ' ' -f 1; }
open_files() { find "/proc/$1/fd" -mindepth 1 2>/dev/null | wc -l; }

# A number of stats.json by its name, empty if it is not there.
stat_of() {
    fetch "$base4/_usertcp/stats.json" | grep -oE "\"$1\": *[0-9]+" | head -n 1 | grep -oE '[0-9]+$'
}

# Connections of the stack in any state: rows are at most 200, and the number may leave TIME-WAIT out.
records() {
    local stats rows total
    stats=$(fetch "$base4/_usertcp/stats.json")
    rows=$(grep -oE '"state": *"' <<<"$stats" | wc -l)
    total=$(stat_of connections_total)
    echo $((rows > total ? rows : total))
}

# rate OCTETS BEGAN: "123 MB/s" since the moment BEGAN.
rate() {
    awk -v n="$1" -v a="$2" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.0f MB/s", n / (b - a) / 1e6 }'
}

equal() { [ "$1" = "$2" ] || fail "${3:-value}: \"$1\" is not \"$2\""; }

# `serve` with these options is refused in two lines at most, of which one says $1. They are in `refusal`.
refused_with() {
    local expected=$1
    shift
    ! refusal=$(timeout 10 "$usertcp" serve "$site" "$@" 2>&1) || fail "it ran: $*"
    grep -q "$expected" <<<"$refusal" || fail "$*: $refusal"
    [ "$(wc -l <<<"$refusal")" -le 2 ] || fail "$*: $refusal"
}
