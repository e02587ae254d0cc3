//! A wire made of memory, between two stacks of one process.
//!
//! Owns: [`ThreadPipe`], the device that joins two workers. Must not know: protocols.
//!
//! Frames belong to the thread of their pool, so a packet that crosses is copied twice: out of the
//! sender's frames into a vector, and from there into the receiver's. Two stacks in one thread need
//! no copy (`usertcp_device::pipe`), but neither of them has a thread of its own then.

use crate::runtime::commands::lock;
use crate::runtime::doorbell::Doorbell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock};
use usertcp_device::{DeviceFacts, Medium, Queue, RxBatch, TxBatch, WaitHandle};
use usertcp_frame::{Chain, ChecksumState, Class, FramePool, Offload, Packet};

/// Octets on their way in one direction; beyond it the sender finds the device full.
const LANE_OCTETS: usize = 4 << 20;
/// Packets on their way in one direction.
const LANE_PACKETS: usize = 2048;

/// How a pipe is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PipeConfig {
    /// Octets of the largest packet.
    pub mtu: u16,
    /// Whether super-packets cross whole, and checksums are left out: nothing here can damage
    /// them.
    pub offload: bool,
}

impl Default for PipeConfig {
    fn default() -> Self {
        PipeConfig { mtu: 1500, offload: true }
    }
}

/// One end of a pipe: a device for [`Builder::memory`](crate::Builder::memory).
#[derive(Debug)]
pub struct ThreadPipe {
    inward: Arc<Lane>,
    outward: Arc<Lane>,
    config: PipeConfig,
    /// Taken from the lane, and not given to the stack yet.
    arrived: VecDeque<Flat>,
}

/// The two ends of a pipe.
pub fn pair(config: PipeConfig) -> (ThreadPipe, ThreadPipe) {
    let (one, other) = (Arc::new(Lane::default()), Arc::new(Lane::default()));
    let end = |inward: &Arc<Lane>, outward: &Arc<Lane>| ThreadPipe {
        inward: Arc::clone(inward),
        outward: Arc::clone(outward),
        config,
        arrived: VecDeque::new(),
    };
    (end(&one, &other), end(&other, &one))
}

/// One direction.
#[derive(Debug, Default)]
struct Lane {
    packets: Mutex<Packets>,
    receiver: OnceLock<Arc<Doorbell>>,
    sender: OnceLock<Arc<Doorbell>>,
}

#[derive(Debug, Default)]
struct Packets {
    waiting: VecDeque<Flat>,
    octets: usize,
    /// The sender found it full.
    refused: bool,
    /// The receiver is gone.
    closed: bool,
}

/// A packet without frames.
#[derive(Debug)]
struct Flat {
    offload: Offload,
    octets: Vec<u8>,
}

impl Packets {
    fn is_full(&self) -> bool {
        self.octets >= LANE_OCTETS || self.waiting.len() >= LANE_PACKETS
    }
}

impl ThreadPipe {
    /// Tells the pipe whom to wake at this end.
    pub(crate) fn attach(&self, doorbell: &Arc<Doorbell>) {
        let _ = self.inward.receiver.set(Arc::clone(doorbell));
        let _ = self.outward.sender.set(Arc::clone(doorbell));
    }

    /// Takes what waits in the lane, all at once.
    fn refill(&mut self) {
        let refused = {
            let mut packets = lock(&self.inward.packets);
            std::mem::swap(&mut packets.waiting, &mut self.arrived);
            packets.octets = 0;
            std::mem::take(&mut packets.refused)
        };
        if let (true, Some(sender)) = (refused, self.inward.sender.get()) {
            sender.ring();
        }
    }
}

impl Queue for ThreadPipe {
    fn facts(&self) -> DeviceFacts {
        if self.config.offload {
            DeviceFacts::offloading(Medium::Ip, self.config.mtu)
        } else {
            DeviceFacts::plain(Medium::Ip, self.config.mtu)
        }
    }

    fn receive(&mut self, pool: &FramePool, into: &mut RxBatch) -> usize {
        let mut count = 0;
        while !into.is_full() {
            if self.arrived.is_empty() {
                self.refill();
            }
            let Some(flat) = self.arrived.pop_front() else { break };
            // Without memory it is lost, as on any device: were it kept, the acknowledgements
            // behind it, which free memory, could not get past it.
            let Some(octets) = frames(pool, &flat.octets) else { continue };
            let packet = Packet { offload: flat.offload, octets };
            debug_assert!(!into.is_full());
            count += usize::from(into.push(packet).is_ok());
        }
        count
    }

    fn transmit(&mut self, from: &mut TxBatch) -> usize {
        let mut count = 0;
        while let Some(room) = self.room(from) {
            let mut octets = 0;
            let mut flats = VecDeque::with_capacity(from.len().min(room.0));
            while flats.len() < room.0 && octets < room.1 {
                let Some(packet) = from.pop() else { break };
                let mut flat = vec![0; packet.len()];
                packet.octets.copy_to(0, &mut flat);
                octets += flat.len();
                flats.push_back(Flat { offload: self.received(packet.offload), octets: flat });
            }
            count += flats.len();
            self.hand_over(flats, octets);
        }
        count
    }

    fn wait_handle(&self) -> Option<WaitHandle> {
        // The doorbell of the worker itself.
        None
    }
}

impl ThreadPipe {
    /// Packets and octets that fit; none when there is nothing to send or no room. The receiver
    /// learns of that under the lock it was found under, and rings when it has made room.
    fn room(&self, from: &TxBatch) -> Option<(usize, usize)> {
        if from.is_empty() {
            return None;
        }
        let mut packets = lock(&self.outward.packets);
        if packets.is_full() {
            packets.refused = true;
            return None;
        }
        let most = (LANE_PACKETS - packets.waiting.len(), LANE_OCTETS - packets.octets);
        Some(most)
    }

    fn hand_over(&self, mut flats: VecDeque<Flat>, octets: usize) {
        {
            let mut packets = lock(&self.outward.packets);
            if packets.closed {
                return;
            }
            packets.octets += octets;
            packets.waiting.append(&mut flats);
        }
        if let Some(receiver) = self.outward.receiver.get() {
            receiver.ring();
        }
    }

    /// What the receiver may believe of a packet.
    fn received(&self, offload: Offload) -> Offload {
        if self.config.offload {
            Offload { checksum: ChecksumState::Verified, ..offload }
        } else {
            offload
        }
    }
}

/// A copy in frames: one, if there is one large enough, and else several.
fn frames(pool: &FramePool, octets: &[u8]) -> Option<Chain> {
    let mut chain = Chain::default();
    if let Some(slice) = pool.copy_of(octets, 0) {
        chain.push_back(slice);
        return Some(chain);
    }
    let mut rest = octets;
    while !rest.is_empty() {
        let small = rest.len() <= FramePool::data_octets(Class::Small);
        // What acknowledges, and so frees memory, is small: it may have the reserve.
        let frame = if small { pool.take_control(0) } else { pool.take(Class::Full, 0) };
        let mut frame = frame?;
        let count = frame.extend(rest);
        rest = rest.get(count..).unwrap_or_default();
        chain.push_back(frame.into_slice());
    }
    Some(chain)
}

impl Drop for ThreadPipe {
    /// An end that is gone takes packets and loses them, as a wire does.
    fn drop(&mut self) {
        let mut packets = lock(&self.inward.packets);
        packets.closed = true;
        packets.waiting = VecDeque::new();
        packets.octets = 0;
    }
}
