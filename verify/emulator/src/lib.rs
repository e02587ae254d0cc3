//! A link between two TUN devices in real time, so that the kernel's TCP and ours run over the
//! same path: kernel to kernel, usertcp to kernel, kernel to usertcp, usertcp to usertcp.
//!
//! Where to look: what a path does to packets in `path` (no clock, no device in there), the loop
//! that moves them in `wire`, hosts as namespaces in `namespace`, what runs on them in `end`, one
//! transfer in `trial`, rounds and ratios in `compare`, the same path in virtual time in
//! `simulate`.
//! Must not know: how any stack works.

pub mod capture;
pub mod compare;
pub mod end;
pub mod namespace;
pub mod options;
pub mod path;
pub mod simulate;
pub mod sys;
pub mod trial;
pub mod watch;
pub mod wire;
