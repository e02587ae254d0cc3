# `usertcp connect` as a client. Owns: what goes out comes back equal.
# shellcheck shell=bash disable=SC2154

second=(--dev utcp1 --addr 10.78.0.2/24 --peer 10.78.0.1/24)

# socat waits after one half has ended, as long as the other still moves; half a second by default.
echo_server() {
    need socat
    socat -b 131072 -t 60 "$1:9000,fork,reuseaddr" EXEC:cat &
    echo_pid=$!
    trap 'kill $echo_pid' EXIT
    await_listener 9000 "$echo_pid" || fail "socat does not listen"
}

# through FILE WORDS...: the SHA-256 of what comes back when FILE is sent.
through() {
    local file=$1
    shift
    timeout 300 "$usertcp" connect "$@" <"$file" 2>"$work/connect.log" | sum ||
        fail "$(cat "$work/connect.log")"
}

check_connect_kernel_echo() {
    echo_server TCP4-LISTEN
    local began=$EPOCHREALTIME
    equal "$(through "$site/big.bin" 10.78.0.1 9000 "${second[@]}")" "$big_sum" "SHA-256"
    echo "$big_mib MiB there and back, SHA-256 equal, $(rate "$((big_mib << 20))" "$began")"
}

check_connect_v6() {
    echo_server TCP6-LISTEN
    local expected
    expected=$(sum <"$site/data.bin")
    equal "$(through "$site/data.bin" fd78::1 9000 --dev utcp1 --addr fd78::2/64 --peer fd78::1/64)" \
        "$expected" "SHA-256"
    echo "a file there and back over IPv6"
}

# Two stacks of ours, the kernel forwarding between their devices.
check_connect_own_echo() {
    start services services --dev t0 --addr 10.8.0.2/24 --peer 10.8.0.1/24
    trap 'kill $services_pid' EXIT
    await_port 10.8.0.2 5003 || fail "$(cat "$work/services.log")"
    local began=$EPOCHREALTIME
    equal "$(through "$site/big.bin" 10.8.0.2 5003 "${second[@]}")" "$big_sum" "SHA-256"
    echo "$big_mib MiB there and back, SHA-256 equal, $(rate "$((big_mib << 20))" "$began")"
}

# The kernel as a peer with the MD5 option. TCP-AO cannot be tried so: this kernel has none.
check_md5() {
    need python3
    start services services --dev t0 --addr 10.8.0.2/24 --peer 10.8.0.1/24 --addr fd08::2/64 \
        --peer fd08::1/64 --auth peer=10.8.0.1,md5=secret --auth peer=fd08::/64,md5=other
    trap 'kill $services_pid' EXIT
    local code
    for _ in $(seq 50); do
        grep -q 5003 "$work/services.log" && break
        sleep 0.1
    done
    python3 "$here/md5.py" 10.8.0.2 5003 secret 3000000 || fail "IPv4: $?, $(cat "$work/services.log")"
    python3 "$here/md5.py" fd08::2 5003 other 3000000 || fail "IPv6: $?"
    python3 "$here/md5.py" 10.8.0.2 5003 wrong 1 && fail "a wrong key was taken"
    code=$?
    equal "$code" 3 "what a wrong key comes to"
    python3 "$here/md5.py" 10.8.0.2 5003 "" 1 && fail "no key was taken"
    code=$?
    equal "$code" 3 "what no key comes to"
    echo "3 MB of echo over each family; with a wrong key or none nothing opens"
}
