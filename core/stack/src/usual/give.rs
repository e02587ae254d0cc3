//! A segment of the usual shape is given to its connection.
//!
//! Owns: how that is found by what a packet tells, and which call on it takes the segment.
//! Must not know: packets, or what follows.

use super::LONG_QUEUE;
use super::gather::LEAST_OCTETS;
use super::network::mapped;
use crate::anchor::Anchor;
use crate::events::{Events, Pending};
use crate::lifecycle::{note_all, usual_notices};
use crate::shard::Common;
use crate::table::Table;
use crate::turns::Turns;
use usertcp_base::{ConnId, FlowKey, Instant, ListenerId, LocalIndex, Observer};
use usertcp_cc::CongestionController;
use usertcp_frame::Chain;
use usertcp_tcp::{Closing, Effects, Ended, Handshake, Tcb, UsualEffects, UsualSegment};
use usertcp_wire::usual::ShortV4;

/// What a connection is found by.
pub(crate) trait Flow {
    /// One that has a TCB.
    fn find<'a, C: CongestionController>(
        &self,
        table: &'a mut Table<C>,
    ) -> Option<(ConnId, &'a mut Anchor, &'a mut Tcb<C>)>;

    /// One that a peer opens, if it is found at once: its record, its handshake, and who listens.
    fn find_embryo<'a, C: CongestionController>(
        &self,
        table: &'a mut Table<C>,
    ) -> Option<(ConnId, &'a mut Handshake, ListenerId)>;
}

impl Flow for FlowKey {
    #[inline(always)] // in one place
    fn find<'a, C: CongestionController>(
        &self,
        table: &'a mut Table<C>,
    ) -> Option<(ConnId, &'a mut Anchor, &'a mut Tcb<C>)> {
        table.find_hot(self)
    }

    #[inline(always)] // as above
    fn find_embryo<'a, C: CongestionController>(
        &self,
        table: &'a mut Table<C>,
    ) -> Option<(ConnId, &'a mut Handshake, ListenerId)> {
        table.find_noted_embryo(self)
    }
}

/// A flow by IPv4, as a packet tells it.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlowV4 {
    pub(super) peer: [u8; 4],
    pub(super) local: LocalIndex,
    /// As [`FlowKey::ports`].
    pub(super) ports: u32,
}

impl FlowV4 {
    pub(super) fn key(self) -> FlowKey {
        let FlowV4 { peer, local, ports } = self;
        let (remote_port, local_port) = ((ports >> 16) as u16, ports as u16);
        FlowKey { remote: mapped(peer), local, remote_port, local_port }
    }
}

impl Flow for FlowV4 {
    /// If packets of it came lately.
    #[inline(always)] // in two places
    fn find<'a, C: CongestionController>(
        &self,
        table: &'a mut Table<C>,
    ) -> Option<(ConnId, &'a mut Anchor, &'a mut Tcb<C>)> {
        table.find_recent_v4(self.peer, self.local, self.ports)
    }

    #[inline(always)] // in one place
    fn find_embryo<'a, C: CongestionController>(
        &self,
        table: &'a mut Table<C>,
    ) -> Option<(ConnId, &'a mut Handshake, ListenerId)> {
        table.find_recent_embryo_v4(self.peer, self.local, self.ports)
    }
}

/// What a segment brings about, beside what was noted.
pub(super) enum Brought {
    /// The connection waits to transmit.
    Work,
    /// Its deadline is to be looked at.
    Wait,
    /// It is over.
    End(Ended),
    /// Anything; and whether its deadline is to be looked at.
    Effects(bool, Effects),
    /// Nothing has changed: it is for the way of any segment.
    Nothing,
}

/// Gives a segment that was read to its connection: `octets` behind the `header_octets` others.
#[inline(always)] // one for each kind of flow
#[allow(clippy::too_many_arguments)] // parts of the shard, and what was found in others of it
pub(super) fn take<C: CongestionController, O: Observer>(
    (common, events, transmit): (&mut Common<O>, &mut Events, &mut Turns),
    now: Instant,
    id: ConnId,
    anchor: &mut Anchor,
    tcb: &mut Tcb<C>,
    segment: &UsualSegment,
    octets: &mut Chain,
    header_octets: usize,
) -> Brought {
    let payload_octets = octets.len() - header_octets;
    common.count_in_octets(segment.wire_segments, payload_octets);
    if !tcb.is_closing_with(segment.fin) {
        let env = &mut common.env(now, id);
        let Some(effects) = tcb.handle_usual(env, segment, octets, header_octets) else {
            return Brought::Nothing;
        };
        if effects.readable && transmit.len() >= LONG_QUEUE && tcb.only_acknowledges() {
            transmit.push_ahead(id, anchor);
        }
        return match note(events, transmit, id, anchor, effects) {
            true => Brought::Wait,
            false => Brought::Work,
        };
    }
    let env = &mut common.env(now, id);
    match tcb.handle_closing(env, segment, octets, header_octets) {
        Some(Closing::Over(ended)) => Brought::End(ended),
        Some(Closing::Answered) => {
            events.add(id, anchor, Pending::LAST_READABLE);
            transmit.push(id, anchor);
            Brought::Work
        }
        Some(Closing::Other(effects)) => {
            Brought::Effects(note_all(events, transmit, id, anchor, &effects), effects)
        }
        None => Brought::Nothing,
    }
}

/// Whether a payload can be a question or an answer.
#[inline(always)]
pub(super) fn is_short(octets: usize) -> bool {
    const { assert!(ShortV4::MOST_OCTETS < LEAST_OCTETS) };
    octets.wrapping_sub(1) < ShortV4::MOST_OCTETS
}

/// What `apply` does where nothing ends. Whether the connection's deadline is to be looked at.
#[inline(always)]
pub(super) fn note(
    events: &mut Events,
    transmit: &mut Turns,
    id: ConnId,
    anchor: &mut Anchor,
    effects: UsualEffects,
) -> bool {
    events.add(id, anchor, usual_notices(effects));
    if effects.transmit {
        transmit.push(id, anchor);
    }
    // Who waits to transmit is asked for a deadline when nothing is left to send.
    !effects.transmit
}
