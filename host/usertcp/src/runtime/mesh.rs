//! Packets between the shards of one stack.
//!
//! Owns: a bounded ring for each ordered pair of shards, what a packet is on its way, whom to wake.
//! Must not know: why a packet belongs elsewhere; that is the shard's rule.
//!
//! A ring has one writer and one reader, each a shard's thread, and no lock. A packet crosses as
//! references lent by the shard it arrived at, and is copied into frames of the shard it belongs to: frames are
//! counted without atomics, so a shard's queues hold its own only. A ring that is full drops: a device's
//! queue would do the same, and nobody waits for a shard that is behind. Its reader is woken once for
//! all that was put in during a turn, and only when it sleeps.

use crate::memory::frames;
use crate::runtime::doorbell::Doorbell;
use rtrb::{Consumer, Producer, RingBuffer};
use std::sync::Arc;
use usertcp_base::{Instant, Observer};
use usertcp_cc::CongestionController;
use usertcp_device::{Offload, Packet};
use usertcp_frame::{Chain, FramePool, Lent};
use usertcp_stack::Shard;

/// Packets a ring holds: several bursts of a device.
const RING_PACKETS: usize = 1024;
/// Packets taken from one ring in a turn.
const TAKE_PACKETS: usize = 256;

/// One shard's ends of all rings.
pub(crate) struct Port {
    inward: Vec<Consumer<Parcel>>,
    /// By index of the shard; none to itself.
    outward: Vec<Option<Way>>,
}

struct Way {
    ring: Producer<Parcel>,
    bell: Arc<Doorbell>,
    /// Something was put in and nobody told of it.
    news: bool,
}

/// What a shard took from the others.
#[derive(Clone, Copy, Default)]
pub(crate) struct Taken {
    pub(crate) packets: usize,
    /// There is more.
    pub(crate) more: bool,
}

/// A packet between two threads.
struct Parcel {
    offload: Offload,
    octets: Octets,
}

enum Octets {
    /// As most packets are: no allocation.
    One(Lent),
    More(Vec<Lent>),
}

/// Rings between all shards whose threads listen to `bells`, in their order.
pub(crate) fn mesh(bells: &[Arc<Doorbell>]) -> Vec<Port> {
    mesh_of(bells, RING_PACKETS)
}

fn mesh_of(bells: &[Arc<Doorbell>], ring_packets: usize) -> Vec<Port> {
    let port = || Port { inward: Vec::new(), outward: Vec::new() };
    let mut ports: Vec<Port> = bells.iter().map(|_| port()).collect();
    for from in 0..bells.len() {
        for (to, bell) in bells.iter().enumerate() {
            let way = (from != to).then(|| {
                let (ring, reader) = RingBuffer::new(ring_packets);
                ports[to].inward.push(reader);
                Way { ring, bell: Arc::clone(bell), news: false }
            });
            ports[from].outward.push(way);
        }
    }
    ports
}

impl Port {
    /// Hands what others sent to `shard`.
    pub(crate) fn take<C, O>(&mut self, now: Instant, shard: &mut Shard<C, O>) -> Taken
    where
        C: CongestionController,
        O: Observer,
    {
        let mut taken = Taken::default();
        for ring in &mut self.inward {
            for _ in 0..TAKE_PACKETS {
                let Ok(parcel) = ring.pop() else { break };
                taken.packets += 1;
                match parcel.unpack(shard.pool()) {
                    Some(packet) => shard.handle_steered(now, packet),
                    None => shard.drop_steered(now),
                }
            }
            taken.more |= !ring.is_empty();
        }
        taken
    }

    /// Sends what arrived at `shard` and belongs to others.
    pub(crate) fn give<C, O>(&mut self, now: Instant, shard: &mut Shard<C, O>)
    where
        C: CongestionController,
        O: Observer,
    {
        let mut any = false;
        while let Some((owner, packet)) = shard.poll_elsewhere() {
            any = true;
            let way = self.outward.get_mut(usize::from(owner)).and_then(Option::as_mut);
            if !way.is_some_and(|way| way.send(packet)) {
                shard.drop_elsewhere(now);
            }
        }
        if any {
            self.outward.iter_mut().flatten().for_each(Way::tell);
        }
    }
}

impl Way {
    /// Whether there was room.
    fn send(&mut self, packet: Packet) -> bool {
        // Asked first: a packet that does not fit need not be lent.
        let sent = !self.ring.is_full() && self.ring.push(Parcel::new(packet)).is_ok();
        self.news |= sent;
        sent
    }

    /// Wakes the reader, if there is something new for it and it sleeps.
    fn tell(&mut self) {
        if std::mem::take(&mut self.news) {
            self.bell.ring();
        }
    }
}

impl Parcel {
    fn new(packet: Packet) -> Parcel {
        let Packet { offload, mut octets } = packet;
        let octets = match (octets.slice_count(), octets.pop_front()) {
            (1, Some(only)) => Octets::One(only.lend()),
            (_, first) => {
                let rest = std::iter::from_fn(|| octets.pop_front());
                Octets::More(first.into_iter().chain(rest).map(|slice| slice.lend()).collect())
            }
        };
        Parcel { offload, octets }
    }

    /// In frames of the shard it belongs to. `None`: it has none.
    fn unpack(self, pool: &FramePool) -> Option<Packet> {
        let slices = match &self.octets {
            Octets::One(only) => std::slice::from_ref(only),
            Octets::More(slices) => slices,
        };
        let mut octets = Chain::new();
        for slice in slices {
            octets.append(frames(pool, slice)?);
        }
        Some(Packet { offload: self.offload, octets })
    }
}

#[cfg(test)]
mod tests;
