# Many connections. Owns: no error under load, and nothing left behind after it.
# shellcheck shell=bash disable=SC2154

check_parallel_500() {
    local told=$work/parallel.told peak
    export url=$base4/data.bin file=$site/data.bin copies=$work/copies
    mkdir "$copies"
    # The rate makes each last three seconds, so that they are there at the same time.
    # shellcheck disable=SC2016
    seq 500 | xargs -P 500 -I{} sh -c '
        code=$(curl -sS --max-time 120 --limit-rate 64k -o "$copies/{}" -w "%{http_code}" "$url" 2>&1)
        cmp -s "$copies/{}" "$file" && echo "$code equal" || echo "$code different"' >"$told" &
    sleep 3
    peak=$(stat_of connections_total) || peak=
    wait $! || true
    rm -r "$copies"
    equal "$(sort "$told" | uniq -c | sed 's/^ *//')" "500 200 equal" "answers"
    echo "500 times 200 and equal; ${peak:-unknown} connections at once after 3 s"
}

check_wrk() {
    need wrk
    local told
    told=$(wrk -t2 -c100 -d"${wrk_seconds}s" "$base4/hello.txt")
    ! grep -qE 'Socket errors|Non-2xx' <<<"$told" || fail "$told"
    grep -qE 'Requests/sec: +[1-9]' <<<"$told" || fail "$told"
    echo "$wrk_seconds s, 100 connections, no error," \
        "$(awk '/Requests\/sec/ { printf "%d requests/s", $2 }' <<<"$told")"
}

check_h2load() {
    need h2load
    local told
    told=$(h2load -n 20000 -c 20 -m 10 "$base4/hello.txt")
    grep -q ' 20000 succeeded, 0 failed, 0 errored, 0 timeout' <<<"$told" || fail "$told"
    grep -q 'status codes: 20000 2xx' <<<"$told" || fail "$told"
    grep -oE '[0-9.]+ req/s' <<<"$told" | head -n 1 | sed 's/^/20,000 requests on 20 connections, /'
}

check_churn() {
    [ -x "$work/churn" ] || skip "gcc is not installed"
    local before after told
    before=$(stat_of passive_opens) || before=
    told=$("$work/churn" "$stack4" 80 /hello.txt "$churn_count" 64)
    # The figures may be 50 ms old.
    sleep 0.2
    after=$(stat_of passive_opens) || after=
    if [ -n "$before" ] && [ "$after" != 0 ]; then
        # The request for the counters is one of them.
        [ $((after - before)) -ge "$churn_count" ] || fail "only $((after - before)) opens counted"
    fi
    echo "$told"
}

# After all load: memory and files at once, records after TIME-WAIT.
check_nothing_left() {
    local files octets left try
    files=$(open_files "$main_pid")
    [ "$files" -le $((idle_files + 4)) ] || fail "$files files open, $idle_files before any load"
    octets=$(stat_of used_octets) || octets=
    [ -n "$octets" ] || skip "stats.json does not tell the memory in use"
    for try in $(seq 20); do
        [ "$octets" -le $((idle_octets + 8192)) ] && break
        sleep 0.2
        octets=$(stat_of used_octets)
    done
    [ "$octets" -le $((idle_octets + 8192)) ] ||
        fail "$octets octets of packet memory in use, $idle_octets before any load"
    left=$(records) || skip "stats.json does not tell the connections"
    if [ "$mode" = quick ]; then
        echo "$octets octets and $files files in use, $idle_octets and $idle_files before; $left records" \
            "or more, in TIME-WAIT or one request's (without --quick: their end is waited for)"
        return
    fi
    for try in $(seq 80); do
        [ "$left" -le 1 ] && break
        sleep 1
        left=$(records)
    done
    [ "$left" -le 1 ] || fail "$left connections are left after 80 s"
    echo "$octets octets and $files files in use, $idle_octets and $idle_files before; no record but the request's after $try s"
}

# Ten uploads into a stack with 8 MiB for packets: short memory costs speed, never progress.
check_small_memory() {
    ours_only
    mkdir "$work/small"
    start small serve "$work/small" --writable --memory 8MiB --dev utcp4 --addr 10.80.0.2/24 \
        --peer 10.80.0.1/24
    trap 'kill $small_pid' EXIT
    await "http://10.80.0.2/" "$small_pid" || fail "$(cat "$work/small.log")"
    head -c 32M /dev/urandom >"$work/small.bin"
    seq 10 | xargs -P 10 -I{} curl -sS --max-time 60 -T "$work/small.bin" -o /dev/null \
        -w '%{http_code}\n' "http://10.80.0.2/{}.bin" >"$work/small.told" 2>&1 || true
    equal "$(sort "$work/small.told" | uniq -c | sed 's/^ *//')" "10 201" "answers"
    local copy
    for copy in "$work"/small/*.bin; do cmp "$copy" "$work/small.bin" || fail "$copy differs"; done
    rm -r "$work/small" "$work/small.bin"
    echo "10 uploads of 32 MiB at once, equal"
}

# Two shards behind two queues: both serve, and packets come by the right one.
check_shards() {
    ours_only
    need wrk
    start shards serve "$site" --shards 2 --dev utcp5 --addr 10.81.0.2/24 --addr fd81::2/64 \
        --peer 10.81.0.1/24 --peer fd81::1/64
    trap 'kill $shards_pid' EXIT
    local base=http://10.81.0.2 told shards packets steered
    await "$base/hello.txt" "$shards_pid" || fail "$(cat "$work/shards.log")"
    told=$(wrk -t1 -c50 -d1s "$base/hello.txt")
    ! grep -qE 'Socket errors|Non-2xx' <<<"$told" || fail "$told"
    seq 40 | xargs -P 8 -I{} curl -sS --max-time 60 -o "$work/shards.{}" "http://[fd81::2]/data.bin"
    local copy
    for copy in "$work"/shards.*[0-9]; do cmp "$copy" "$site/data.bin" || fail "$copy differs"; done
    ping -c 2 -i 0.2 -s 5000 10.81.0.2 >/dev/null || fail "no answer to a ping in fragments"
    sleep 0.2 # the figures are published twenty times a second
    shards=$(fetch "$base/_usertcp/metrics")
    packets=$(awk '/^usertcp_shard_packets_in_total/ { print $2 }' <<<"$shards")
    equal "$(awk '$1 > 200' <<<"$packets" | wc -l)" 2 "shards that carry load ($packets)"
    steered=$(awk '/^usertcp_shard_steered_in_total/ { sum += $2 } END { print sum }' <<<"$shards")
    echo "packets of each shard:" $packets, "$steered of them by the other's queue;" \
        "$(awk '/Requests\/sec/ { printf "%d requests/s", $2 }' <<<"$told")"
}
