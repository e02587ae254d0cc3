//! Devices of Linux.
//!
//! Owns: system calls, and what of the system must be set up for a device. Must not know: the
//! stack; packets pass through `usertcp_device`'s trait. One module per kind of device, and one for what
//! the processor has.

pub mod checksum;
mod error;
mod landing;
mod offload;
pub mod packet;
mod steer;
pub mod tun;
pub mod xdp;

pub use error::OpenError;
