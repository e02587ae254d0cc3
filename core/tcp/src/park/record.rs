//! What is a parked connection's own, in 52 octets.
//!
//! Owns: the format, its precision, and which TCBs fit into it.
//! Must not know: moulds but by their number.
//! Implements: DESIGN §5.2.
//!
//! Precision: when the peer was last heard, 1 ms; when data was last sent, 1 in 2,000 of the time
//! between the two; round trips, 1 in 260,000; when the least one was seen, 2 s; when the connection
//! was established, 1 s. The TCB is rounded first, so that a record loses nothing.

use crate::keepalive::KeepAliveState;
use crate::recovery::RttTimes;
use crate::recv::paws;
use crate::tcb::Tcb;
use usertcp_base::{Instant, Span, Tick};
use usertcp_cc::CongestionController;

/// Microseconds in the unit of `heard`, as a power of two.
const HEARD_SHIFT: u32 = 10;
/// Ticks in the unit of `minimum_age`, as a power of two: 2.1 s.
const AGE_SHIFT: u32 = 15;
/// A silence after which ticks may mislead: 19 hours.
const LONG_TICKS: u32 = 1 << 30;

/// The record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parked {
    /// SND.UNA, which is SND.NXT.
    pub(super) snd_nxt: u32,
    pub(super) rcv_nxt: u32,
    /// TS.Recent.
    pub(super) recent: u32,
    /// When the peer was last heard, in units of 1.024 ms, circular in 50 days.
    pub(super) heard: u32,
    acknowledged_low: u32,
    received_low: u32,
    acknowledged_high: u16,
    received_high: u16,
    /// The peer's window and what is left of ours, in units of their scales; the rest is the mould's.
    pub(super) peer_window: u16,
    pub(super) own_window: u16,
    /// Ticks between the last data sent and the last segment heard, 11 bits and a shift.
    sent_before: u16,
    /// SRTT and RTTVAR in 1/16 µs, the least round trip in µs: 19 bits and a shift.
    srtt: [u8; 3],
    rttvar: [u8; 3],
    min_rtt: [u8; 3],
    /// The second it was established in, circular in 194 days.
    established: [u8; 3],
    mould: [u8; 3],
    /// How old the least round trip was when the peer was last heard; 255: too old.
    minimum_age: u8,
    /// From the last confirmation of TS.Recent until the peer was last heard, in units of `paws`.
    recent_age: u8,
    /// Keep-alive probes since then.
    pub(super) unanswered: u8,
}

const _: () = assert!(size_of::<Parked>() == 52 && align_of::<Parked>() == 4);

/// The largest number of a mould.
pub(super) const MOST_MOULDS: u32 = (1 << 24) - 1;
/// Octets counted at most.
const MOST_OCTETS: u64 = (1 << 48) - 1;

/// A number rounded down to `bits` significant ones.
const fn rounded(value: u32, bits: u32) -> u32 {
    let shift = (u32::BITS - value.leading_zeros()).saturating_sub(bits);
    value >> shift << shift
}

/// `value` as `bits` bits and a shift above them.
const fn squeezed(value: u32, bits: u32) -> u32 {
    let shift = (u32::BITS - value.leading_zeros()).saturating_sub(bits);
    shift << bits | value >> shift
}

const fn expanded(number: u32, bits: u32) -> u32 {
    let shift = number >> bits;
    (number & ((1 << bits) - 1)) << if shift < 32 { shift } else { 31 }
}

const fn three(number: u32) -> [u8; 3] {
    let [a, b, c, _] = number.to_le_bytes();
    [a, b, c]
}

const fn number(octets: [u8; 3]) -> u32 {
    let [a, b, c] = octets;
    u32::from_le_bytes([a, b, c, 0])
}

/// Significant bits of round trips and of times between ticks.
const RTT_BITS: u32 = 19;
const TICK_BITS: u32 = 11;

const fn seconds(moment: Instant) -> u64 {
    moment.as_micros() / 1_000_000
}

impl Parked {
    /// No connection's: the place of one that is to be made.
    pub const NONE: Parked = Parked {
        snd_nxt: 0,
        rcv_nxt: 0,
        recent: 0,
        heard: 0,
        acknowledged_low: 0,
        received_low: 0,
        acknowledged_high: 0,
        received_high: 0,
        peer_window: 0,
        own_window: 0,
        sent_before: 0,
        srtt: [0; 3],
        rttvar: [0; 3],
        min_rtt: [0; 3],
        established: [0; 3],
        mould: [0; 3],
        minimum_age: 0,
        recent_age: 0,
        unanswered: 0,
    };

