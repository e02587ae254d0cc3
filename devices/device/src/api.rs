//! What a device is to the stack.
//! Owns: the traits of devices and queues, the facts. Must not know: any device.

use crate::batch::{RxBatch, TxBatch};
use crate::steer::SteerRule;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;
use usertcp_frame::FramePool;

/// What packets begin with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Medium {
    /// An IP header, version 4 or 6 by its first four bits.
    Ip,
    /// An Ethernet header.
    Ethernet {
        /// Our address.
        mac: [u8; 6],
    },
}

/// What a device can do. It does not change while the device is open.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DeviceFacts {
    /// What packets begin with.
    pub medium: Medium,
    /// Octets of the largest IP packet on the wire.
    pub mtu: u16,
    /// Completes partial checksums of packets to send, and vouches for those received.
    pub checksum_offload: bool,
    /// Cuts super-packets to send, and may deliver them.
    pub segmentation_offload: bool,
    /// Octets of the largest packet it takes or delivers; the MTU when it does not segment.
    pub largest_packet_octets: u32,
}

impl DeviceFacts {
    /// A device without offloads.
    pub const fn plain(medium: Medium, mtu: u16) -> DeviceFacts {
        DeviceFacts {
            medium,
            mtu,
            checksum_offload: false,
            segmentation_offload: false,
            largest_packet_octets: mtu as u32,
        }
    }

    /// A device that completes checksums and cuts TCP super-packets of up to 65,535 octets.
    pub const fn offloading(medium: Medium, mtu: u16) -> DeviceFacts {
        DeviceFacts {
            medium,
            mtu,
            checksum_offload: true,
            segmentation_offload: true,
            largest_packet_octets: 65_535,
        }
    }
}

/// Something a runtime can sleep on: on a Unix system, a file descriptor that polls readable when
/// packets wait. It stays the queue's; do not close it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct WaitHandle(pub i32);

/// Why a queue cannot work with the memory it was given; displayed as the device tells it.
#[derive(Debug)]
pub struct BindError(Box<dyn Error + Send + Sync>);

impl BindError {
    /// With the device's own error inside.
    pub fn new(error: impl Error + Send + Sync + 'static) -> BindError {
        BindError(Box::new(error))
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for BindError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

/// One queue of a device, used by one thread. It never blocks.
pub trait Queue {
    /// What the device can do.
    fn facts(&self) -> DeviceFacts;

    /// Agrees on the memory packets lie in, once, before the first packet: `pool` is the one that
    /// [`Queue::receive`] will be given. A device that reads and writes frames by itself
    /// registers the pool's region here, and moves no packet before; for others there is nothing
    /// to do.
    ///
    /// # Errors
    /// The device cannot work with this memory.
    fn bind(&mut self, pool: &FramePool) -> Result<(), BindError> {
        let _ = pool;
        Ok(())
    }

    /// Puts packets that wait into `into`, in frames of `pool`, until either is used up. How many.
    fn receive(&mut self, pool: &FramePool, into: &mut RxBatch) -> usize;

    /// Takes packets off the front of `from` and sends them. How many it took, those included
    /// that it had to drop; what it cannot take now stays in front, in order.
    fn transmit(&mut self, from: &mut TxBatch) -> usize;

    /// What to sleep on until packets wait. `None`: nothing, ask again.
    fn wait_handle(&self) -> Option<WaitHandle>;

    /// Whether packets are known to wait, as far as that can be told without a system call: then
    /// it is no use to sleep. A device that would have to ask says no.
    fn has_waiting(&self) -> bool {
        false
    }

    /// Whether the device is gone for good, as an interface that was removed: nothing comes or leaves by it any
    /// more. Known at the latest after a [`Queue::receive`] that its wait handle asked for.
    fn is_gone(&self) -> bool {
        false
    }

    /// The caller's promise, from here on: after each [`Queue::transmit`] and before anything that
    /// takes time, it sleeps on the wait handle in `poll`, or calls [`Queue::send_off`]. A device
    /// that sends only when it is called, and that such a sleep calls anyway, then leaves the
    /// sending to it, and spares the call of its own.
    fn defer_sends(&mut self) {}

    /// Sends what [`Queue::transmit`] took and left to a sleep that did not come.
    fn send_off(&mut self) {}
}

/// A device that opens several queues, one for each shard of a stack.
pub trait Device {
    /// A queue on its way to the thread that will use it.
    type Handle: QueueHandle;
    /// Why a device does not open.
    type Error;

    /// Opens `rule.shards()` queues; the queue at index *i* is for shard *i*.
    ///
    /// A flow's packets may come by any queue: the shards pass on what is another's. A device that
    /// can put `rule` in front of its queues saves them that.
    ///
    /// # Errors
    /// What the device says, also when it has not so many queues.
    fn open(self, rule: &SteerRule) -> Result<Vec<Self::Handle>, Self::Error>;
}

/// A queue that no thread uses yet: queues hold frames, and do not travel.
pub trait QueueHandle: Send + 'static {
    /// What it becomes.
    type Queue: Queue + 'static;
    /// The queue, to stay on this thread.
    fn into_queue(self) -> Self::Queue;
}

impl<Q: Queue + ?Sized> Queue for Box<Q> {
    fn facts(&self) -> DeviceFacts {
        (**self).facts()
    }
    fn bind(&mut self, pool: &FramePool) -> Result<(), BindError> {
        (**self).bind(pool)
    }
    fn receive(&mut self, pool: &FramePool, into: &mut RxBatch) -> usize {
        (**self).receive(pool, into)
    }
    fn transmit(&mut self, from: &mut TxBatch) -> usize {
        (**self).transmit(from)
    }
    fn wait_handle(&self) -> Option<WaitHandle> {
        (**self).wait_handle()
    }
    fn has_waiting(&self) -> bool {
        (**self).has_waiting()
    }
    fn is_gone(&self) -> bool {
        (**self).is_gone()
    }
    fn defer_sends(&mut self) {
        (**self).defer_sends();
    }
    fn send_off(&mut self) {
        (**self).send_off();
    }
}
