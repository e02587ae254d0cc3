# What goes over the wire, as tshark judges it. Owns: which findings are ours, and must not be.
# shellcheck shell=bash disable=SC2154
#
# Super-segments of up to 64 KiB are normal in a capture on a TUN device with offload. The capture
# itself must be whole: what tcpdump dropped looks like loss.

# What a clean transfer may not show from our side, and what is only shown: that a sender fills its
# peer's window is what the window is for.
forbidden=(
    tcp.analysis.retransmission tcp.analysis.fast_retransmission
    tcp.analysis.spurious_retransmission tcp.analysis.duplicate_ack tcp.analysis.out_of_order
    tcp.analysis.zero_window tcp.analysis.lost_segment tcp.analysis.ack_lost_segment _ws.malformed
)
shown=(tcp.analysis.window_full tcp.analysis.window_update tcp.analysis.keep_alive)

# capture WORDS...: runs a command while the device is captured into wire.pcap.
capture() {
    need tcpdump tshark
    local told=$work/tcpdump.log code=0 try dropped
    tcpdump -Z root -n -i utcp0 -s 128 -B 131072 -w "$work/wire.pcap" 2>"$told" &
    local pid=$!
    for try in $(seq 50); do
        grep -q 'listening on' "$told" && break
        sleep 0.1
    done
    "$@" >"$work/captured.out" 2>&1 || code=$?
    sleep 0.5
    kill -INT "$pid"
    wait "$pid" || true
    [ "$code" = 0 ] || fail "$* ended with $code: $(tail -n 5 "$work/captured.out")"
    dropped=$(awk '/dropped by kernel/ { print $1 }' "$told")
    [ "${dropped:-1}" = 0 ] || skip "tcpdump lost $dropped packets: no verdict from this capture"
}

# Prints a table of findings by direction. Fails if there is a forbidden one from us.
judge() {
    local finding field fields=() total
    for finding in "${forbidden[@]}" "${shown[@]}"; do fields+=(-e "$finding"); done
    tshark -n -r "$work/wire.pcap" -Y 'tcp.analysis.flags || _ws.malformed' -T fields \
        -E separator=';' -E occurrence=f -e ip.src -e ipv6.src "${fields[@]}" \
        >"$work/findings" 2>"$work/tshark.log" || fail "$(cat "$work/tshark.log")"
    total=$(capinfos -c -M "$work/wire.pcap" 2>/dev/null | awk '/packets/ { print $NF }')
    # shellcheck disable=SC2016
    awk -F ';' -v us4="$stack4" -v us6="$stack6" -v names="${forbidden[*]} ${shown[*]}" \
        -v forbidden="${#forbidden[@]}" -v total="${total:-?}" '
        BEGIN { count = split(names, name, " ") }
        {
            ours = $1 == us4 || $2 == us6
            for (i = 1; i <= count; i++) if ($(i + 2) != "") found[i, ours]++
        }
        END {
            printf "%-40s %8s %8s\n", "tshark says", "us", "kernel"
            for (i = 1; i <= count; i++) {
                bad = i <= forbidden && found[i, 1] > 0
                failures += bad
                if (found[i, 0] + found[i, 1] == 0 && i > forbidden) continue
                printf "%-40s %8d %8d%s\n", name[i], found[i, 1], found[i, 0], bad ? "  <- ours" : ""
            }
            print (failures ? failures " kinds of findings caused by us in " : "clean: ") total " packets"
            exit failures > 0
        }' "$work/findings"
}

check_wire_download() {
    capture fetch -o /dev/null "$base4/big.bin"
    judge
}

check_wire_upload() {
    capture fetch -T "$site/big.bin" "$base4/uploaded.bin"
    rm -f "$site/uploaded.bin"
    judge
}

check_wire_wrk() {
    need wrk
    capture wrk -t2 -c100 -d"${wire_wrk_seconds}s" "$base4/hello.txt"
    judge
}
