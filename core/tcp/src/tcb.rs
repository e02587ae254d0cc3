//! The TCB: what a connection needs while it has work.
//!
//! Owns: the hot state of one synchronised connection, and its birth from a handshake.
//! Must not know: addresses, ports, tables. What must survive idle time is in the anchor's terms
//! already (numbers, scales, estimators); the rest may be dropped when the connection parks.
//! Implements: RFC 9293 §3.3.1.

use crate::ecn::EcnState;
use crate::env::Env;
use crate::halves::Halves;
use crate::info::Stopwatches;
use crate::keepalive::KeepAliveState;
use crate::mtu::PathMtu;
use crate::open::{EcnAgreed, Opening, Shaken, timestamp_clock};
use crate::pace::Pacer;
use crate::predicted::Prediction;
use crate::rare::Rare;
use crate::recovery::{Recovery, RecoverySettings, RecoveryStart};
use crate::recv::ack_policy::{AckPolicy, AckSettings};
use crate::recv::advertise::{Advertise, Holding};
use crate::recv::autotune::Autotune;
use crate::recv::challenge::Challenge;
use crate::recv::paws::Timestamps;
use crate::recv::receiver::Receiver;
use crate::send::Snd;
use crate::send::probe::Persist;
use crate::settings::{HEADER_OCTETS, HostFacts, Manner, PathFacts, Settings, TIMESTAMP_OCTETS};
use crate::signal::SoftErrors;
use crate::user_timeout::UserTimeout;
use alloc::rc::Rc;
use usertcp_base::{Event, Instant, Limits, Observer, Scale, Seq, Tick, WireWindow};
use usertcp_cc::{CongestionController, PathStart};
use usertcp_frame::Chain;

/// Octets a connection must have had acknowledged before others learn from it: more than a peer that
/// only completes handshakes gets.
const LEAST_EXCHANGED_OCTETS: u64 = 4096;

/// The hot part of a connection.
///
/// In the order in which it lies in memory, from the beginning of a cache line on: with many connections each line
/// of sixty-four octets is waited for. What a question and its answer look at are the second line, where the controller
/// ends, and seven from the receiver's queue to the scoreboard's first record; the line of the pacer and what lies behind
/// that record belong to more, or paced, data. What there is of them is read by [`Tcb::touch`].
#[repr(C, align(64))]
pub struct Tcb<C> {
    // Its end is what every segment looks at.
    pub(crate) controller: C,
    // What a paced segment looks at beside what all do.
    pub(crate) stopwatches: Stopwatches,
    pub(crate) rare: Rare,
    pub(crate) pacer: Pacer,
    /// When the pacer lets the next octet go, while it is what holds data back; else
    /// [`Instant::FAR`].
    pub(crate) release: Instant,
    // Rare.
    pub(crate) established: Instant,
    pub(crate) user_timeout: UserTimeout,
    pub(crate) soft_errors: SoftErrors,
    /// SND.UP: urgent pointer, while urgent data is unacknowledged.
    pub(crate) snd_up: Option<Seq>,
    // What every segment looks at: a little of everything. It begins in the midst of the receiver, …
    pub(crate) receiver: Receiver,
    pub(crate) queue: Chain,
    pub(crate) settings: Rc<Settings>,
    /// When data last advanced, or outstanding data began: what R2 counts from.
    pub(crate) progress: Instant,
    pub(crate) last_heard: Instant,
    pub(crate) octets_acknowledged: u64,
    pub(crate) octets_received: u64,
    pub(crate) timestamps: Timestamps,
    pub(crate) mtu: PathMtu,
    pub(crate) snd: Snd,
    pub(crate) timestamp_offset: u32,
    pub(crate) last_sent: Tick,
    pub(crate) acks: AckPolicy,
    pub(crate) autotune: Autotune,
    pub(crate) advertise: Advertise,
    /// Whether the predicted path may be taken.
    pub(crate) prediction: Prediction,
    /// Scale of the peer's window field.
    pub(crate) send_scale: Scale,
    pub(crate) keep_alive: KeepAliveState,
    pub(crate) halves: Halves,
    pub(crate) wants: Wants,
    pub(crate) owed: Owed,
    // … and ends in the midst of what is known of what was sent.
    pub(crate) recovery: Recovery,
    // Rare.
    pub(crate) persist: Persist,
    pub(crate) challenge: Challenge,
    pub(crate) ecn: EcnState,
}

