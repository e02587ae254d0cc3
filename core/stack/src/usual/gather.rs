//! Packets of a burst that continue each other become one segment.
//!
//! Owns: which packets continue which, and the segment that grows of them.
//! Must not know: connections. To a connection the segment is one that a device had merged.
//! Implements: what receive offload does (GRO), where no device did it.

use super::arrive::Read;
use crate::shard::Shard;
use usertcp_base::{Instant, Observer};
use usertcp_cc::CongestionController;
use usertcp_frame::{Chain, Packet};

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
}

impl Gathered {
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

impl<C: CongestionController, O: Observer> Shard<C, O> {
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
        let mut payload = core::mem::take(&mut packet.octets);
        payload.advance(read.header_octets);
        self.gathered = Some(Gathered { read: *read, payload, packets: 1 });
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
        if let Some(Gathered { mut read, payload, packets }) = self.gathered.take() {
            read.header.wire_segments = packets;
            self.handle_read(now, &read, payload);
        }
    }
}
