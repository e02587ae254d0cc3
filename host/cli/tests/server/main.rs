//! The web server over the kernel's loopback: what clients see, octet by octet.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod client;
mod command;
mod files;
mod live;
mod protocols;
mod ranges;
mod uploads;
