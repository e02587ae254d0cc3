//! Loss recovery of a connection that has nothing in flight.
//!
//! Owns: which part of it is still true then, and that part in one form, so that equal connections have
//! equal ones; what a long silence lets it forget.
//! Must not know: the record a parked connection becomes.
//! Implements: DESIGN §5.1; RFC 8985 §6.2 (the next flight is compared with itself only).

use super::rack::micros;
use super::timeout::SendTimer;
use super::undo::{Frto, Undo};
use super::{Grant, Prr, Recovery, RecoveryState, RttTimes};
use usertcp_base::Stamp;

/// In a mould zero is "as SRTT"; this is "none before this one".
const UNTOLD: u32 = u32::MAX;

impl Recovery {
    /// Whether nothing is in flight, waited for or under repair.
    pub(crate) fn is_quiet(&self) -> bool {
        self.board.outstanding() == 0
            && self.board.is_plain()
            && self.state == RecoveryState::Open
            && self.grant == Grant::None
            && self.timer.kind() == SendTimer::Off
            && self.tail.is_quiet()
            && self.reno.credit() == 0
            && self.undo.frto == Frto::Off
    }

    /// The same while [`Recovery::is_plain`] holds.
    pub(crate) fn is_quiet_if_plain(&self) -> bool {
        self.board.outstanding() == 0
            && self.timer.kind() == SendTimer::Off
            && self.undo.frto == Frto::Off
    }

    /// While quiet: gives what means nothing any more one form. Nothing that can be seen changes.
    pub(crate) fn forget_flight(&mut self) {
        let una = self.board.una();
        self.board.forget_flight();
        self.timer.forget_times();
        self.delivery.forget_times();
        self.rack.forget_flight(&mut self.latest, una);
        self.tail.forget_end(una);
        self.prr = Prr::default();
        if self.recover.before(una) {
            self.recover = una - 1;
        }
        self.last_sent = Stamp(0);
    }

    /// After a long silence: what the last flights taught of the moment is forgotten, what they taught
    /// of the path stays.
    pub(crate) fn rest(&mut self) {
        self.delivery.rest();
        if self.recover.before(self.board.una()) {
            self.undo = Undo::default();
        }
        self.reno.reset();
        if let Some(srtt) = self.rtt.srtt() {
            self.latest.rtt_micros = micros(srtt);
        }
    }

    /// The numbers of a connection whose SND.UNA is `by` larger and that had `octets` more delivered.
    pub(crate) fn shift(&mut self, by: u32, octets: u64) {
        self.board.shift(by);
        self.latest.fack += by;
        self.rack.shift(by);
        self.undo.shift(by);
        self.tail.shift(by);
        self.recover += by;
        self.delivery.shift(octets);
    }

    /// Takes out what the connection measured, and what follows from it.
    pub(crate) fn take_times(&mut self) -> RttTimes {
        let srtt = self.rtt.srtt().map_or(0, micros);
        let told = match self.latest.rtt_micros {
            same if same == srtt => 0,
            0 => UNTOLD,
            other => other,
        };
        self.latest.rtt_micros = told;
        self.rtt.take_times(&self.bounds)
    }

    /// Puts it in.
    pub(crate) fn set_times(&mut self, times: &RttTimes) {
        self.rtt.set_times(times, &self.bounds);
        match self.latest.rtt_micros {
            0 => self.latest.rtt_micros = self.rtt.srtt().map_or(0, micros),
            UNTOLD => self.latest.rtt_micros = 0,
            _ => {}
        }
    }

    /// Takes over from `other` what a record rounds.
    pub(crate) fn round_like(&mut self, other: &Recovery) {
        if self.latest.rtt_micros == self.rtt.srtt().map_or(0, micros) {
            self.latest.rtt_micros = other.latest.rtt_micros;
        }
        self.rtt = other.rtt;
        self.last_sent = other.last_sent;
    }

    /// Nothing was sent for a while: the next time noted is that of the next segment.
    pub(crate) fn forget_last_sent(&mut self, before: Stamp) {
        self.last_sent = before;
    }

    /// Becomes a copy of a quiet one where it is, and is quiet as [`Recovery::forget_flight`] leaves it.
    #[inline(always)] // a part of a copy
    pub(crate) fn become_quiet(&mut self, other: &Recovery) {
        let Recovery {
            delivery,
            timer,
            rtt,
            bounds,
            recover,
            last_sent,
            mss,
            sack_limit,
            state,
            grant,
            sack,
            timestamps,
            latest,
            board,
            rack,
            tail,
            undo,
            prr,
            reno,
            counters,
        } = self;
        board.begin(other.board.una());
        (*delivery, *timer, *rtt, *bounds) = (other.delivery, other.timer, other.rtt, other.bounds);
        (*recover, *last_sent) = (other.recover, other.last_sent);
        (*mss, *sack_limit, *state) = (other.mss, other.sack_limit, other.state);
        (*grant, *sack, *timestamps) = (other.grant, other.sack, other.timestamps);
        (*latest, *rack, *tail) = (other.latest, other.rack, other.tail);
        (*undo, *prr, *reno) = (other.undo, other.prr, other.reno);
        *counters = other.counters;
    }

    /// Whether two quiet ones are equal, of which nothing is known.
    pub(crate) fn is_all_same_quiet(&self, other: &Recovery) -> bool {
        // What has no place here is compared as a whole there, where every field has one.
        let Recovery {
            board, timer, delivery, rack, rtt, prr, tail, last_sent, state, grant, ..
        } = self;
        self.is_same_quiet(other)
            && board.is_same_quiet(&other.board)
            && *timer == other.timer
            && *delivery == other.delivery
            && *rack == other.rack
            && *rtt == other.rtt
            && *prr == other.prr
            && *tail == other.tail
            && *last_sent == other.last_sent
            && *state == other.state
            && *grant == other.grant
    }

    /// The same of two that forgot their flight, whose times were taken out, and which count from zero: what is the same of
    /// all such is not looked at.
    #[inline]
    pub(crate) fn is_same_quiet(&self, other: &Recovery) -> bool {
        let Recovery {
            board: _,
            timer,
            delivery,
            latest,
            rack,
            rtt,
            bounds,
            counters,
            prr: _,
            undo,
            tail,
            reno,
            recover,
            last_sent: _,
            mss,
            sack_limit,
            state: _,
            grant: _,
            sack,
            timestamps,
        } = self;
        timer.is_same_off(&other.timer)
            && delivery.is_same_quiet(&other.delivery)
            && *latest == other.latest
            && rack.is_same_quiet(&other.rack)
            && rtt.is_same_taken(&other.rtt)
            && *bounds == other.bounds
            && *counters == other.counters
            && *undo == other.undo
            && tail.is_same_quiet(&other.tail)
            && *reno == other.reno
            && *recover == other.recover
            && (*mss, *sack_limit) == (other.mss, other.sack_limit)
            && (*sack, *timestamps) == (other.sack, other.timestamps)
    }

    /// For the hash of a mould.
    pub(crate) fn fold(&self) -> u64 {
        let counters = &self.counters;
        let lost = u64::from(counters.resent_octets) << 32 | u64::from(counters.lost_octets);
        let told = u64::from(self.latest.rtt_micros) << 16 | u64::from(self.mss);
        lost ^ told.rotate_left(17) ^ u64::from(self.delivery.peak()).rotate_left(40)
    }
}
