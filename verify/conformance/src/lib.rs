//! Packet scripts, executed in virtual time against the real stack.
//!
//! Owns: the packetdrill language (`parse`), its execution on a shard (`run`), what is compared and
//! how a difference is told (`compare`, `verdict`).
//! Must not know: any clock, any operating system; a script is a function of its text. (`kernel` is
//! apart: it runs the same scripts against Linux, in real time, and knows the system.)

pub mod arguments;
pub mod call;
pub mod cli;
pub mod code;
pub mod compare;
pub mod cookies;
pub mod cursor;
pub mod define;
pub mod flow;
pub mod icmp;
#[cfg(target_os = "linux")]
pub mod kernel;
pub mod messages;
pub mod options;
pub(crate) mod pace;
pub mod parse;
pub mod parse_call;
pub mod parse_packet;
pub mod posix;
pub mod run;
pub mod script;
pub(crate) mod verdict;
pub mod wire;
