# HTTP with curl. Owns: what a page, a file, a part of a file, an upload must look like.
# shellcheck shell=bash disable=SC2154

listing() {
    local page
    page=$(fetch "$1/")
    for name in hello.txt data.bin big.bin sub/; do
        grep -q "$name" <<<"$page" || fail "the listing has no $name"
    done
    echo "$(wc -c <<<"$page") octets, all names in it"
}
check_listing_v4() { listing "$base4"; }
check_listing_v6() { listing "$base6"; }

file() {
    fetch "$1/hello.txt" | cmp - "$site/hello.txt"
    fetch "$1/sub/deep.txt" | cmp - "$site/sub/deep.txt"
    fetch "$1/data.bin" | cmp - "$site/data.bin"
    echo "three files, equal"
}
check_file_v4() { file "$base4"; }
check_file_v6() { file "$base6"; }

check_head() {
    local answer
    answer=$(fetch --head "$base4/data.bin" | tr -d '\r')
    grep -qE '^HTTP/1.1 200' <<<"$answer" || fail "$answer"
    grep -qiE '^content-length: 200000$' <<<"$answer" || fail "$answer"
    echo "200, the length of the file, no body"
}

check_range() {
    local code
    fetch -r 1000-1999 "$base4/data.bin" | cmp - <(head -c 2000 "$site/data.bin" | tail -c 1000)
    fetch -r -500 "$base4/data.bin" | cmp - <(tail -c 500 "$site/data.bin")
    fetch -r 199000- "$base4/data.bin" | cmp - <(tail -c 1000 "$site/data.bin")
    code=$(curl -s -o /dev/null -w '%{http_code}' -r 0-0 "$base4/data.bin")
    equal "$code" 206 "status of a range"
    code=$(curl -s -o /dev/null -w '%{http_code}' -r 200000- "$base4/data.bin")
    equal "$code" 416 "status beyond the end"
    echo "middle, suffix, to the end: right; beyond the end: 416"
}

check_http2() {
    local told
    told=$(curl --version)
    [[ $told == *HTTP2* ]] || skip "this curl has no HTTP/2"
    told=$(fetch --http2-prior-knowledge -o "$work/http2" -w '%{http_version} %{http_code}' "$base4/data.bin")
    equal "$told" "2 200" "version and status"
    cmp "$work/http2" "$site/data.bin"
    echo "prior knowledge, the file is equal"
}

check_live_page() {
    local page stats
    page=$(fetch "$base4/_usertcp/") stats=$(fetch "$base4/_usertcp/stats.json")
    grep -qi '<html' <<<"$page" || fail "no HTML at /_usertcp/"
    grep -q '"connections' <<<"$stats" || fail "no connections in stats.json"
    echo "page and stats.json"
}

check_missing_file() {
    equal "$(curl -s -o /dev/null -w '%{http_code}' "$base4/not-there")" 404 status
    equal "$(curl -s -o /dev/null -w '%{http_code}' --path-as-is "$base4/../../etc/passwd")" 404 \
        "status above the directory"
    echo "404, also above the directory"
}

download() {
    local began=$EPOCHREALTIME
    equal "$(fetch "$1/big.bin" | sum)" "$big_sum" "SHA-256"
    echo "$big_mib MiB, SHA-256 equal, $(rate "$((big_mib << 20))" "$began") with the checksum"
}
check_download_v4() { download "$base4"; }
check_download_v6() { download "$base6"; }

check_upload() {
    local began=$EPOCHREALTIME speed code
    code=$(fetch -T "$site/big.bin" -o "$work/answer" -w '%{http_code}' "$base4/uploaded.bin")
    [[ $code == 20[0-9] ]] || fail "status $code: $(cat "$work/answer")"
    speed=$(rate "$((big_mib << 20))" "$began")
    equal "$(sum <"$site/uploaded.bin")" "$big_sum" "SHA-256 of the stored file"
    rm "$site/uploaded.bin"
    echo "$big_mib MiB by PUT, status $code, SHA-256 equal, $speed"
}

# Set USERTCP_SCREENSHOTS to a directory to get pictures to look at.
check_browser() {
    [ "$mode" != quick ] || skip "takes too long for --quick"
    local browser dom name path
    browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) ||
        skip "chromium is not installed"
    for path in / /_usertcp/; do
        local flags=(--headless --no-sandbox --disable-gpu --no-first-run --disable-sync
            --disable-background-networking --disable-component-update --virtual-time-budget=4000
            --user-data-dir="$work/browser")
        dom=$(timeout 60 "$browser" "${flags[@]}" --dump-dom "$base4$path" 2>/dev/null)
        if [ -n "${USERTCP_SCREENSHOTS:-}" ]; then
            name=$([ "$path" = / ] && echo listing || echo live)
            timeout 60 "$browser" "${flags[@]}" --window-size=1200,900 \
                --screenshot="$USERTCP_SCREENSHOTS/$name.png" "$base4$path" >/dev/null 2>&1
        fi
        if [ "$path" = / ]; then
            grep -q 'hello.txt' <<<"$dom" || fail "the listing in the browser has no hello.txt"
        else
            grep -qi 'connection' <<<"$dom" || fail "the live page in the browser has no connections"
        fi
    done
    echo "listing and live page$([ -z "${USERTCP_SCREENSHOTS:-}" ] || echo ", pictures in $USERTCP_SCREENSHOTS")"
}