    /// The number of its mould.
    pub(super) fn mould(&self) -> u32 {
        number(self.mould)
    }

    /// It has this mould from now on.
    #[inline]
    pub(super) fn set_mould(&mut self, mould: u32) {
        self.mould = three(mould);
    }

    /// Payload acknowledged by the peer, and received in order, octets in all.
    pub fn octets(&self) -> (u64, u64) {
        let whole = |high: u16, low: u32| u64::from(high) << 32 | u64::from(low);
        (
            whole(self.acknowledged_high, self.acknowledged_low),
            whole(self.received_high, self.received_low),
        )
    }

    /// When the peer was last heard.
    pub fn last_heard(&self, now: Instant) -> Instant {
        let units = now.as_micros() >> HEARD_SHIFT;
        let ago = (units as u32).wrapping_sub(self.heard);
        Instant::from_micros((units - u64::from(ago).min(units)) << HEARD_SHIFT)
    }

    /// When data was last sent.
    pub(super) fn last_sent(&self, now: Instant) -> Instant {
        self.last_heard(now) - ticks(expanded(u32::from(self.sent_before), TICK_BITS))
    }

    /// The peer is heard now.
    pub(super) fn hear(&mut self, now: Instant, value: u32) {
        let heard = floor(now);
        let (sent, minimum) = (self.last_sent(now), self.minimum_at(now));
        self.sent_before = squeezed(between(sent, heard), TICK_BITS) as u16;
        self.minimum_age = minimum_age(minimum, heard);
        self.heard = (now.as_micros() >> HEARD_SHIFT) as u32;
        self.recent = value;
        self.recent_age = 0;
        self.unanswered = 0;
    }

    fn minimum_at(&self, now: Instant) -> Tick {
        let heard = self.last_heard(now);
        let silence = (now.since(heard).as_micros() >> 6).min(u64::from(u32::MAX)) as u32;
        let old = self.minimum_age == u8::MAX || silence > RttTimes::MINIMUM_AGE_TICKS;
        match old {
            true => Tick(now.tick().0.wrapping_sub(RttTimes::MINIMUM_AGE_TICKS + 1)),
            false => Tick(heard.tick().0.wrapping_sub(u32::from(self.minimum_age) << AGE_SHIFT)),
        }
    }

    /// What the connection measured.
    fn times(&self, now: Instant) -> RttTimes {
        RttTimes {
            srtt: expanded(number(self.srtt), RTT_BITS),
            rttvar: expanded(number(self.rttvar), RTT_BITS),
            min_rtt: expanded(number(self.min_rtt), RTT_BITS),
            min_rtt_at: if number(self.min_rtt) == 0 { Tick(0) } else { self.minimum_at(now) },
        }
    }

    fn established(&self, now: Instant) -> Instant {
        let second = seconds(now);
        let age = (second as u32).wrapping_sub(number(self.established)) & 0xFF_FFFF;
        Instant::ZERO + Span::from_secs(second.saturating_sub(u64::from(age)))
    }

    fn recent_unit(&self, now: Instant) -> u32 {
        paws::unit(self.last_heard(now)).wrapping_sub(u32::from(self.recent_age))
    }
}

fn floor(moment: Instant) -> Instant {
    Instant::from_micros(moment.as_micros() >> HEARD_SHIFT << HEARD_SHIFT)
}

fn ticks(count: u32) -> Span {
    Span::from_micros(u64::from(count) << 6)
}

/// Ticks from `earlier` to `later`, zero if it is later.
fn between(earlier: Instant, later: Instant) -> u32 {
    let ticks = (later.as_micros() >> 6).saturating_sub(earlier.as_micros() >> 6);
    rounded(ticks.min(u64::from(LONG_TICKS)) as u32, TICK_BITS)
}

/// The age of a least round trip, in the units of a record.
fn minimum_age(at: Tick, heard: Instant) -> u8 {
    match heard.tick().0.wrapping_sub(at.0) {
        // A moment after it: what was heard is rounded down.
        ticks if ticks > u32::MAX / 2 => 0,
        ticks if ticks > RttTimes::MINIMUM_AGE_TICKS => u8::MAX,
        ticks => (ticks >> AGE_SHIFT).min(u32::from(u8::MAX)) as u8,
    }
}

