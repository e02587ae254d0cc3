# TCP Fast Open with the kernel as the other end. Owns: that data on SYNs is taken, both ways, as the
# kernel's counters and the stack's tell.
# shellcheck shell=bash disable=SC2154

# tcp_ext NAME: one of the kernel's counters of this network namespace.
tcp_ext() {
    awk -v name="$1" '$1 == "TcpExt:" && !seen { split($0, names); seen = 1; next }
        $1 == "TcpExt:" { for (i in names) if (names[i] == name) print $i }' /proc/net/netstat
}

# The first request asks for a cookie; the others send theirs on the SYN.
check_fast_open_served() {
    [ -z "$referee" ] || skip "the kernel's own server takes no --fast-open"
    echo 1 >/proc/sys/net/ipv4/tcp_fastopen
    start fast serve "$site" --fast-open --dev utcp2 --addr 10.79.0.2/24 --addr fd79::2/64 \
        --peer 10.79.0.1/24 --peer fd79::1/64
    trap 'kill $fast_pid' EXIT
    await http://10.79.0.2/hello.txt "$fast_pid" || fail "$(cat "$work/fast.log")"
    local before taken base
    before=$(tcp_ext TCPFastOpenActive)
    for base in http://10.79.0.2 'http://[fd79::2]'; do
        for _ in 1 2 3; do
            equal "$(fetch --tcp-fastopen "$base/data.bin" | sum)" "$(sum <"$site/data.bin")" "SHA-256"
        done
    done
    sleep 0.2 # the figures are published twenty times a second
    taken=$(fetch http://10.79.0.2/_usertcp/stats.json | grep -oE '"fast_opens_in": *[0-9]+')
    equal "${taken##*[: ]}" 4 "requests taken from a SYN"
    equal "$(($(tcp_ext TCPFastOpenActive) - before))" 4 "SYNs with data, says the kernel"
    echo "4 of 6 requests came with the SYN, two asked for a cookie"
}

# A server of the kernel's that sends back what comes.
check_fast_open_kernel() {
    [ -z "$referee" ] || skip "the kernel's own client takes no --fast-open"
    need python3
    echo 3 >/proc/sys/net/ipv4/tcp_fastopen
    python3 - <<'PYTHON' &
import socket, threading
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.setsockopt(socket.SOL_IP, 15, 1)  # IP_FREEBIND: the device comes later
listener.bind(("10.78.0.1", 9000))
listener.setsockopt(socket.IPPROTO_TCP, 23, 5)  # TCP_FASTOPEN
listener.listen(5)
def echo(stream):
    while octets := stream.recv(65536):
        stream.sendall(octets)
    stream.close()
while True:
    threading.Thread(target=echo, args=(listener.accept()[0],)).start()
PYTHON
    server_pid=$!
    trap 'kill $server_pid' EXIT
    await_listener 9000 "$server_pid" || fail "the server does not listen"
    local before sent
    before=$(tcp_ext TCPFastOpenPassive)
    sent=$(sum <"$site/data.bin")
    equal "$(through "$site/data.bin" 10.78.0.1 9000 "${second[@]}" --fast-open)" "$sent" "SHA-256"
    equal "$(($(tcp_ext TCPFastOpenPassive) - before))" 1 "SYNs with data taken, says the kernel"
    echo "a file there and back, its first octets with the SYN"
}
