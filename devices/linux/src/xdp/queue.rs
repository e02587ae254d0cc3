//! One AF_XDP socket: packets in and out, in frames of the shard's own pool.
//! Owns: what lies in which ring, which frames are whose, when the kernel is called (`queue/bound`, `receive`, `transmit`).
//! Must not know: how the program was loaded, what an index in a ring is.
//!
//! The pool's region is the memory the kernel copies packets to and from (with a zero-copy
//! device, the memory it reads and writes itself). A packet received goes up in the frame it
//! arrived in, and a fresh frame takes its place with the kernel; a packet to send is named to the
//! kernel slice by slice where it lies, and its frames come home when the kernel is done. Nothing
//! is copied here but for want of frames, or of parts in one packet; both are counted.

mod bound;
mod receive;
mod stats;
mod transmit;

pub use stats::{XdpMode, XdpStats};

use self::bound::Bound;
use super::open::{Attachment, Settings};
use super::sys::{KernelStats, Socket};
use crate::error::OpenError;
use std::fmt;
use std::sync::Arc;
use usertcp_device::{BindError, DeviceFacts, Queue, RxBatch, TxBatch, WaitHandle};
use usertcp_frame::FramePool;

/// An Ethernet header: the kernel sends nothing shorter.
const ETHERNET_OCTETS: usize = 14;

/// A queue of an interface. Closed, and its packets left to the kernel again, when dropped.
pub struct XdpQueue {
    facts: DeviceFacts,
    settings: Settings,
    attachment: Arc<Attachment>,
    place: u32,
    state: State,
    stats: XdpStats,
}

enum State {
    Unbound(Socket),
    Bound(Box<Bound>),
    /// Binding failed.
    Useless,
}

impl XdpQueue {
    pub(super) fn new(
        socket: Socket,
        attachment: Arc<Attachment>,
        place: u32,
        facts: DeviceFacts,
        settings: Settings,
    ) -> XdpQueue {
        let (state, stats) = (State::Unbound(socket), XdpStats::default());
        XdpQueue { facts, settings, attachment, place, state, stats }
    }

    /// What the queue did.
    pub fn stats(&self) -> XdpStats {
        self.stats
    }

    /// How it works; `None` before it is bound.
    pub fn mode(&self) -> Option<XdpMode> {
        match &self.state {
            State::Bound(bound) => Some(bound.mode),
            _ => None,
        }
    }

    /// What the kernel counted for this queue: what it had to drop, above all.
    pub fn kernel_stats(&self) -> KernelStats {
        match &self.state {
            State::Bound(bound) => bound.socket.stats(),
            _ => KernelStats::default(),
        }
    }
}

impl fmt::Debug for XdpQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("XdpQueue")
            .field("place", &self.place)
            .field("mode", &self.mode())
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

impl Queue for XdpQueue {
    fn facts(&self) -> DeviceFacts {
        self.facts
    }

    /// Registers the pool's region with the kernel, which keeps all of it in memory from then on,
    /// and gives a part of the frames to the kernel. A queue that is not bound moves no packets.
    fn bind(&mut self, pool: &FramePool) -> Result<(), BindError> {
        let socket = match std::mem::replace(&mut self.state, State::Useless) {
            State::Unbound(socket) => socket,
            other => {
                self.state = other;
                return Err(BindError::new(OpenError::BadConfig {
                    what: "the program: a queue is bound once",
                }));
            }
        };
        let attachment = self.attachment.clone();
        let bound =
            Bound::new(socket, attachment, self.place, &self.settings, self.facts.mtu, pool)
                .map_err(BindError::new)?;
        self.state = State::Bound(Box::new(bound));
        Ok(())
    }

    fn receive(&mut self, _pool: &FramePool, into: &mut RxBatch) -> usize {
        match &mut self.state {
            State::Bound(bound) => bound.receive(into, &mut self.stats),
            _ => 0,
        }
    }

    fn transmit(&mut self, from: &mut TxBatch) -> usize {
        match &mut self.state {
            State::Bound(bound) => bound.transmit(from, &mut self.stats),
            _ => 0,
        }
    }

    fn wait_handle(&self) -> Option<WaitHandle> {
        match &self.state {
            State::Bound(bound) => Some(WaitHandle(bound.socket.number())),
            State::Unbound(socket) => Some(WaitHandle(socket.number())),
            State::Useless => None,
        }
    }

    fn has_waiting(&self) -> bool {
        matches!(&self.state, State::Bound(bound) if bound.receive.has_entries())
    }

    fn defer_sends(&mut self) {
        if let State::Bound(bound) = &mut self.state {
            bound.deferring = true;
        }
    }

    fn send_off(&mut self) {
        if let State::Bound(bound) = &mut self.state {
            bound.send_off(&mut self.stats);
        }
    }
}
