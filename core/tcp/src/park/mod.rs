//! Parking: an idle connection without its TCB.
//!
//! Owns: when a connection is *quiet* (it holds, owes and awaits nothing), what a long silence makes it
//! forget (`Tcb::rest`), and how a quiet TCB becomes a record and comes back (`record`, `moulds`).
//! Must not know: where records are kept, whose turn it is to be parked.
//! Implements: DESIGN §5.1; RFC 5681 §4.1, RFC 7661 §4.3 (congestion state after an idle time), RFC
//! 9293 §3.8.4 (keep-alive of parked connections, in `parked`).
//!
//! A quiet TCB is taken apart: what is the connection's own (numbers, windows, times, totals) goes into
//! a [`Parked`] record of 52 octets; the rest of the TCB, its numbers counted from zero, is a *mould*.
//! Most idle connections have equal moulds, and equal ones are kept once. To come back is to copy the
//! mould and to put one's own in: nothing is lost on the way but the stopwatches of
//! [`crate::Info::limited`], and times are rounded as `record` says. A field added to the TCB is in the
//! mould by itself.
//!
//! So parking decides nothing about the protocol. What a long silence does to a connection is done
//! by [`Tcb::rest`], parked or not; it also makes moulds alike.

mod moulds;
mod parked;
mod record;
#[cfg(test)]
mod tests;

pub use moulds::Moulds;
pub use parked::{ParkedArrival, ParkedDue};
pub use record::Parked;

use crate::halves::Halves;
use crate::info::Stopwatches;
use crate::keepalive::KeepAliveState;
use crate::pace::Pacer;
use crate::predicted::Prediction;
use crate::send::probe::{Persist, Persisting};
use crate::signal::SoftErrors;
use crate::tcb::{Owed, Tcb};
use alloc::rc::Rc;
use usertcp_base::{Instant, Seq, Span};
use usertcp_cc::{CongestionController, PathChange, PathStart, initial_window};

/// A connection rests after a silence of this, or of so many retransmission timeouts.
const REST_AFTER: Span = Span::from_secs(1);
const REST_AFTER_TIMEOUTS: u64 = 4;
/// Nothing depends on the moment of a rest: those of connections that were active together fall together, so that
/// they are seen to together, and few enough for the caches (a power of two).
const REST_MICROS: u64 = 256;

/// When a connection rests that was active last at a moment, and has a retransmission timeout.
fn rest_moment(last_active: Instant, rto: Span) -> Instant {
    let silence = rto.saturating_mul(REST_AFTER_TIMEOUTS).max(REST_AFTER);
    let moment = (last_active + silence).as_micros();
    Instant::from_micros(moment.saturating_add(REST_MICROS - 1) & !(REST_MICROS - 1))
}

impl<C: CongestionController> Tcb<C> {
    /// Whether the connection holds, owes and awaits nothing: only time, the peer or the application
    /// can make it do anything.
    #[inline]
    pub fn is_quiet(&self) -> bool {
        // What is most often so on a busy connection first.
        self.is_quiet_when_read() && self.is_quiet_besides()
    }

    /// Whether to have been read may be all that keeps it from being quiet.
    #[inline]
    pub fn is_quiet_when_read(&self) -> bool {
        self.acks.owes_nothing() && self.snd.outstanding() == 0
    }

    #[inline(never)]
    fn is_quiet_besides(&self) -> bool {
        if !self.is_predicted() {
            return self.waits_for_nothing();
        }
        let quiet = self.waits_plainly_for_nothing();
        debug_assert_eq!(
            quiet,
            self.waits_for_nothing(),
            "a plain connection waits for something rare"
        );
        quiet
    }

    /// The same of a connection that is plain: what is rare is not looked at. It holds nothing out of order, so that what
    /// can be read is all there is. A paced one waits for its release, and is told from a quiet one by what it looks at in
    /// any case.
    #[inline]
    fn waits_plainly_for_nothing(&self) -> bool {
        self.queue.is_empty()
            && self.receiver.queued() == 0
            && !self.wants.write
            && self.release == Instant::FAR
            && self.recovery.is_quiet_if_plain()
    }

    #[inline(never)]
    fn waits_for_nothing(&self) -> bool {
        self.queue.is_empty()
            && self.receiver.is_quiet()
            && self.halves == Halves::OPEN
            && self.snd_up.is_none()
            && !self.owed.anything()
            && !self.wants.write
            && !self.wants.detached
            && self.recovery.is_quiet()
            && self.persist.why() == Persisting::Off
            && self.release == Instant::FAR
            && self.mtu.probe().is_none()
            && !self.ecn.owes_handshake()
            && !self.user_timeout.is_owed()
    }

