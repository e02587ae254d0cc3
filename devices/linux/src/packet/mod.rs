//! AF_PACKET: Ethernet frames of any interface, beside the kernel's own stack, with offloads.
//!
//! ```no_run
//! use usertcp_device_linux::packet::{Packet, PacketConfig};
//! let device = Packet::open(&PacketConfig {
//!     interface: "eth0".into(),
//!     // Ours, and nobody else's: the kernel must not have them on any interface.
//!     addresses: vec!["192.0.2.7".parse()?],
//!     ..PacketConfig::default()
//! })?;
//! for handle in device.handles {
//!     std::thread::spawn(move || {
//!         let queue = handle.into_queue(); // on the shard's thread: it will hold frames
//!     });
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **The kernel stays where it is.** It sees every frame that we see. To a segment for an address of
//! its own it answers with a reset, so that our addresses must be none of its: `open` refuses others.
//! Frames for addresses it does not have it drops, unless it routes (`net.ipv4.ip_forward`): then it
//! would send them on, or tell the sender that it cannot. With a link address of our own
//! ([`PacketConfig::mac`]) it takes no notice of our frames at all, but some networks (wireless, most
//! clouds) carry no frame from an address they did not give out. The host's own programs cannot reach
//! us over the same interface: what the kernel sends, it does not receive.
//!
//! Where to look: what is set up and in what order in `open`, which frames the kernel hands over in
//! `filter`, reading and writing in `queue`, the 10 octets in front of each frame in
//! `crate::offload`, where they land in `crate::landing`, the system calls in `sys`.
//!
//! Not the mapped rings (PACKET_MMAP): a slot of a ring must hold the longest frame, 64 KiB with
//! segmentation offload, the received octets must be copied out of it all the same before the slot is
//! given back, and TPACKET_V3 hands blocks over by a timer of a millisecond at least. A plain call
//! copies once, straight into our frames, and one call moves up to sixteen.

mod filter;
mod open;
mod queue;
mod sys;

use crate::error::OpenError;
use std::io;

pub(crate) use open::solicited_node;
pub use open::{Packet, PacketConfig, PacketHandle};
pub use queue::{PacketQueue, PacketStats};

/// The capabilities a program needs, as `setcap` takes them.
const CAPABILITIES: &str = "cap_net_raw";

/// For an error of the kernel at `step`.
fn refused(step: &'static str, error: io::Error) -> OpenError {
    OpenError::system(step, CAPABILITIES, error)
}

#[cfg(test)]
mod tests;
