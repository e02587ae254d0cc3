# The stack past the kernel: `usertcp … --device xdp:` at one end of a veth pair, in a namespace where
# the kernel has another address on the same interface. Owns: both families, bulk both ways, packets of
# several buffers, that the kernel keeps what is its own, that nothing is left behind.
# shellcheck shell=bash disable=SC2154

# The namespace lives until the check ends. Ours is eth0 in it; the other side is vx0.
beside_a_kernel() {
    setpriv --pdeathsig KILL unshare --net sleep infinity &
    holder=$!
    trap 'kill $holder ${xdp_pid:-}; ip link del vx0 2>/dev/null || true' EXIT
    local own theirs
    own=$(readlink /proc/self/ns/net)
    until theirs=$(readlink "/proc/$holder/ns/net") && [ "$theirs" != "$own" ]; do sleep 0.02; done
    inside=(nsenter --net="/proc/$holder/ns/net")
    ip link add vx0 type veth peer name eth0 netns "$holder"
    "${inside[@]}" ip link set eth0 up
    "${inside[@]}" ip addr add 10.82.0.9/24 dev eth0
    "${inside[@]}" ip addr add fd82::9/64 dev eth0 nodad
    ip addr add 10.82.0.1/24 dev vx0
    ip addr add fd82::1/64 dev vx0 nodad
    ip link set vx0 up
}

# start_xdp WORDS...: the command in that namespace. Sets xdp_pid; its output is xdp.log.
start_xdp() {
    setpriv --pdeathsig KILL "${inside[@]}" "$usertcp" "$@" --device xdp:eth0 --addr 10.82.0.2/24 \
        --addr fd82::2/64 >"$work/xdp.log" 2>&1 </dev/null &
    xdp_pid=$!
    await http://10.82.0.2/hello.txt "$xdp_pid" || fail "$(cat "$work/xdp.log")"
}

answers() { ping -c 2 -i 0.2 -W 2 "$@" >/dev/null || fail "no answer to ping $*"; }

check_xdp() {
    [ -z "$referee" ] || skip "the kernel is no device of its own"
    beside_a_kernel
    local mtu base began down up rates=""
    for mtu in 1500 9000; do
        ip link set vx0 mtu "$mtu"
        "${inside[@]}" ip link set eth0 mtu "$mtu"
        start_xdp serve "$site" --writable
        grep -q "AF_XDP eth0, mtu $mtu" "$work/xdp.log" || fail "$(cat "$work/xdp.log")"
        "${inside[@]}" ip link show eth0 | grep -q xdp || fail "no program on the interface"
        answers 10.82.0.2
        answers fd82::2
        answers -s 4000 10.82.0.2
        answers 10.82.0.9 # the kernel's own
        answers fd82::9
        for base in http://10.82.0.2 'http://[fd82::2]'; do
            began=$EPOCHREALTIME
            equal "$(fetch -g "$base/big.bin" | sum)" "$big_sum" "SHA-256, down, MTU $mtu"
            down=$(rate "$((big_mib << 20))" "$began")
            began=$EPOCHREALTIME
            fetch -g -o /dev/null -T "$site/big.bin" "$base/up.bin"
            up=$(rate "$((big_mib << 20))" "$began")
            equal "$(sum <"$site/up.bin")" "$big_sum" "SHA-256, up, MTU $mtu"
            rm "$site/up.bin"
        done
        rates+="; MTU $mtu: $down down, $up up"
        kill -INT "$xdp_pid"
        wait "$xdp_pid" || fail "it ended with $?: $(cat "$work/xdp.log")"
        ! "${inside[@]}" ip link show eth0 | grep -q xdp || fail "the program stayed behind"
        answers 10.82.0.9
    done
    echo "ping, curl both ways, v4 and v6, $big_mib MiB each, SHA-256 equal, the kernel keeps its own$rates"
}

# What cannot work says why, in two lines.
check_xdp_refused() {
    [ -z "$referee" ] || skip "the kernel is no device of its own"
    beside_a_kernel
    refused_with 'no interface' --device xdp:nosuch --addr 10.82.0.3/24
    refused_with "kernel's own" --device xdp:vx0 --addr 10.82.0.1/24
    refused_with 'no Ethernet' --device xdp:lo --addr 10.82.0.3/24
    refused_with 'no queue 7' --device xdp:vx0:7 --addr 10.82.0.3/24
    refused_with 'one queue only' --device xdp:vx0 --addr 10.82.0.3/24 --shards 2
    ip link set vx0 down
    refused_with 'ip link set vx0 up' --device xdp:vx0 --addr 10.82.0.3/24
    echo "${refusal//$'\n'/; }"
}
