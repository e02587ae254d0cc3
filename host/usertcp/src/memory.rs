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

/// One queue of an end of a pipe: a device for [`Builder::memory`](crate::Builder::memory).
#[derive(Debug)]
pub struct ThreadPipe {
    inward: Arc<Lane>,
    /// One for each queue at the other end; packets go to them in turn.
    outward: Vec<Arc<Lane>>,
    /// Which is next.
    turn: usize,
    config: PipeConfig,
    /// Taken from the lane, and not given to the stack yet.
    arrived: VecDeque<Flat>,
}

/// The two ends of a pipe.
pub fn pair(config: PipeConfig) -> (ThreadPipe, ThreadPipe) {
    let lanes = (Arc::new(Lane::default()), Arc::new(Lane::default()));
    let end = |inward: &Arc<Lane>, outward: &Arc<Lane>| {
        ThreadPipe::new(Arc::clone(inward), vec![Arc::clone(outward)], config)
    };
    (end(&lanes.0, &lanes.1), end(&lanes.1, &lanes.0))
}

/// The two ends of a pipe with several queues, `queues.0` at one and `queues.1` at the other: for
/// [`Builder::memory_queues`](crate::Builder::memory_queues). It knows nothing of flows: packets go to the
/// other end's queues in turn, whatever they are of, so that most arrive at a shard they do not belong to.
pub fn pair_of(config: PipeConfig, queues: (usize, usize)) -> (Vec<ThreadPipe>, Vec<ThreadPipe>) {
    let lanes = |count: usize| (0..count).map(|_| Arc::default()).collect::<Vec<Arc<Lane>>>();
    let (near, far) = (lanes(queues.0), lanes(queues.1));
    let end = |inward: &[Arc<Lane>], outward: &[Arc<Lane>]| {
        let queue = |lane: &Arc<Lane>| ThreadPipe::new(Arc::clone(lane), outward.to_vec(), config);
        inward.iter().map(queue).collect()
    };
    (end(&near, &far), end(&far, &near))
}

/// One direction.
#[derive(Debug, Default)]
struct Lane {
    packets: Mutex<Packets>,
    receiver: OnceLock<Arc<Doorbell>>,
    senders: Mutex<Vec<Arc<Doorbell>>>,
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
    fn new(inward: Arc<Lane>, outward: Vec<Arc<Lane>>, config: PipeConfig) -> ThreadPipe {
        ThreadPipe { inward, outward, turn: 0, config, arrived: VecDeque::new() }
    }

    /// Tells the pipe whom to wake at this end.
    pub(crate) fn attach(&self, doorbell: &Arc<Doorbell>) {
        let _ = self.inward.receiver.set(Arc::clone(doorbell));
        for lane in &self.outward {
            lock(&lane.senders).push(Arc::clone(doorbell));
        }
    }

    /// Takes what waits in the lane, all at once.
    fn refill(&mut self) {
        let refused = {
            let mut packets = lock(&self.inward.packets);
            std::mem::swap(&mut packets.waiting, &mut self.arrived);
            packets.octets = 0;
            std::mem::take(&mut packets.refused)
        };
        if refused {
            // Copies: no thread rings with a lock in its hand.
            let senders = lock(&self.inward.senders).clone();
            senders.iter().for_each(|sender| sender.ring());
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
            // Several lanes take turns, packet by packet.
            let most = if self.outward.len() > 1 { 1 } else { room.0 };
            let mut flats = VecDeque::with_capacity(from.len().min(most));
            while flats.len() < most && octets < room.1 {
                let Some(packet) = from.pop() else { break };
                let mut flat = vec![0; packet.len()];
                packet.octets.copy_to(0, &mut flat);
                octets += flat.len();
                flats.push_back(Flat { offload: self.received(packet.offload), octets: flat });
            }
            count += flats.len();
            self.hand_over(flats, octets);
            self.turn = (self.turn + 1) % self.outward.len();
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
        let mut packets = lock(&self.outward.get(self.turn)?.packets);
        if packets.is_full() {
            packets.refused = true;
            return None;
        }
        let most = (LANE_PACKETS - packets.waiting.len(), LANE_OCTETS - packets.octets);
        Some(most)
    }

    fn hand_over(&self, mut flats: VecDeque<Flat>, octets: usize) {
        let Some(lane) = self.outward.get(self.turn) else { return };
        {
            let mut packets = lock(&lane.packets);
            if packets.closed {
                return;
            }
            packets.octets += octets;
            packets.waiting.append(&mut flats);
        }
        if let Some(receiver) = lane.receiver.get() {
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
pub(crate) fn frames(pool: &FramePool, octets: &[u8]) -> Option<Chain> {
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
