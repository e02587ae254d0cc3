//! TUN devices against the kernel's own network stack, each test in a network namespace of its
//! own. Without root or `/dev/net/tun` they say so and pass.
#![allow(clippy::unwrap_used, reason = "helpers of tests; the lint exempts only test functions")]

mod common;
mod opening;
mod packets;
mod steering;
mod transfer;
