//! AF_XDP: Ethernet packets of an interface in and out of the shard's own frames, past the
//! kernel's stack, while the kernel keeps what is not ours.
//!
//! ```no_run
//! use usertcp_device::{Queue, QueueHandle};
//! use usertcp_device_linux::xdp::{Take, Xdp, XdpConfig};
//! use usertcp_frame::{FramePool, PoolConfig};
//! let xdp = Xdp::open(&XdpConfig {
//!     interface: "eth1".into(),
//!     take: Take::Addresses(vec!["10.9.0.2".parse()?]), // ours, and not the kernel's
//!     ..XdpConfig::default()
//! })?;
//! for handle in xdp.handles {
//!     std::thread::spawn(move || {
//!         let pool = FramePool::new(&PoolConfig::default()); // the shard's, on its thread
//!         let mut queue = handle.into_queue();
//!         queue.bind(&pool)
//!     });
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **The kernel stays where it is.** It keeps all packets that are not for our addresses, and must
//! have none of ours itself. What it does not see it cannot count, filter or capture. A network card
//! that takes VLAN tags off packets hides them from the program too: on such a card, use an
//! interface without tagged networks. Announcements to all neighbours (gratuitous ARP, unsolicited
//! neighbour advertisements) are the kernel's: a neighbour that moved is found when it no longer
//! answers.
//!
//! **Zero-copy** is asked for where the driver has it. It has never been run: no device of the
//! machines this was built on has it.
//!
//! Where to look: what is set up and in what order in `open`, which packets are ours in
//! `program`, moving packets in `queue`, which frames are in the kernel's hands in `umem`, the
//! arithmetic of rings in `ring`, unfinished checksums in `offload`, the system calls in `sys`.

mod offload;
mod open;
mod program;
mod queue;
mod ring;
mod sys;
mod umem;

use crate::error::OpenError;
use std::io;

pub use offload::PartialChecksums;
pub use open::{Xdp, XdpConfig, XdpHandle, check_permission};
pub use program::{MOST_ADDRESSES, Take};
pub use queue::{XdpMode, XdpQueue, XdpStats};
pub use sys::KernelStats;

/// The capabilities a program needs, as `setcap` takes them.
const CAPABILITIES: &str = "cap_net_admin,cap_net_raw,cap_bpf,cap_ipc_lock";

/// For an error of the kernel at `step`.
fn refused(step: &'static str, error: io::Error) -> OpenError {
    OpenError::system(step, CAPABILITIES, error)
}

/// The same at one that locks `octets`.
fn refused_memory(octets: usize, step: &'static str, error: io::Error) -> OpenError {
    match error.raw_os_error() {
        Some(libc::ENOBUFS | libc::ENOMEM) => OpenError::TooMuchMemory { octets },
        _ => refused(step, error),
    }
}

#[cfg(test)]
mod tests;
