//! TUN: IP packets between the kernel's network stack and ours, with offloads.
//!
//! ```no_run
//! use usertcp_device_linux::tun::{Tun, TunConfig};
//! let tun = Tun::open(&TunConfig {
//!     addresses: vec!["10.9.0.1/24".parse()?], // the kernel's side; ours is another of the net
//!     ..TunConfig::default()
//! })?;
//! for handle in tun.handles {
//!     std::thread::spawn(move || {
//!         let queue = handle.into_queue(); // on the shard's thread: it will hold frames
//!     });
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Where to look: what is set up and in what order in `open`, addresses and routes in `address`,
//! reading and writing in `queue`, the 10 octets in front of each packet in `crate::offload`, where
//! they land in `crate::landing`, the system calls in `sys`.

pub(crate) mod address;
mod cidr;
mod open;
mod queue;
pub(crate) mod sys;

use crate::error::OpenError;
use std::io;

pub use cidr::{Cidr, CidrError};
pub use open::{Tun, TunConfig, TunHandle, check_permission};
pub use queue::{TunQueue, TunStats};

/// The capabilities a program needs, as `setcap` takes them.
const CAPABILITIES: &str = "cap_net_admin";

/// For an error of the kernel at `step`.
fn refused(step: &'static str, error: io::Error) -> OpenError {
    OpenError::system(step, CAPABILITIES, error)
}

#[cfg(test)]
mod tests;
