//! Packets of a burst that continue each other become one segment.
//!
//! Owns: which packets continue which, and the segment that grows of them.
//! Must not know: connections. To a connection the segment is one that a device had merged.
//! Implements: what receive offload does (GRO), where no device did it.

use super::arrive::Read;
use super::network::is_unverified;
use crate::shard::Shard;
use usertcp_base::{Instant, Observer};
use usertcp_cc::CongestionController;
use usertcp_frame::{Chain, Packet};
use usertcp_wire::checksum::{Engine, Summer};
use usertcp_wire::usual::{BOTH_V4, Successor};

/// Shorter payloads are not waited for: they are questions and answers, and the last of a stream.
pub(super) const LEAST_OCTETS: usize = 512;
/// What a device merges at most.
const MOST_OCTETS: usize = 65_535;

/// A segment that may grow.
#[derive(Debug)]
pub(crate) struct Gathered {
    read: Read,
    payload: Chain,
    packets: u16,
    /// What the next packet looks like if it says nothing new; by IPv6 each is read.
    next: Option<Successor>,
}

impl Gathered {
    /// Takes the first of `packets` that are as long as the first one was and say nothing new but their
    /// octets, before anything else of them is looked at. How many they are; they are empty then.
    #[inline]
    fn take_run(&mut self, engine: Engine, packets: &mut [Packet]) -> usize {
        let Some(next) = &mut self.next else { return 0 };
        let octets = next.payload_octets() as usize;
        let room = (MOST_OCTETS - self.payload.len()) / octets.max(1);
        let room = room.min(packets.len());
        let known = known(engine, next, packets.get(..room).unwrap_or_default());
        take_all(&mut self.payload, packets.get_mut(..known).unwrap_or_default());
        self.packets += known as u16;
        known
    }

    /// Whether a segment of `octets` payload continues this one and says nothing new but data.
    fn is_continued_by(&self, next: &Read, octets: usize) -> bool {
        let (one, other) = (&self.read.header, &next.header);
        other.seq == one.seq + self.payload.len() as u32
            && other.ack == one.ack
            && other.window == one.window
            && other.value == one.value
            && other.echo == one.echo
            && other.ecn == one.ecn
            && next.flow == self.read.flow
            && self.payload.len() + octets <= MOST_OCTETS
    }
}

/// How many of `packets` are `next`, one after another, and intact.
#[inline(never)] // what it needs stays in registers
fn known(engine: Engine, next: &mut Successor, packets: &[Packet]) -> usize {
    let octets = next.payload_octets() as usize;
    let summer = engine.for_octets(octets);
    let mut expected = *next;
    let mut known = 0;
    for packet in packets {
        if !is_next(summer, &expected, packet, octets) {
            break;
        }
        expected.go_on();
        known += 1;
    }
    *next = expected;
    known
}

/// Puts the payloads of packets by IPv4 behind another.
#[inline(never)] // as above
fn take_all(payload: &mut Chain, packets: &mut [Packet]) {
    payload.append_behind(BOTH_V4, packets.iter_mut().map(|packet| &mut packet.octets));
}

/// Whether `packet` is `next`, with so many octets of payload, and intact. Whatever lies in other pieces than a payload
/// does, behind its headers or apart, is read like any other packet.
#[inline(always)] // in one place
fn is_next(summer: Summer, next: &Successor, packet: &Packet, octets: usize) -> bool {
    if packet.offload.gso.is_some() {
        return false;
    }
    let (first, payload) = match packet.octets.one_or_two() {
        Some((first, None)) if first.len() == BOTH_V4 + octets => (first, None),
        Some((first, Some(second))) if first.len() == BOTH_V4 && second.len() == octets => {
            (first, Some(second))
        }
        _ => return false,
    };
    let Some((headers, behind)) = first.split_first_chunk() else { return false };
    let Some(headers) = next.has(headers) else { return false };
    !is_unverified(packet)
        || headers.are_intact(summer.sum(payload.map_or(behind, |payload| payload)))
}

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// Takes those of `packets` from the first on that go on where what was gathered ends, in headers that
    /// are as expected octet for octet. The others.
    #[inline]
    pub(crate) fn gather_run<'a>(&mut self, packets: &'a mut [Packet]) -> &'a mut [Packet] {
        if self.gathered.is_some() { self.gather_some(packets) } else { packets }
    }

    #[inline(never)] // once for several packets, so that others need not go around it
    fn gather_some<'a>(&mut self, packets: &'a mut [Packet]) -> &'a mut [Packet] {
        let Some(gathered) = &mut self.gathered else { return packets };
        let taken = gathered.take_run(self.common.checksum, packets);
        packets.get_mut(taken..).unwrap_or_default()
    }

    /// Adds `packet` to what was gathered, or begins with it; what does not continue it is handled
    /// first. False: the packet is to be handled by itself, and nothing is gathered any more.
    #[inline(always)] // in two places, one for each version of IP
    pub(super) fn gather(&mut self, now: Instant, packet: &mut Packet, read: &Read) -> bool {
        let octets = packet.octets.len() - read.header_octets;
        let alone = octets < LEAST_OCTETS || packet.offload.gso.is_some() || read.header.fin;
        let Some(gathered) = &mut self.gathered else {
            return !alone && !read.header.push && self.begin(packet, read);
        };
        let mergeable = packet.offload.gso.is_none() && octets > 0 && !read.header.fin;
        if mergeable && gathered.is_continued_by(read, octets) {
            let mut payload = core::mem::take(&mut packet.octets);
            payload.advance(read.header_octets);
            gathered.payload.append(payload);
            gathered.next = None;
            gathered.packets = gathered.packets.saturating_add(1);
            gathered.read.header.push = read.header.push;
            if read.header.push || alone {
                self.handle_gathered(now);
            }
            return true;
        }
        self.handle_gathered(now);
        !alone && !read.header.push && self.begin(packet, read)
    }

    #[inline(never)]
    fn begin(&mut self, packet: &mut Packet, read: &Read) -> bool {
        // For strangers each packet counts.
        if self.table.find(&read.flow).is_none() {
            return false;
        }
        let octets = (packet.octets.len() - read.header_octets) as u32;
        let next = match packet.octets.front().and_then(|front| front.first_chunk()) {
            Some(headers) if read.header_octets == BOTH_V4 => Some(Successor::of(headers, octets)),
            _ => None,
        };
        let mut payload = core::mem::take(&mut packet.octets);
        payload.advance(read.header_octets);
        self.gathered = Some(Gathered { read: *read, payload, packets: 1, next });
        self.takes_answers = false;
        true
    }

    /// Gives what was gathered to its connection.
    #[inline]
    pub(crate) fn handle_gathered(&mut self, now: Instant) {
        if self.gathered.is_some() {
            self.end_gathering(now);
        }
    }

    #[inline(never)]
    fn end_gathering(&mut self, now: Instant) {
        // The connection may have ended by a packet before: then nobody misses it.
        if let Some(Gathered { mut read, payload, packets, .. }) = self.gathered.take() {
            read.header.wire_segments = packets;
            self.handle_read(now, &read, payload);
            self.begin_burst(0);
        }
    }
}