/// Segments that must be sent although there may be no data to carry them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Owed {
    /// A window or keep-alive probe.
    pub probe: bool,
    /// A partial segment has waited long enough.
    pub partial: bool,
    /// A challenge acknowledgement, already counted by the throttle.
    pub challenge: bool,
}

impl Owed {
    /// Whether any of them is.
    pub(crate) fn anything(&self) -> bool {
        self.probe || self.partial || self.challenge
    }
}

/// What the application was told to wait for, or did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Wants {
    /// A write found no room: tell when there is.
    pub write: bool,
    /// The application let go of the stream: nobody reads.
    pub detached: bool,
    /// Data on a SYN was acknowledged: ours by the peer, or the peer's by us (RFC 7413).
    pub syn_data: bool,
}

impl<C: CongestionController> Tcb<C> {
    /// The connection that `opening` established, with a controller already started.
    pub fn new<O: Observer>(
        env: &mut Env<'_, O>,
        opening: &Opening,
        settings: &Rc<Settings>,
        path: &PathFacts,
        start_controller: impl FnOnce(&PathStart) -> C,
    ) -> Tcb<C> {
        let mut tcb = Tcb::vacant(Rc::clone(settings));
        let settings = Rc::clone(settings);
        tcb.occupy(env.now, env.limits, opening, settings, path, start_controller);
        tcb.begin(env, opening);
        tcb
    }

    /// A TCB of no connection. It becomes one's where it stays: [`Tcb::occupy`] comes next, then [`Tcb::begin`].
    #[inline(never)]
    pub fn vacant(settings: Rc<Settings>) -> Tcb<C> {
        let now = Instant::ZERO;
        let (rtt, threshold_octets) = (None, None);
        let start = PathStart { now, mss_octets: 1, rtt, handshake_lost: false, threshold_octets };
        let no_window = WireWindow(0);
        Tcb {
            persist: Persist::default(),
            challenge: Challenge::default(),
            ecn: EcnState::default(),
            established: now,
            user_timeout: UserTimeout::default(),
            soft_errors: SoftErrors::new(now),
            snd_up: None,
            controller: C::start(&start),
            stopwatches: Stopwatches::new(now),
            settings,
            rare: Rare::default(),
            progress: now,
            release: Instant::FAR,
            pacer: Pacer::default(),
            last_heard: now,
            octets_acknowledged: 0,
            octets_received: 0,
            timestamps: Timestamps::off(),
            mtu: PathMtu::vacant(),
            snd: Snd::beginning(Seq(0), no_window, Seq(0)),
            timestamp_offset: 0,
            last_sent: now.tick(),
            acks: AckPolicy::new(),
            autotune: Autotune::new(now, 0),
            advertise: Advertise::new(Seq(0), no_window, Scale::NONE, Scale::NONE),
            halves: Halves::OPEN,
            owed: Owed::default(),
            wants: Wants::default(),
            prediction: Prediction::Unknown,
            send_scale: Scale::NONE,
            keep_alive: KeepAliveState::default(),
            queue: Chain::new(),
            receiver: Receiver::new(Seq(0)),
            recovery: Recovery::vacant(),
        }
    }

    /// Becomes that of the connection that `opening` established, where it is: nothing stays as it was. It is vacant, or
    /// what was on the heap was given back by [`Tcb::leave`].
    #[inline(never)]
    pub fn occupy(
        &mut self,
        now: Instant,
        limits: &Limits,
        opening: &Opening,
        settings: Rc<Settings>,
        path: &PathFacts,
        start_controller: impl FnOnce(&PathStart) -> C,
    ) {
        self.fill(now, limits, opening, settings, path, start_controller);
    }

