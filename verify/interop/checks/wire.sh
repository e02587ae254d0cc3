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

# capture DEVICE WORDS...: runs a command while the device is captured into wire.pcap.
capture() {
    local device=$1
    shift
    need tcpdump tshark
    local told=$work/tcpdump.log code=0 dropped
    tcpdump -Z root -n -i "$device" -s 128 -B 131072 -w "$work/wire.pcap" 2>"$told" &
    local pid=$!
    for _ in $(seq 50); do
        grep -q 'listening on' "$told" && break
        sleep 0.1
    done
    recoveries >"$work/recoveries.before"
    "$@" >"$work/captured.out" 2>&1 || code=$?
    sleep 0.5
    recoveries >"$work/recoveries.after"
    kill -INT "$pid"
    wait "$pid" || true
    [ "$code" = 0 ] || fail "$* ended with $code: $(tail -n 5 "$work/captured.out")"
    dropped=$(awk '/dropped by kernel/ { print $1 }' "$told")
    [ "${dropped:-1}" = 0 ] || skip "tcpdump lost $dropped packets: no verdict from this capture"
}

# What the main server's stack says of its own recovery, one counter a line; nothing if it does not.
recoveries() {
    fetch "$base4/_usertcp/stats.json" |
        grep -oE '"(segments_retransmitted|tail_probes|timeouts|spurious_retransmissions)": *[0-9]+' |
        tr -d '": ' | sed 's/[0-9]/ &/' | sort || true
}

# judge ADDRESS: prints a table of findings by direction. Fails if there is a forbidden one from us, at
# ADDRESS.
judge() {
    local us=$1 finding fields=() total
    for finding in "${forbidden[@]}" "${shown[@]}"; do fields+=(-e "$finding"); done
    # What TCP carries is cut off in the capture: nobody is to make sense of the rest.
    tshark -n -r "$work/wire.pcap" -d 'tcp.port==1-65535,data' -Y 'tcp.analysis.flags || _ws.malformed' -T fields \
        -E separator=';' -E occurrence=f -e ip.src -e ipv6.src "${fields[@]}" \
        >"$work/findings" 2>"$work/tshark.log" || fail "$(cat "$work/tshark.log")"
    total=$(capinfos -c -M "$work/wire.pcap" 2>/dev/null | awk '/packets/ { print $NF }')
    # shellcheck disable=SC2016
    awk -F ';' -v us="$us" -v names="${forbidden[*]} ${shown[*]}" \
        -v forbidden="${#forbidden[@]}" -v total="${total:-?}" '
        BEGIN { count = split(names, name, " ") }
        {
            ours = $1 == us || $2 == us
            for (i = 1; i <= count; i++) if ($(i + 2) != "") found[i, ours]++
        }
        END {
            printf "%-40s %8s %8s\n", "tshark says", "us", "kernel"
            for (i = 1; i <= count; i++) {
                bad = i <= forbidden && found[i, 1] > 0
                # A duplicate acknowledgement that answers what the kernel sent twice is due.
                if (name[i] ~ /duplicate_ack/) bad = found[i, 1] > found[1, 0]
                failures += bad
                if (found[i, 0] + found[i, 1] == 0 && i > forbidden) continue
                printf "%-40s %8d %8d%s\n", name[i], found[i, 1], found[i, 0], bad ? "  <- ours" : ""
            }
            if (found[1, 0] + found[2, 0] + found[3, 0])
                print "the kernel sent again on a wire that loses nothing: we dropped, or answered late"
            print (failures ? failures " kinds of findings caused by us in " : "clean: ") total " packets"
            exit failures > 0
        }' "$work/findings" || {
        echo "counters of the server at $stack4 meanwhile:"
        join "$work/recoveries.before" "$work/recoveries.after" | awk '{ print $1, "+" $3 - $2 }'
        exit 1
    }
}

# A client on one CPU: its segments cannot overtake each other inside the kernel.
pinned() {
    local cpu=$(($(nproc) - 1))
    if [ -n "$referee" ]; then cpu=0; fi # where its server is
    taskset -c "$cpu" "$@"
}

check_wire_download() {
    capture utcp0 pinned curl -sS --fail --max-time 300 -o /dev/null "$base4/big.bin"
    judge "$stack4"
}

# To a service that discards at once: one that writes to a disk may well close its window.
check_wire_upload() {
    need tcpdump tshark
    start services services --dev t0 --addr 10.8.0.2/24 --peer 10.8.0.1/24
    trap 'kill $services_pid' EXIT
    await_port 10.8.0.2 5001 || fail "$(cat "$work/services.log")"
    # shellcheck disable=SC2016
    capture t0 pinned bash -c 'cat "$0" >/dev/tcp/10.8.0.2/5001' "$site/big.bin"
    judge 10.8.0.2
}

check_wire_wrk() {
    need wrk
    capture utcp0 wrk -t2 -c100 -d"${wire_wrk_seconds}s" "$base4/hello.txt"
    judge "$stack4"
}
