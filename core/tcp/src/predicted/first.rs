//! The last acknowledgement of a handshake, and a question that comes with it.
//!
//! Of what `arrive` does with a segment, all that is left where nothing was before: whoever completed the handshake by it
//! has looked at its numbers.
//! Implements: what `crate::arrive` does with one, where the connection is plain.

use super::answer::LONGEST_OCTETS;
use super::{Prediction, UsualEffects, UsualSegment};
use crate::env::Env;
use crate::tcb::Tcb;
use usertcp_base::{Ecn, Observer, expect_all};
use usertcp_cc::CongestionController;
use usertcp_frame::Chain;

impl<C: CongestionController> Tcb<C> {
    /// Takes the segment that completed the handshake of this connection, which has just [begun](Tcb::begin): it is the
    /// next one, acknowledges nothing but the handshake, and its timestamp is not older than the last. `packet` is as for
    /// [`Tcb::handle_usual`]. `None`: nothing has changed, it is for that one.
    #[inline(always)] // in one place
    pub fn take_first<O: Observer>(
        &mut self,
        env: &Env<'_, O>,
        segment: &UsualSegment,
        packet: &mut Chain,
        header_octets: usize,
    ) -> Option<UsualEffects> {
        let only = packet.only()?;
        let octets = only.len().checked_sub(header_octets)? as u32;
        let (charge, nxt) = (only.charge(), segment.seq + octets);
        expect_all! {
            self.prediction == Prediction::Plain,
            octets <= LONGEST_OCTETS,
            !segment.fin,
            segment.ecn != Ecn::CongestionExperienced,
            segment.wire_segments == 1,
            segment.window.0 > 0,
            self.snd.wnd > 0,
            u32::from(self.receive_mss() / 2) > LONGEST_OCTETS,
            charge <= self.autotune.buffer(),
            self.advertise.edge().at_or_after(nxt),
            !env.pool.is_tight(),
        }
        debug_assert!(self.is_predicted() && self.is_next(segment), "it completed the handshake");
        debug_assert!(segment.ack == self.snd.una && self.receiver.has_read_all());
        let (now, settings) = (env.now, self.own_ack_settings());
        if octets == 0 {
            self.heard(now, segment.said());
            return Some(UsualEffects { transmit: true, ..UsualEffects::NONE });
        }
        // It is as it was when it was looked at.
        if !self.receiver.take_only(packet, header_octets, octets, charge) {
            return None;
        }
        self.heard(now, segment.said());
        self.advertise.on_arrival(octets, charge);
        self.octets_received = self.octets_received.wrapping_add(u64::from(octets));
        self.autotune.measure(now, nxt, self.advertise.window(nxt).octets());
        self.acks.note_first(now, octets, &settings);
        Some(UsualEffects::ANSWER)
    }
}
