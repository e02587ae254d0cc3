# The stack on an Ethernet, by packet sockets: `usertcp … --device packet:` at the other end of a veth
# pair, in a namespace where the kernel has no address. Owns: neighbours found, both families, super-
# packets both ways, a gateway.
# shellcheck shell=bash disable=SC2154

# The namespace lives until the check ends. Ours is eth0 in it; the kernel's side is vp0.
behind_veth() {
    setpriv --pdeathsig KILL unshare --net sleep infinity &
    holder=$!
    trap 'kill $holder ${packet_pid:-}; ip link del vp0 2>/dev/null || true' EXIT
    local own theirs
    own=$(readlink /proc/self/ns/net)
    until theirs=$(readlink "/proc/$holder/ns/net") && [ "$theirs" != "$own" ]; do sleep 0.02; done
    ip link add vp0 type veth peer name eth0 netns "$holder"
    nsenter --net="/proc/$holder/ns/net" ip link set eth0 up
    ip addr add 10.80.0.1/24 dev vp0
    ip addr add fd80::1/64 dev vp0 nodad
    ip link set vp0 up
}

# start_packet WORDS...: the command in that namespace. Sets packet_pid; its output is packet.log.
start_packet() {
    setpriv --pdeathsig KILL nsenter --net="/proc/$holder/ns/net" "$usertcp" "$@" \
        --device packet:eth0 --addr 10.80.0.2/24 --addr fd80::2/64 >"$work/packet.log" 2>&1 </dev/null &
    packet_pid=$!
}

check_packet() {
    [ -z "$referee" ] || skip "the kernel is no device of its own"
    behind_veth
    start_packet serve "$site" --writable
    await http://10.80.0.2/hello.txt "$packet_pid" || fail "$(cat "$work/packet.log")"
    local base began down up
    echoes 10.80.0.2
    echoes fd80::2
    echoes -s 4000 10.80.0.2
    for base in http://10.80.0.2 'http://[fd80::2]'; do
        began=$EPOCHREALTIME
        equal "$(fetch -g "$base/big.bin" | sum)" "$big_sum" "SHA-256, down"
        down=$(rate "$((big_mib << 20))" "$began")
        began=$EPOCHREALTIME
        fetch -g -o /dev/null -T "$site/big.bin" "$base/up.bin"
        up=$(rate "$((big_mib << 20))" "$began")
        equal "$(sum <"$site/up.bin")" "$big_sum" "SHA-256, up"
        rm "$site/up.bin"
    done
    sleep 0.2 # the figures are published twenty times a second
    local stats packets octets
    stats=$(fetch http://10.80.0.2/_usertcp/stats.json)
    packets=$(grep -oE '"packets_out": *[0-9]+' <<<"$stats" | grep -oE '[0-9]+$')
    octets=$(grep -oE '"payload_octets_out": *[0-9]+' <<<"$stats" | grep -oE '[0-9]+$')
    # In packets of 1,460 octets it would be more than this many, acknowledgements aside.
    [ "$((octets / packets))" -gt 2000 ] || fail "$packets packets carried $octets octets"
    ! ip -s neigh show dev vp0 | grep -q FAILED || fail "$(ip neigh show dev vp0)"
    echo "ping, curl both ways, v4 and v6, $big_mib MiB each: $down down, $up up, SHA-256 equal"
}

# Two shards on two sockets: every flow by its own, and both know the neighbour.
check_packet_shards() {
    [ -z "$referee" ] || skip "the kernel is no device of its own"
    behind_veth
    start_packet serve "$site" --shards 2
    await http://10.80.0.2/hello.txt "$packet_pid" || fail "$(cat "$work/packet.log")"
    local expected
    expected=$(sum <"$site/data.bin")
    for n in $(seq 40); do
        fetch -g -o "$work/got.$n" "http://10.80.0.2/data.bin" &
        fetches[n]=$!
    done
    wait "${fetches[@]}"
    for n in $(seq 40); do
        equal "$(sum <"$work/got.$n")" "$expected" "SHA-256"
        rm "$work/got.$n"
    done
    sleep 0.2 # the figures are published twenty times a second
    local steered
    steered=$(fetch http://10.80.0.2/_usertcp/stats.json | grep -oE '"steered_in": *[0-9]+' | head -n 1)
    echo "40 downloads at once, SHA-256 equal; ${steered##*[: ]} packets came by another shard's socket"
}

# A client of ours, and a server of the kernel's in a network that only the gateway knows.
check_packet_gateway() {
    [ -z "$referee" ] || skip "the kernel is no device of its own"
    need socat
    behind_veth
    ip addr add 10.81.0.1/32 dev lo
    socat -b 131072 -t 60 TCP4-LISTEN:9000,fork,reuseaddr,bind=10.81.0.1 EXEC:cat &
    echo_pid=$!
    trap 'kill $holder $echo_pid; ip link del vp0 2>/dev/null || true; ip addr del 10.81.0.1/32 dev lo' EXIT
    await_listener 9000 "$echo_pid" || fail "socat does not listen"
    local inside=(nsenter --net="/proc/$holder/ns/net" "$usertcp" connect 10.81.0.1 9000 --device packet:eth0)
    local expected
    expected=$(sum <"$site/data.bin")
    equal "$(timeout 60 "${inside[@]}" --addr 10.80.0.3/24 --gateway 10.80.0.1 <"$site/data.bin" | sum)" \
        "$expected" "SHA-256"
    ! timeout 10 "${inside[@]}" --addr 10.80.0.3/24 <"$site/hello.txt" >"$work/lost.log" 2>&1 ||
        fail "it found a way without a gateway"
    grep -q 'reaches there' "$work/lost.log" || fail "$(cat "$work/lost.log")"
    echo "a file there and back by a gateway; without one: $(head -n 1 "$work/lost.log")"
}

# What cannot work says why, in two lines.
check_packet_refused() {
    [ -z "$referee" ] || skip "the kernel is no device of its own"
    behind_veth
    refused_with 'no interface' --device packet:nosuch --addr 10.80.0.2/24
    refused_with "kernel's own" --device packet:vp0 --addr 10.80.0.1/24
    refused_with 'no Ethernet' --device packet:lo --addr 10.80.0.2/24
    refused_with 'tun:NAME, packet:INTERFACE' --device ether:vp0 --addr 10.80.0.2/24
    ip link set vp0 down
    refused_with 'ip link set vp0 up' --device packet:vp0 --addr 10.80.0.2/24
    echo "${refusal//$'\n'/; }"
}
