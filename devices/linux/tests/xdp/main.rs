//! AF_XDP devices on veth pairs against the kernel's own network stack, each test in network
//! namespaces of its own. Without root or AF_XDP they say so and pass.
#![allow(clippy::unwrap_used, reason = "helpers of tests; the lint exempts only test functions")]

mod common;
mod frames;
mod opening;
mod packets;
mod transfer;
