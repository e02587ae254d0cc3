# Streams that fall silent: the two examples whose idle streams own no task, over TUN, with clients of the
# kernel's. Owns: that every stream rests without a control block, comes back, and is answered.
# shellcheck shell=bash disable=SC2154

# A connection is parked a second after its last segment.
idle_silence=3

# idle_example NAME KIND [OPTION]: the example of that name, and 400 clients that are silent between two
# questions.
idle_example() {
    local name=$1 kind=$2 option=${3:-} count=400 line parked woken
    [ -z "$referee" ] || skip "the kernel parks nothing"
    need python3
    [ -x "$work/$name" ] || skip "no example $name: cargo build --release -p usertcp --examples"
    "$work/$name" ${option:+"$option"} 10.83.0.2:80 utcp6 10.83.0.1/24 >"$work/$name.log" 2>&1 </dev/null &
    idle_pid=$!
    trap 'kill $idle_pid' EXIT
    for _ in $(seq 50); do
        ip -brief address show dev utcp6 2>/dev/null | grep -q 10.83.0.1 && break
        sleep 0.1
    done
    python3 "$here/idle.py" "$kind" 10.83.0.2 80 "$count" "$idle_silence" ||
        fail "$(tail -n 3 "$work/$name.log")"
    sleep 1.2 # the example tells once a second
    line=$(tail -n 1 "$work/$name.log")
    [[ $line =~ parked\ ([0-9]+),\ woken\ ([0-9]+)$ ]] || fail "said: $line"
    parked=${BASH_REMATCH[1]} woken=${BASH_REMATCH[2]}
    [ "$woken" -ge "$count" ] || fail "of $count silent streams $woken were woken: $line"
    told="$count clients were silent for $idle_silence s and answered again; parked $parked, woken $woken"
}

# idle_http [OPTION]: that of HTTP, and curl.
idle_http() {
    idle_example million_idle http "$@"
    need curl
    local connects
    connects=$(curl -sS -o /dev/null -o /dev/null -w '%{num_connects} ' http://10.83.0.2/one http://10.83.0.2/two)
    equal "$connects" "1 0 " "connections that curl opened"
    echo "$told; curl had two answers on one connection"
}

check_million_idle() { idle_http; }

# The same on the program's own thread.
check_million_idle_local() { idle_http --local; }

check_websocket_park() {
    idle_example websocket_park websocket
    echo "$told"
}