    /// Whether it can become a record: quiet, and like others.
    pub fn is_parkable(&self) -> bool {
        self.is_quiet() && !self.ecn.is_personal()
    }

    /// When the last segment with data, or the last one of the peer, passed.
    pub fn last_active(&self, now: Instant) -> Instant {
        self.last_heard.max(self.last_sent.instant_near(now).min(now))
    }

    /// When the connection comes to rest, if nothing happens. `None`: it does already, or is not quiet.
    pub(crate) fn rest_deadline(&self, now: Instant) -> Option<Instant> {
        if self.acks.is_rested() || !self.is_quiet() {
            return None;
        }
        Some(rest_moment(self.last_active(now), self.recovery.rto()))
    }

    /// Whether the connection is quiet after the first exchange that followed a long silence. Another
    /// silence is likely: whoever keeps its deadline does well to forget earlier ones now, while
    /// all it needs for that is at hand.
    #[inline]
    pub fn may_rest_again(&self) -> bool {
        self.acks.has_just_ended_rest() && self.is_quiet()
    }

    /// One exchange does not end a long silence, unless it taught more than the silence would make it forget: a
    /// quiet connection rests again at once ([`Tcb::rest_again`], [`Moulds::park_again`]). The next exchange counts
    /// as another one in silence if it comes a second later (`AckPolicy::end_silence`).
    #[inline]
    pub fn rests_again(&self) -> bool {
        self.acks.has_had_one_exchange()
            && self.controller.window_octets() <= initial_window(self.send_mss())
    }

    /// It does so where it is.
    pub fn rest_again(&mut self, now: Instant) {
        self.unpredict();
        self.forget_moment(now);
        self.forget_rounds(now);
        self.predict();
    }

    /// Whether a long silence has passed, and nothing happened since.
    pub fn has_rested(&self) -> bool {
        self.acks.is_rested()
    }

    /// A long silence has passed. What the last flights showed of the moment is forgotten: the
    /// congestion window begins anew as after any idle time, the estimates of the reader's round and of
    /// the spacing of arrivals begin anew. What they showed of the path stays.
    pub(crate) fn rest(&mut self, now: Instant) {
        self.unpredict();
        if self.settings.restart_after_idle {
            let idle = now.since(self.last_active(now));
            let rto = self.recovery.rto();
            self.controller.on_path(now, &PathChange::Idle { idle, rto });
        }
        self.forget_moment(now);
        self.forget_rounds(now);
    }

    /// The controller keeps its window and threshold, which is what it parks.
    fn forget_rounds(&mut self, now: Instant) {
        self.controller = C::resume(self.controller.park(), &self.path_start(now), Span::ZERO);
    }

    fn forget_moment(&mut self, now: Instant) {
        self.recovery.rest();
        if self.pacer.release() <= now {
            self.pacer = Pacer::default();
        }
        self.autotune.rest();
        self.advertise.rest();
        self.acks.rest();
        (self.snd.wl1, self.snd.wl2) = (self.receiver.nxt(), self.snd.una);
    }

    fn path_start(&self, now: Instant) -> PathStart {
        PathStart {
            now,
            mss_octets: self.send_mss(),
            rtt: self.recovery.srtt(),
            handshake_lost: false,
            threshold_octets: None,
        }
    }

    /// While quiet: what means nothing any more gets one form, and times the precision of a record.
    fn forget_flight(&mut self, now: Instant) {
        self.recovery.forget_flight();
        self.acks.forget_deadline();
        self.autotune.shift(0);
        self.snd.small = self.snd.una;
        self.progress = Instant::ZERO;
        self.persist = Persist::default();
        if !self.soft_errors.is_recent(now) {
            self.soft_errors = SoftErrors::new(Instant::ZERO);
        }
        debug_assert!(self.queue.is_empty(), "it is quiet");
        self.receiver.forget();
        self.owed = Owed::default();
    }

    /// Counts all numbers from others: SND.UNA and RCV.NXT are so much larger, and so many octets
    /// more were acknowledged (all circular).
    fn shift(&mut self, send: u32, receive: u32, octets: u64) {
        for seq in [&mut self.snd.una, &mut self.snd.nxt, &mut self.snd.wl2, &mut self.snd.small] {
            *seq += send;
        }
        self.snd.wl1 += receive;
        self.receiver.shift(receive);
        self.advertise.shift(receive);
        self.autotune.shift(receive);
        self.timestamps.shift(receive);
        self.recovery.shift(send, octets);
    }

    /// A copy of a quiet TCB.
    fn of_quiet(&self) -> Tcb<C> {
        let mut tcb = Tcb::vacant(Rc::clone(&self.settings));
        tcb.become_quiet(self);
        tcb
    }

