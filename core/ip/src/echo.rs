//! Echo replies.
//!
//! Owns: the answer to a ping, whole or in fragments, made of the very frames it came in.
//! Must not know: whether the request was sound (`input`).
//! Implements: RFC 1122 §3.2.2.6, RFC 4443 §4.2, RFC 8200 §4.5 (fragments of a long one).

use usertcp_base::{DropReason, Instant};
use usertcp_frame::{Chain, Frame, FramePool, Packet};
use usertcp_wire::{icmp, icmpv4, icmpv6};

use crate::envelope::{Envelope, LONGEST_OCTETS, Part};
use crate::input::Arrival;
use crate::{Input, Ip, LINK_HEADROOM};

impl Ip {
    /// Answers the request whose ICMP header `octets` begins with. The reply is as long as the
    /// request: it cannot amplify.
    pub(crate) fn answer_echo(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        octets: Chain,
        pool: &FramePool,
    ) -> Result<Input, DropReason> {
        if !self.echo_replies.allow(now) {
            return Err(DropReason::IcmpLimited);
        }
        let envelope = Envelope {
            source: arrival.destination,
            destination: arrival.source,
            protocol: arrival.protocol,
            // RFC 1122 §3.2.2.6: the type of service of the request.
            dscp: arrival.dscp,
            identification: self.next_identification(),
        };
        if envelope.header_octets() + octets.len() <= usize::from(self.mtu) {
            whole(&envelope, arrival, octets, pool).map(Input::Reply)
        } else {
            self.in_fragments(&envelope, arrival, &octets, pool).map(Input::Reply)
        }
    }

    /// The first fragment; the others wait in `replies`. Each has a small frame for its headers
    /// and shares the payload.
    fn in_fragments(
        &mut self,
        envelope: &Envelope,
        arrival: &Arrival,
        octets: &Chain,
        pool: &FramePool,
    ) -> Result<Packet, DropReason> {
        self.replies.clear();
        let step = envelope.fragment_octets(self.mtu);
        let mut first = None;
        let mut offset = 0;
        while offset < octets.len() {
            let len = step.min(octets.len() - offset);
            let more = offset + len < octets.len();
            let part = Part::Fragment { offset, more };
            let packet = fragment(envelope, arrival, octets, len, part, pool);
            match packet {
                Some(packet) if first.is_none() => first = Some(packet),
                Some(packet) => self.replies.push_back(packet),
                None => {
                    // Half an answer is none.
                    self.replies.clear();
                    return Err(DropReason::PoolEmpty);
                }
            }
            offset += len;
        }
        first.ok_or(DropReason::IcmpMalformed)
    }
}

/// The reply in the request's own frame: ICMP header changed, IP header written over the old one.
/// When the frame is shared, the eight octets of ICMP move to a small one.
fn whole(
    envelope: &Envelope,
    arrival: &Arrival,
    mut octets: Chain,
    pool: &FramePool,
) -> Result<Packet, DropReason> {
    let header = envelope.header(octets.len(), Part::Whole).ok_or(DropReason::IcmpMalformed)?;
    if answer_in_place(arrival, &mut octets, &header).is_none() {
        let mut frame =
            pool.take_control(LONGEST_OCTETS + LINK_HEADROOM).ok_or(DropReason::PoolEmpty)?;
        put_answer(&mut frame, arrival, &octets);
        let place = frame.push_front(header.len()).ok_or(DropReason::PoolEmpty)?;
        place.copy_from_slice(&header);
        octets.advance(icmp::HEADER_OCTETS);
        octets.push_front_slice(frame.into_slice());
    }
    Ok(Packet::plain(octets))
}

/// `None`: the frame is shared, or has too little room in front; nothing changed.
fn answer_in_place(arrival: &Arrival, octets: &mut Chain, header: &[u8]) -> Option<()> {
    let mut front = octets.front_mut()?;
    if front.headroom() < header.len() {
        return None;
    }
    answer(arrival, front.bytes_mut()?.first_chunk_mut()?);
    front.push_front(header.len())?.copy_from_slice(header);
    Some(())
}

fn fragment(
    envelope: &Envelope,
    arrival: &Arrival,
    octets: &Chain,
    len: usize,
    part: Part,
    pool: &FramePool,
) -> Option<Packet> {
    let header = envelope.header(len, part)?;
    let Part::Fragment { offset, .. } = part else { return None };
    let mut frame = pool.take_control(LONGEST_OCTETS + LINK_HEADROOM)?;
    // The first one carries the ICMP header, changed, beside its IP header.
    let skip = if offset == 0 { put_answer(&mut frame, arrival, octets) } else { 0 };
    frame.push_front(header.len())?.copy_from_slice(&header);
    let mut chain = Chain::from(frame.into_slice());
    chain.append(octets.slice(offset + skip, len.saturating_sub(skip)));
    Some(Packet::plain(chain))
}

/// Copies the ICMP header into `frame` and makes it a reply's. Returns its octets.
fn put_answer(frame: &mut Frame, arrival: &Arrival, octets: &Chain) -> usize {
    let mut header = [0; icmp::HEADER_OCTETS];
    octets.copy_to(0, &mut header);
    answer(arrival, &mut header);
    frame.extend(&header)
}

fn answer(arrival: &Arrival, header: &mut [u8; icmp::HEADER_OCTETS]) {
    if arrival.source.is_ipv4() {
        icmpv4::answer_echo(header);
    } else {
        icmpv6::answer_echo(header);
    }
}
