//! Where packets come from and go to.
//!
//! Owns: the [`Queue`] trait, batches, the facts a device states, and queues made of memory: a
//! pipe, and wrappers that lose packets or write them down. Must not know: protocols, sockets,
//! operating systems; devices of a system are crates of their own.
//!
//! This crate is for those who write a device. Those who use one depend on `usertcp`.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod api;
mod batch;
mod fault;
mod pcap;
mod pipe;
mod steer;

pub use api::{BindError, Device, DeviceFacts, Medium, Queue, QueueHandle, WaitHandle};
pub use batch::{Line, Room, RxBatch, TxBatch};
pub use fault::{Fault, FaultConfig, FaultStats, Faults, PATIENCE_CALLS};
pub use pcap::Pcap;
pub use pipe::{PipeEnd, pipe};
pub use steer::{FlowEnd, SteerRule};
pub use usertcp_frame::{ChecksumState, Gso, GsoKind, Offload, Packet};

#[cfg(test)]
mod tests;
