//! Bytes into every parser of the wire and into the IP layer with its reassembly.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| usertcp_hostile::parsers::run(bytes));