impl<C: CongestionController> Tcb<C> {
    /// Whether what is the connection's own fits into a record.
    pub(super) fn fits_record(&self) -> bool {
        self.octets_acknowledged | self.octets_received <= MOST_OCTETS
            && self.peer_window() <= u32::from(u16::MAX)
            && self.own_window() <= u32::from(u16::MAX)
            && (self.recent_age() <= u32::from(u8::MAX) || !self.timestamps.is_on())
    }

    /// What the peer offers, in units of its scale.
    fn peer_window(&self) -> u32 {
        self.snd.wnd >> self.send_scale.shift()
    }

    /// What we offer, in units of our scale.
    fn own_window(&self) -> u32 {
        self.left_octets() >> self.advertise.scale().shift()
    }

    /// The same in octets.
    fn left_octets(&self) -> u32 {
        self.advertise.edge().since(self.receiver.nxt())
    }

    /// Units of `paws` from the last confirmation of TS.Recent to when the peer was heard last, as a record has that.
    fn recent_age(&self) -> u32 {
        let heard = floor(self.last_heard);
        let age = paws::unit(heard).wrapping_sub(self.timestamps.recent_unit());
        // Confirmed with the last segment heard, a moment after what that is rounded down to.
        if age > u32::MAX / 2 { 0 } else { age }
    }

    /// Takes out what is the connection's own, [which fits](Tcb::fits_record); what is left, its numbers counted from
    /// zero, can be another's too.
    #[inline(always)] // so the record is put together where it is wanted
    pub(super) fn take_own(&mut self, now: Instant) -> Parked {
        debug_assert!(self.fits_record(), "it does not fit");
        let (peer_window, own_window) = (self.peer_window() as u16, self.own_window() as u16);
        let (left, heard, recent_age) =
            (self.left_octets(), floor(self.last_heard), self.recent_age());
        let (una, nxt) = (self.snd.una.0, self.receiver.nxt().0);
        let octets = (self.octets_acknowledged, self.octets_received);
        let sent = self.last_sent.instant_near(now);
        let (recent, _) = self.timestamps.take_recent();
        self.advertise.set_edge(self.receiver.nxt() + left % (1 << self.advertise.scale().shift()));
        self.snd.wnd %= 1 << self.send_scale.shift();
        self.shift(una.wrapping_neg(), nxt.wrapping_neg(), octets.0.wrapping_neg());
        let times = self.recovery.take_times();
        let parked = Parked {
            snd_nxt: una,
            rcv_nxt: nxt,
            recent,
            heard: (heard.as_micros() >> HEARD_SHIFT) as u32,
            acknowledged_low: octets.0 as u32,
            received_low: octets.1 as u32,
            acknowledged_high: (octets.0 >> 32) as u16,
            received_high: (octets.1 >> 32) as u16,
            peer_window,
            own_window,
            sent_before: squeezed(between(sent, heard), TICK_BITS) as u16,
            srtt: three(squeezed(times.srtt, RTT_BITS)),
            rttvar: three(squeezed(times.rttvar, RTT_BITS)),
            min_rtt: three(squeezed(times.min_rtt, RTT_BITS)),
            established: three(seconds(self.established) as u32),
            mould: [0; 3],
            minimum_age: minimum_age(times.min_rtt_at, heard),
            recent_age: if self.timestamps.is_on() { recent_age as u8 } else { 0 },
            unanswered: self.keep_alive.unanswered(),
        };
        super::emptied(self);
        parked
    }

    /// Puts in what is the connection's own, and its offset of timestamps.
    pub(super) fn put_own(&mut self, now: Instant, own: &Parked, timestamp_offset: u32) {
        let octets = own.octets();
        self.shift(own.snd_nxt, own.rcv_nxt, octets.0);
        (self.octets_acknowledged, self.octets_received) = octets;
        self.snd.wnd += u32::from(own.peer_window) << self.send_scale.shift();
        let window = u32::from(own.own_window) << self.advertise.scale().shift();
        self.advertise.set_edge(self.advertise.edge() + window);
        if self.timestamps.is_on() {
            self.timestamps.set_recent(own.recent, own.recent_unit(now));
            self.timestamp_offset = timestamp_offset;
        }
        self.recovery.set_times(&own.times(now));
        self.last_heard = own.last_heard(now);
        let silent = now.since(own.last_sent(now)).as_micros() >> 6;
        self.last_sent = match silent > u64::from(LONG_TICKS) {
            true => Tick(now.tick().0.wrapping_sub(LONG_TICKS)),
            false => own.last_sent(now).tick(),
        };
        self.established = own.established(now);
        self.keep_alive = KeepAliveState::of_unanswered(own.unanswered);
    }
}