    /// Becomes a copy of a quiet TCB where it is: it is quiet, as [`Tcb::forget_flight`] leaves it.
    fn become_quiet(&mut self, other: &Tcb<C>) {
        let Tcb {
            controller,
            stopwatches,
            rare,
            pacer,
            release,
            established,
            user_timeout,
            soft_errors,
            snd_up,
            receiver,
            queue: _,
            settings,
            progress,
            last_heard,
            octets_acknowledged,
            octets_received,
            timestamps,
            mtu,
            snd,
            timestamp_offset,
            last_sent,
            acks,
            autotune,
            advertise,
            prediction,
            send_scale,
            keep_alive,
            halves,
            wants,
            owed,
            recovery,
            persist,
            challenge,
            ecn,
        } = self;
        controller.clone_from(&other.controller);
        *stopwatches = other.stopwatches;
        rare.clone_from(&other.rare);
        *pacer = other.pacer;
        *release = other.release;
        *established = other.established;
        *user_timeout = other.user_timeout;
        *soft_errors = other.soft_errors;
        *snd_up = other.snd_up;
        receiver.begin(other.receiver.nxt());
        if !Rc::ptr_eq(settings, &other.settings) {
            *settings = Rc::clone(&other.settings);
        }
        *progress = other.progress;
        *last_heard = other.last_heard;
        *octets_acknowledged = other.octets_acknowledged;
        *octets_received = other.octets_received;
        *timestamps = other.timestamps;
        mtu.clone_from(&other.mtu);
        *snd = other.snd;
        *timestamp_offset = other.timestamp_offset;
        *last_sent = other.last_sent;
        *acks = other.acks;
        *autotune = other.autotune;
        *advertise = other.advertise;
        *prediction = other.prediction;
        *send_scale = other.send_scale;
        *keep_alive = other.keep_alive;
        *halves = other.halves;
        *wants = other.wants;
        *owed = other.owed;
        recovery.become_quiet(&other.recovery);
        *persist = other.persist;
        *challenge = other.challenge;
        ecn.clone_from(&other.ecn);
    }