    /// [`Tcb::occupy`] and [`Tcb::begin`] for the connection that a handshake of usual segments established.
    #[inline(never)]
    pub fn begin_usual<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        shaken: &Shaken,
        settings: Rc<Settings>,
        path: &PathFacts,
        start_controller: impl FnOnce(&PathStart) -> C,
    ) {
        let opening = shaken.opening(env.now);
        self.fill(env.now, env.limits, &opening, settings, path, start_controller);
        self.begin(env, &opening);
    }

    #[inline(always)] // twice: what is usual is known in one of the two
    fn fill(
        &mut self,
        now: Instant,
        limits: &Limits,
        opening: &Opening,
        shared: Rc<Settings>,
        path: &PathFacts,
        start_controller: impl FnOnce(&PathStart) -> C,
    ) {
        let agreed = &opening.agreed;
        let syn_octets = u32::from(opening.syn_octets_acked);
        let (una, rcv_nxt) = (agreed.iss + 1 + syn_octets, agreed.irs + 1);
        let Tcb {
            persist,
            challenge,
            ecn,
            established,
            user_timeout,
            soft_errors,
            snd_up,
            controller,
            stopwatches,
            settings,
            rare,
            progress,
            release,
            pacer,
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
            halves,
            owed,
            wants,
            prediction,
            send_scale,
            keep_alive,
            queue,
            receiver,
            recovery,
        } = self;
        debug_assert!(!ecn.is_agreed() && rare.is_empty() && queue.is_empty(), "it was not left");
        *settings = shared;
        mtu.begin(path, settings, agreed.peer_mss_octets);
        let start = path_start(now, opening, path, mtu);
        *controller = start_controller(&start);
        *persist = Persist::default();
        *challenge = Challenge::default();
        if agreed.ecn != EcnAgreed::Off {
            *ecn = EcnState::new(agreed, settings.ecn_option);
        }
        *established = now;
        *user_timeout = UserTimeout::new(settings);
        *soft_errors = SoftErrors::new(now);
        *snd_up = None;
        *stopwatches = Stopwatches::new(now);
        *progress = now;
        *release = Instant::FAR;
        *pacer = Pacer::default();
        *last_heard = now;
        *octets_acknowledged = u64::from(syn_octets);
        *octets_received = 0;
        *timestamps = match agreed.timestamps {
            Some(timestamps) => Timestamps::negotiated(now, timestamps.recent, rcv_nxt),
            None => Timestamps::off(),
        };
        *snd = Snd::beginning(una, WireWindow(agreed.peer_window_octets), agreed.irs);
        *timestamp_offset = agreed.timestamps.map_or(0, |timestamps| timestamps.offset);
        *last_sent = now.tick();
        *acks = AckPolicy::new();
        *autotune = Autotune::new(now, settings.receive_start_octets(limits));
        let own_window = WireWindow(agreed.own_window_octets);
        *advertise = Advertise::new(rcv_nxt, own_window, Scale::NONE, agreed.receive_scale);
        *halves = Halves::OPEN;
        *owed = Owed::default();
        *wants = Wants { syn_data: syn_octets > 0, ..Wants::default() };
        *prediction = Prediction::Unknown;
        *send_scale = agreed.send_scale;
        *keep_alive = KeepAliveState::default();
        receiver.begin(rcv_nxt);
        begin_recovery(recovery, now, limits, opening, settings, start.mss_octets, path.host);
    }

    /// The connection is over: gives back what is on the heap, but for its settings. It is no connection's then.
    pub fn leave(&mut self) {
        if !self.queue.is_empty() {
            self.queue.clear();
        }
        self.receiver.leave_queue();
        self.recovery.leave_records();
        // Of one that was plain to its end there is no more.
        if !self.prediction.is_known() {
            self.leave_rest();
        }
        self.prediction = Prediction::Unknown;
    }

    #[inline(never)]
    fn leave_rest(&mut self) {
        self.ecn = EcnState::default();
        self.rare = Rare::default();
        self.mtu.leave();
        self.receiver.leave();
        self.recovery.leave();
    }

    /// The connection is where it stays.
    #[inline(always)] // as `Tcb::fill`
    pub fn begin<O: Observer>(&mut self, env: &mut Env<'_, O>, opening: &Opening) {
        if opening.owes_ack {
            self.acks.demand();
        }
        self.answer_handshake_mark(env, &opening.agreed.ecn);
        env.observe(&Event::Opened { active: opening.active });
        self.predict_newborn();
    }

    /// Payload of a full segment without SACK blocks: the effective send MSS (MUST-16).
    pub fn send_mss(&self) -> u32 {
        self.payload_of(self.mtu.segment_octets())
    }

    /// Payload of a segment of `segment_octets`, without SACK blocks.
    pub(crate) fn payload_of(&self, segment_octets: u16) -> u32 {
        let options = if self.timestamps.is_on() { TIMESTAMP_OCTETS } else { 0 };
        u32::from(segment_octets.saturating_sub(HEADER_OCTETS + options).max(1))
    }

    /// [`Tcb::send_mss`] where timestamps are on.
    #[inline]
    pub(crate) fn usual_mss(&self) -> u32 {
        self.mtu.usual_payload_octets().unwrap_or(0).max(1)
    }

    /// The timestamp to send now.
    pub(crate) fn timestamp_value(&self, now: Instant) -> u32 {
        timestamp_clock(now, self.timestamp_offset)
    }

    /// The sequence number our FIN has or will have: the one after everything written.
    pub(crate) fn fin_seq(&self) -> Seq {
        self.snd.una + self.queue_octets()
    }

    /// Whether our FIN has been sent.
    pub(crate) fn fin_sent(&self) -> bool {
        self.snd.nxt.after(self.fin_seq())
    }

    /// Written and not acknowledged, octets.
    pub(crate) fn queue_octets(&self) -> u32 {
        u32::try_from(self.queue.len()).unwrap_or(u32::MAX)
    }

    /// Written and not sent, octets.
    pub(crate) fn unsent_octets(&self) -> u32 {
        self.fin_seq().since(self.snd.nxt)
    }

    /// MSS we announced: what a full segment to us is.
    pub(crate) fn receive_mss(&self) -> u16 {
        self.mtu.announced_mss()
    }

    /// What is held for the reader.
    pub(crate) fn holding(&self) -> Holding {
        self.receiver.holding(self.autotune.buffer())
    }

    /// How acknowledgements may be delayed here.
    pub(crate) fn ack_settings(&self) -> AckSettings {
        let settings = self.own_ack_settings();
        match self.settings.manner {
            Manner::Own => settings,
            Manner::Linux => AckSettings { shortest: settings.longest, ..settings },
        }
    }

    /// Whether connections after this one may learn from it, so many octets being acknowledged.
    pub(crate) fn teaches(&self, octets_acknowledged: u64) -> bool {
        self.settings.share_path_facts && octets_acknowledged >= LEAST_EXCHANGED_OCTETS
    }

    /// The same in our own manner.
    pub(crate) fn own_ack_settings(&self) -> AckSettings {
        AckSettings { longest: self.settings.ack_delay, ..AckSettings::default() }
    }

    /// Whether [`Tcb::host_facts`] would tell any.
    #[inline]
    pub fn has_host_facts(&self) -> bool {
        self.teaches(self.octets_acknowledged)
    }

    /// What connections after this one may learn of the host, if anything: only what a connection
    /// that exchanged data found out itself (9040-2, AT-44).
    pub fn host_facts(&self) -> Option<HostFacts> {
        if !self.teaches(self.octets_acknowledged) {
            return None;
        }
        let srtt = self.recovery.srtt();
        let threshold = self.controller.describe().threshold_octets;
        let reached = u64::from(threshold) <= self.octets_acknowledged;
        Some(HostFacts {
            path: self.mtu.learned(),
            rtt: srtt.zip(self.recovery.rttvar()),
            threshold_octets: reached.then_some(threshold),
            reorders: self.recovery.reorders(),
        })
    }

    /// Frame memory held, octets.
    pub fn memory_octets(&self) -> u32 {
        self.queue.charge().saturating_add(self.receiver.charge())
    }
}

