//! Packet sockets on veth pairs, against the kernel's own network stack at the other end, each test in
//! network namespaces of its own. Without root they say so and pass.
#![allow(clippy::unwrap_used, reason = "helpers of tests; the lint exempts only test functions")]

mod common;
mod frames;
mod opening;
mod transfer;
