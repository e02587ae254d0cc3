//! Looking ahead in a burst: what its packets will need is fetched from memory together.
//!
//! Owns: which bytes of a packet tell its flow, and in what order records are touched.
//! Must not know: whether a packet is what it seems. What is noted here is looked at again by who uses it
//! (`recent`), and a wrong guess costs a few reads.
//!
//! A packet needs a slot of the demultiplexer, then an anchor, then a TCB, each found through the one
//! before: with many connections three waits for memory in a row, a packet at a time. The same steps
//! done for several packets at once wait together.

use crate::shard::Shard;
use crate::slab::Unseen;
use crate::table::{Sought, Table};
use crate::usual::LastLocal;
use arrayvec::ArrayVec;
use core::hint::black_box;
use usertcp_base::{FlowKey, Instant, LocalIndex, Observer, RemoteAddr};
use usertcp_cc::CongestionController;
use usertcp_frame::{FrameSlice, Packet};
use usertcp_tcp::Tcb;
use usertcp_wire::{syn, usual};

/// Packets looked at together: what they need stays in the nearest caches until they are handled.
pub(crate) const AHEAD: usize = 16;
/// With fewer connections all is in the caches anyway.
pub(crate) const CROWD: u32 = 256;
/// In a shorter burst there are hardly two connections that begin.
pub(crate) const BURST: usize = 8;
/// What so many connections need is more than the second cache holds: by the turn of one that has
/// something to send, what was fetched when it was added is gone.
pub(crate) const LONG_QUEUE: u32 = 1024;

/// Octets of a SYN of the usual shape.
const SYN_V4: usize = syn::BOTH_V4;
const SYN_V6: usize = usual::IPV6_OCTETS + syn::SYN_OCTETS;

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// Touches the records that `packets`, [`AHEAD`] at most, will need, and notes where they are.
    pub(crate) fn look_ahead(&mut self, packets: &[Packet]) {
        let (table, local) = (&mut self.table, &self.last_local);
        // A loop that only reads is so short that the processor is in the next round, and the one after, while
        // it waits.
        black_box(packets.iter().fold(0, |all, packet| all ^ first_of(packet)));
        let mut sought = [Sought::Nothing; AHEAD];
        for (sought, packet) in sought.iter_mut().zip(packets) {
            *sought = seek_ahead(table, packet, local);
        }
        table.touch_homes(sought.iter().filter_map(|sought| match sought {
            Sought::Hashed { hash, .. } => Some(*hash),
            Sought::Nothing | Sought::Noted(_) => None,
        }));
        let (mut slots, mut hidden) = ([None; AHEAD], false);
        for (slot, sought) in slots.iter_mut().zip(&sought) {
            *slot = table.guess_at_home(sought);
            hidden |= slot.is_none();
        }
        touch_records(table, &slots);
        if hidden {
            // What few of them wait for came with what the others do.
            let mut others = [None; AHEAD];
            for ((slot, other), sought) in slots.iter_mut().zip(&mut others).zip(&sought) {
                if slot.is_none() {
                    *other = table.guess_and_note(sought);
                    *slot = *other;
                }
            }
            touch_records(table, &others);
        }
        touch_all(&tcbs_of(table, &slots));
    }

    /// Touches what the SYNs of a burst will need, where few connections are open and many are in TIME-WAIT: nobody has
    /// looked at these for long, nor at where flows have their places between them.
    #[inline(never)]
    pub(crate) fn look_ahead_to_open(&self, packets: &[Packet]) {
        let mut hashes = ArrayVec::<u64, AHEAD>::new();
        for packet in packets {
            if matches!(packet.octets.len(), SYN_V4 | SYN_V6)
                && packet.octets.front().is_some_and(|front| usual::may_open(front))
                && let Some(flow) = flow_ahead(packet, &self.last_local)
            {
                hashes.push(flow.hash(&self.table));
                if hashes.is_full() {
                    touch_places(&self.table, &hashes);
                    hashes.clear();
                }
            }
        }
        touch_places(&self.table, &hashes);
    }

    /// Touches what connections need whose deadlines are due and whose records are at these indices.
    pub(crate) fn look_ahead_at(&mut self, slots: &[Option<u32>; AHEAD]) {
        touch_records(&self.table, slots);
        // What leaves now is acknowledged soon.
        note_all(&mut self.table, slots);
        let tcbs = tcbs_of(&self.table, slots);
        black_box(tcbs.iter().fold(0, |all, tcb| all ^ tcb.touch() ^ tcb.touch_paced()));
        black_box(tcbs.iter().fold(0, |all, tcb| all ^ tcb.touch_rest() ^ tcb.touch_queue()));
        touch_frames(&tcbs);
    }

    /// Touches the records of those whose deadlines stand in line and are due, and some of those that are due next.
    pub(crate) fn look_ahead_in_time(&mut self, now: Instant) {
        let due = self.table.wheel.due_ahead();
        touch_records(&self.table, &due);
        let next = self.table.wheel.look_ahead(&self.table.anchors);
        touch_records(&self.table, &next);
        self.table.anchors.touch(self.table.wheel.due_in_line(now));
    }

    /// Touches what the next connections need that have something to send, where they are so many that what
    /// was fetched when they were added is gone by now.
    pub(crate) fn look_ahead_to_send(&mut self) {
        let mut slots = [None; AHEAD];
        for (slot, next) in slots.iter_mut().zip(self.transmit.ahead()) {
            *slot = Some(next);
        }
        touch_records(&self.table, &slots);
        // Answers come soon.
        note_all(&mut self.table, &slots);
        touch_all(&tcbs_of(&self.table, &slots));
    }
}