#[inline(always)] // as `Tcb::fill`
fn path_start(now: Instant, opening: &Opening, path: &PathFacts, mtu: &PathMtu) -> PathStart {
    let options = if opening.agreed.timestamps.is_some() { TIMESTAMP_OCTETS } else { 0 };
    let mss = mtu.segment_octets().saturating_sub(HEADER_OCTETS + options).max(1);
    PathStart {
        now,
        mss_octets: u32::from(mss),
        rtt: opening.rtt,
        handshake_lost: opening.lost,
        threshold_octets: path.host.and_then(|host| host.threshold_octets),
    }
}

#[inline(always)]
fn begin_recovery(
    recovery: &mut Recovery,
    now: Instant,
    limits: &Limits,
    opening: &Opening,
    settings: &Settings,
    mss: u32,
    host: Option<HostFacts>,
) {
    let una = opening.agreed.iss + 1 + u32::from(opening.syn_octets_acked);
    recovery.begin(
        &RecoverySettings {
            rto_min: settings.rto_min,
            sack_ranges: limits.sack_ranges.min(u32::from(u16::MAX)) as u16,
            tail_probe: settings.tail_probe,
            ..RecoverySettings::default()
        },
        &RecoveryStart {
            now,
            una,
            mss,
            sack: opening.agreed.sack,
            timestamps: opening.agreed.timestamps.is_some(),
            rtt: opening.rtt,
            handshake_timed_out: opening.lost,
            earlier_rtt: host.and_then(|host| host.rtt),
            reorders: host.is_some_and(|host| host.reorders),
        },
    );
}
