//! Programs of operations on a shard with live connections.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    usertcp_hostile::program::run(bytes);
});