    /// Where two quiet TCBs differ first, stopwatches apart.
    fn difference(&self, other: &Tcb<C>) -> Result<(), &'static str> {
        same(self.controller == other.controller, "controller")?;
        self.difference_of_moulds(other, true)
    }

    /// The same; `resumed`: both controllers are made anew of one residue and a path before anybody looks.
    #[inline]
    fn difference_of_moulds(&self, other: &Tcb<C>, resumed: bool) -> Result<(), &'static str> {
        // Every field has its place here, so that none is forgotten.
        let Tcb {
            snd,
            send_scale,
            queue: _, // empty
            recovery,
            controller,
            pacer,
            receiver,
            advertise,
            autotune,
            acks,
            timestamps,
            timestamp_offset,
            halves,
            prediction,
            owed,
            wants,
            challenge,
            ecn,
            last_heard,
            last_sent,
            progress,
            release,
            persist,
            mtu,
            keep_alive,
            user_timeout,
            soft_errors,
            snd_up,
            settings,
            stopwatches: _, // begin anew
            established,
            rare,
            octets_acknowledged,
            octets_received,
        } = self;
        // What differs most often first.
        same(*snd == other.snd && *send_scale == other.send_scale, "snd")?;
        same(*snd_up == other.snd_up, "snd_up")?;
        same(*advertise == other.advertise, "advertise")?;
        same(*autotune == other.autotune, "autotune")?;
        same(resumed || *controller == other.controller, "controller")?;
        same(recovery.is_all_same_quiet(&other.recovery), "recovery")?;
        same(receiver.nxt() == other.receiver.nxt(), "RCV.NXT")?;
        same(*acks == other.acks, "acks")?;
        same(*timestamps == other.timestamps, "timestamps")?;
        same(*timestamp_offset == other.timestamp_offset, "timestamp_offset")?;
        same(*halves == other.halves && *prediction == other.prediction, "halves")?;
        same(*owed == other.owed && *wants == other.wants, "wants")?;
        same(*challenge == other.challenge, "challenge")?;
        same(*last_heard == other.last_heard, "last_heard")?;
        same(*last_sent == other.last_sent, "last_sent")?;
        same(*progress == other.progress && *release == other.release, "progress")?;
        same(*persist == other.persist, "persist")?;
        same(*keep_alive == other.keep_alive, "keep_alive")?;
        same(*user_timeout == other.user_timeout, "user_timeout")?;
        same(*soft_errors == other.soft_errors, "soft_errors")?;
        same(*established == other.established, "established")?;
        same(*pacer == other.pacer, "pacer")?;
        same(Rc::ptr_eq(settings, &other.settings), "settings")?;
        same(*ecn == other.ecn && *mtu == other.mtu && *rare == other.rare, "ecn, mtu, rare")?;
        same(*octets_acknowledged == other.octets_acknowledged, "octets_acknowledged")?;
        same(*octets_received == other.octets_received, "octets_received")
    }

    /// Whether what is left of this TCB, its own taken out, is equal to a mould: what is quiet, was forgotten or was taken
    /// out is the same of all that come here, and is not looked at. `resumed`: as above.
    #[inline]
    fn is_of_mould(&self, mould: &Tcb<C>, resumed: bool) -> bool {
        // Every field has its place here, so that none is forgotten.
        let Tcb {
            snd,
            send_scale,
            queue: _,
            recovery,
            controller,
            pacer,
            receiver: _,
            advertise,
            autotune,
            acks,
            timestamps,
            timestamp_offset: _,
            halves: _,
            prediction,
            owed: _,
            wants,
            challenge,
            ecn,
            last_heard: _,
            last_sent: _,
            progress: _,
            release: _,
            persist: _,
            mtu,
            keep_alive: _,
            user_timeout,
            soft_errors,
            snd_up: _,
            settings,
            stopwatches: _,
            established: _,
            rare,
            octets_acknowledged: _,
            octets_received: _,
        } = self;
        // What differs most often first.
        let is_same = snd.is_same_quiet(&mould.snd)
            && *advertise == mould.advertise
            && *autotune == mould.autotune
            && (resumed || *controller == mould.controller)
            && recovery.is_same_quiet(&mould.recovery)
            && *acks == mould.acks
            && timestamps.is_same_taken(&mould.timestamps)
            && (*send_scale, *prediction) == (mould.send_scale, mould.prediction)
            && *wants == mould.wants
            && *challenge == mould.challenge
            && *user_timeout == mould.user_timeout
            && *soft_errors == mould.soft_errors
            && *pacer == mould.pacer
            && Rc::ptr_eq(settings, &mould.settings)
            && *ecn == mould.ecn
            && mtu.is_same(&mould.mtu)
            && *rare == mould.rare;
        debug_assert_eq!(
            is_same,
            self.difference_of_moulds(mould, resumed).is_ok(),
            "what is the same of all differs"
        );
        is_same
    }

    /// Takes over from `other`, which was parked, what a record rounds.
    fn round_like(&mut self, other: &Tcb<C>) {
        self.last_heard = other.last_heard;
        self.last_sent = other.last_sent;
        self.established = other.established;
        self.recovery.round_like(&other.recovery);
        if self.timestamps.is_on() {
            self.timestamps.set_recent(self.timestamps.recent(), other.timestamps.recent_unit());
        }
    }

    /// What a mould of this TCB is looked for by.
    fn fold(&self) -> u64 {
        let window = u64::from(self.controller.window_octets()) << 32
            | u64::from(self.controller.threshold());
        let peer = u64::from(self.snd.max_wnd) << 32 | u64::from(self.snd.wnd);
        let path = u64::from(self.mtu.segment_octets()) << 8 | u64::from(self.send_scale.shift());
        let place = Rc::as_ptr(&self.settings).addr() as u64;
        [
            window,
            peer,
            path,
            place,
            self.advertise.fold(),
            self.autotune.fold(),
            self.recovery.fold(),
        ]
        .into_iter()
        .fold(u64::from(self.acks.is_rested()), |all, part| {
            (all ^ part).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29)
        })
    }
}

#[inline]
const fn same(same: bool, name: &'static str) -> Result<(), &'static str> {
    if same { Ok(()) } else { Err(name) }
}

/// What a TCB has before its own is put in.
const NO_NUMBER: Seq = Seq(0);

/// A TCB whose own fields are taken out.
fn emptied<C>(tcb: &mut Tcb<C>) {
    tcb.timestamp_offset = 0;
    tcb.last_heard = Instant::ZERO;
    tcb.last_sent = Instant::ZERO.tick();
    tcb.established = Instant::ZERO;
    tcb.keep_alive = KeepAliveState::default();
    tcb.stopwatches = Stopwatches::new(Instant::ZERO);
    tcb.octets_acknowledged = 0;
    tcb.octets_received = 0;
    if tcb.prediction.is_known() {
        tcb.prediction = Prediction::Unknown;
    }
    debug_assert_eq!((tcb.snd.una, tcb.receiver.nxt()), (NO_NUMBER, NO_NUMBER));
}