/// Touches where these hashes are looked for, and what is found there at once: of a few the search goes on elsewhere, and
/// nobody waits for that here.
fn touch_places<C: CongestionController>(table: &Table<C>, hashes: &[u64]) {
    table.touch_homes(hashes.iter().copied());
    let (mut slots, mut beyond) = ([None; AHEAD], 0);
    for (slot, hash) in slots.iter_mut().zip(hashes) {
        match table.guess_in_home(*hash) {
            Ok(index) => *slot = Some(index),
            Err(touched) => beyond ^= touched,
        }
    }
    black_box(beyond);
    touch_records(table, &slots);
}

/// Reads a little of where a packet's headers begin and end, which may be two lines.
#[inline]
fn first_of(packet: &Packet) -> u8 {
    let front: &[u8] = packet.octets.front().map_or(&[], |front| front);
    let at = |place: usize| front.get(place).map_or(0, |octet| *octet);
    at(12) ^ at(44)
}

/// Touches the records at these indices.
fn touch_records<C: CongestionController>(table: &Table<C>, slots: &[Option<u32>; AHEAD]) {
    table.anchors.touch(slots.iter().flatten().copied());
}

/// Notes that packets may come soon for the connections whose records are at these indices.
fn note_all<C: CongestionController>(table: &mut Table<C>, slots: &[Option<u32>; AHEAD]) {
    slots.iter().flatten().for_each(|slot| table.note_at(*slot));
}

/// The TCBs of those connections whose records are at these indices, as far as they have one.
fn tcbs_of<'a, C: CongestionController>(
    table: &'a Table<C>,
    slots: &[Option<u32>; AHEAD],
) -> ArrayVec<&'a Tcb<C>, AHEAD> {
    let records = slots.iter().flatten().filter_map(|slot| table.anchors.at(*slot));
    let unseen = records.filter_map(|anchor| table.hot.unseen(anchor.body.hot()?));
    let unseen: ArrayVec<_, AHEAD> = unseen.collect();
    black_box(unseen.iter().fold(0, |all, tcb| all ^ tcb.touch()));
    unseen.iter().filter_map(Unseen::record).collect()
}

/// Touches TCBs, then what lies in their send queues.
fn touch_all<C: CongestionController>(tcbs: &[&Tcb<C>]) {
    black_box(tcbs.iter().fold(0, |all, tcb| all ^ tcb.touch()));
    black_box(tcbs.iter().fold(0, |all, tcb| all ^ tcb.touch_more()));
    touch_frames(tcbs);
}

/// Touches the frames in their send queues that are given back or sent next.
fn touch_frames<C: CongestionController>(tcbs: &[&Tcb<C>]) {
    // Most often there are two at most.
    let mut slices = ArrayVec::<(&FrameSlice, bool), { 2 * AHEAD }>::new();
    for tcb in tcbs {
        let fronts = tcb.needs_fronts();
        let room = slices.remaining_capacity();
        slices.extend(tcb.next_slices().take(room).map(|slice| (slice, fronts)));
    }
    black_box(slices.iter().fold(0, |all, (slice, fronts)| match fronts {
        true => all ^ slice.touch(),
        false => all ^ slice.touch_frame(),
    }));
}

/// What is known of the flow of a packet of the usual shape.
#[inline(always)] // of each of a burst
fn seek_ahead<C: CongestionController>(
    table: &Table<C>,
    packet: &Packet,
    last_local: &LastLocal,
) -> Sought {
    match flow_ahead(packet, last_local) {
        Some(Ahead::V4 { peer, ports, local }) => {
            table.seek_v4_ahead(peer.to_ne_bytes(), local, ports)
        }
        Some(Ahead::V6(flow)) => table.seek_ahead(&flow),
        None => Sought::Nothing,
    }
}

/// The flow of a packet that was not looked at yet.
enum Ahead {
    /// By IPv4: the peer's address as it lies, the [ports](FlowKey::ports), our address.
    V4 {
        peer: u32,
        ports: u32,
        local: LocalIndex,
    },
    V6(FlowKey),
}

impl Ahead {
    fn hash<C: CongestionController>(&self, table: &Table<C>) -> u64 {
        match self {
            Ahead::V4 { peer, ports, local } => {
                table.hash_of_v4(peer.to_ne_bytes(), *local, *ports)
            }
            Ahead::V6(flow) => table.hash_of(flow),
        }
    }
}

/// The flow of a packet of the usual shape, unchecked.
#[inline(always)] // as above
fn flow_ahead(packet: &Packet, last_local: &LastLocal) -> Option<Ahead> {
    let front: &[u8] = packet.octets.front()?;
    Some(match usual::addresses(front)? {
        usual::Addresses::V4 { source, ports } => {
            Ahead::V4 { peer: source, ports, local: last_local.v4.1 }
        }
        usual::Addresses::V6 { source, ports } => Ahead::V6(FlowKey {
            remote: RemoteAddr(source),
            local: last_local.v6.1?,
            remote_port: (ports >> 16) as u16,
            local_port: ports as u16,
        }),
    })
}
