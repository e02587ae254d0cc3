//! When to acknowledge.
//!
//! Owns: what is owed since the last acknowledgement, the one deadline of a delayed one, the
//! estimate of how soon the application answers.
//! Must not know: what an acknowledgement says, how it is sent, who reads the data.
//! Implements: RFC 9293 §3.8.6.3 (MUST-40, MUST-58, MUST-59, SHLD-18, SHLD-19); RFC 5681 §4.2
//! (H-4, MAY-13).

use usertcp_base::{Instant, Span, TICK_SHIFT, Tick};

/// No acknowledgement is delayed longer, whatever is configured (MUST-40: less than 0.5 s).
const LONGEST: Span = Span::from_millis(490);
/// The shortest delay, unless the longest is shorter.
const SHORTEST: Span = Span::from_millis(4);
/// The same in ticks.
const SHORTEST_TICKS: u16 = ticks(SHORTEST);
/// A segment below this is never taken for a full one, however small all of them are.
const SMALLEST_FULL: u16 = 536;

/// The precision with which a silence is measured, in microseconds as a power of two: that of a parked record.
const UNIT_SHIFT: u32 = 10;
/// A silence of so many units is long.
const LULL_UNITS: u64 = Span::from_secs(1).as_micros() >> UNIT_SHIFT;

/// Preferences.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AckSettings {
    /// The shortest delay.
    pub shortest: Span,
    /// The longest delay.
    pub longest: Span,
    /// Acknowledgements sent without delay at the start and after an idle time: a sender in slow
    /// start grows by them.
    pub quick: u8,
}

impl Default for AckSettings {
    fn default() -> Self {
        AckSettings { shortest: SHORTEST, longest: Span::from_millis(40), quick: 16 }
    }
}

impl AckSettings {
    /// The shortest delay in ticks, not above the longest, whatever is configured.
    #[inline]
    fn shortest_ticks(&self) -> u16 {
        ticks(self.shortest.min(self.longest)).max(1)
    }
    /// The longest delay in ticks.
    fn longest_ticks(&self) -> u16 {
        ticks(self.longest).max(1)
    }
}

/// What the rules depend on beside the segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AckContext<'a, F> {
    /// Preferences.
    pub settings: &'a AckSettings,
    /// RMSS: the MSS we announced.
    pub rmss: u16,
    /// Silence of this length is idleness: the retransmission timeout. Asked for when it may matter.
    pub idle_after: F,
}

/// How data arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ArrivalKind {
    /// Next in order, and nothing waited behind it.
    InOrder,
    /// Next in order, while something waited: a gap was filled, all or part (H-4).
    GapFilled,
    /// Ahead of a gap (MAY-13).
    OutOfOrder,
    /// Nothing new.
    Duplicate,
    /// The FIN was reached.
    Fin,
    /// It was in the window and had to be refused.
    Refused,
}

/// A segment that occupies sequence space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// New payload octets.
    pub octets: u32,
    /// Segments on the wire that the device merged into this one.
    pub wire_segments: u16,
    /// How it arrived.
    pub kind: ArrivalKind,
    /// PSH: the sender has nothing more to say for now.
    pub push: bool,
}

/// What is owed.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AckNeed {
    /// Nothing.
    None,
    /// An acknowledgement, at this moment at the latest.
    Delay(Instant),
    /// An acknowledgement, as soon as the burst in hand is processed.
    Now,
}

/// The state of acknowledging. What is due stays due until [`AckPolicy::on_ack_sent`]: a whole
/// batch of segments ends in one acknowledgement (MUST-58, MUST-59).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AckPolicy {
    pending: u32,
    deadline: Tick,
    last_arrival: Tick,
    /// The delay in ticks; zero before the first arrival.
    delay: u16,
    /// The payload of a full segment, as the peer cuts them.
    full: u16,
    full_segments: u8,
    quick: u8,
    due: bool,
    waiting: bool,
    /// The application answers within the delay: the acknowledgement can ride on its data.
    interactive: bool,
    lull: Lull,
}

/// A long silence, as far as the connection remembers it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Lull {
    /// Data has arrived again and again since.
    #[default]
    Past,
    /// It ended just now: data passed one way, and of what arrived only a first segment.
    Asked,
    /// The same, and data passed the other way too.
    Answered,
    /// No data in either direction since it began.
    Lasts,
}

impl AckPolicy {
    /// A fresh connection: its first segments are acknowledged at once.
    pub fn new() -> AckPolicy {
        AckPolicy::default()
    }

    /// After a long silence: as at the start, but that the application answers and how large full
    /// segments are stays known.
    pub(crate) fn rest(&mut self) {
        *self = AckPolicy {
            full: self.full,
            interactive: self.interactive,
            lull: Lull::Lasts,
            ..AckPolicy::default()
        };
    }

    /// Whether a long silence has passed, and no data in either direction since.
    pub(crate) const fn is_rested(&self) -> bool {
        matches!(self.lull, Lull::Lasts)
    }

    /// Whether the data that ended a long silence is all that has passed since, or nearly.
    pub(crate) const fn has_just_ended_rest(&self) -> bool {
        matches!(self.lull, Lull::Asked | Lull::Answered)
    }

    /// Whether it was one exchange, both ways.
    #[inline]
    pub(crate) const fn has_had_one_exchange(&self) -> bool {
        matches!(self.lull, Lull::Answered)
    }

    /// Data passes in either direction after a silence. A short one was no lull: whoever speaks again so soon goes on.
    #[inline]
    pub(crate) fn end_silence(&mut self, now: Instant, last_heard: Instant) {
        if self.is_rested() && silent_units(now, last_heard) < LULL_UNITS {
            self.lull = Lull::Past;
        }
    }

    /// Nothing waits: what it waited for means nothing.
    pub(crate) fn forget_deadline(&mut self) {
        self.deadline = Tick(0);
    }

    /// Takes note of an arriving segment.
    pub fn on_data(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        context: &AckContext<'_, impl Fn() -> Span>,
    ) -> AckNeed {
        self.note(now, arrival, context);
        self.need(now)
    }

    /// The same, and nobody asks what is owed.
    #[inline(always)]
    pub(crate) fn note(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        context: &AckContext<'_, impl Fn() -> Span>,
    ) {
        self.lull = match self.lull {
            Lull::Lasts => Lull::Asked,
            // Whoever asked first gets an answer: that is the first to arrive.
            Lull::Asked if self.delay == 0 => Lull::Answered,
            _ => Lull::Past,
        };
        self.learn(now, context.settings.shortest_ticks(), context);
        self.count(arrival, context.rmss);
        let at_once = arrival.kind != ArrivalKind::InOrder;
        if !matches!(arrival.kind, ArrivalKind::InOrder | ArrivalKind::Fin) {
            // Something was lost or refused: the sender may be down to one segment at a time, and
            // every delayed acknowledgement would cost it a delay.
            self.quick = context.settings.quick;
            self.interactive = false;
        }
        let enough =
            self.full_segments >= 2 || self.pending >= u32::from(context.rmss).saturating_mul(2);
        let quick = self.quick > 0 && !self.interactive;
        if at_once || enough || quick {
            self.due = true;
        } else if !self.waiting {
            // A push says that no second segment follows to complete the pair: unless the
            // application is known to answer, waiting long gains nothing.
            let short = arrival.push && !self.interactive;
            let delay = if short { context.settings.shortest_ticks() } else { self.delay };
            self.deadline = Tick(now.tick_after().0.wrapping_add(u32::from(delay)));
            self.waiting = true;
        }
    }

    /// Whether short segments in order change nothing but what is owed and the delay, as long as
    /// [`AckPolicy::takes_short`] says so of each. The longest delay is `longest`.
    pub(crate) fn is_calm(&self, rmss: u16, longest: Span) -> bool {
        (SHORTEST_TICKS..=ticks(longest)).contains(&self.delay)
            && rmss >= SMALLEST_FULL
            && self.full >= SMALLEST_FULL
            && self.full_segments < 2
            && self.quick == 0
    }

    /// Whether a segment in order that is shorter than any full one is such a one, while [`AckPolicy::is_calm`]: with
    /// what it brings that is less than two full ones, and it comes from a peer whose questions the application answers,
    /// or so soon that the delay stays the shortest. Else a push, which is not looked at here, would make a difference.
    #[inline(always)]
    pub(crate) fn takes_short(&self, now: Instant) -> bool {
        let is_shortest = || {
            self.delay == SHORTEST_TICKS && self.since_arrival(now) <= u32::from(SHORTEST_TICKS) / 2
        };
        self.pending < u32::from(SMALLEST_FULL) && (self.interactive || is_shortest())
    }

    /// Takes note of it, as [`AckPolicy::note`] would. Where the delay may change `follow` is told of the ticks since the
    /// last arrival, to call [`AckPolicy::follow_short`].
    #[inline(always)]
    pub(crate) fn note_short(
        &mut self,
        now: Instant,
        octets: u32,
        follow: impl FnOnce(&mut AckPolicy, u32),
    ) {
        self.lull = if self.is_rested() { Lull::Asked } else { Lull::Past };
        let gap = self.arrives(now);
        if !self.keeps_delay(gap, SHORTEST_TICKS) {
            follow(self, gap);
        }
        self.pending += octets;
        if !self.waiting {
            // As `tick_after`, of a moment that is not the end of time.
            let begun = Instant::from_micros(now.as_micros().wrapping_add((1 << TICK_SHIFT) - 1));
            self.deadline = Tick(begun.tick().0.wrapping_add(u32::from(self.delay)));
            self.waiting = true;
        }
    }

    /// Takes note of the first arrival of a connection, as [`AckPolicy::note`] would: it is in order, and shorter than
    /// any full segment, of which the smallest is not smaller than [`SMALLEST_FULL`].
    #[inline(always)] // in one place
    pub(crate) fn note_first(&mut self, now: Instant, octets: u32, settings: &AckSettings) {
        debug_assert!(*self == AckPolicy::new() && settings.quick > 0, "it is the first");
        self.last_arrival = now.tick();
        self.delay = settings.shortest_ticks();
        self.quick = settings.quick;
        self.pending = octets;
        self.full = SMALLEST_FULL;
        self.due = true;
    }

    /// A short segment arrives so many ticks after the last.
    #[inline(always)]
    pub(crate) fn follow_short(&mut self, gap: u32, context: &AckContext<'_, impl Fn() -> Span>) {
        debug_assert_eq!(context.settings.shortest_ticks(), SHORTEST_TICKS, "it is calm");
        self.follow(gap, SHORTEST_TICKS, context);
    }

    /// What is owed at `now`.
    pub fn need(&self, now: Instant) -> AckNeed {
        if self.due {
            AckNeed::Now
        } else if self.waiting {
            AckNeed::Delay(self.deadline.instant_near(now))
        } else {
            AckNeed::None
        }
    }

    /// Whether none is owed, now or later.
    pub(crate) const fn owes_nothing(&self) -> bool {
        !self.due && !self.waiting
    }

    /// Whether an acknowledgement is owed now.
    pub const fn is_due(&self) -> bool {
        self.due
    }

    /// The deadline of a delayed acknowledgement.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        Some(self.deadline_or_far(now)).filter(|deadline| *deadline != Instant::FAR)
    }

    /// The same, and [`Instant::FAR`] for never.
    #[inline]
    pub(crate) fn deadline_or_far(&self, now: Instant) -> Instant {
        if self.waiting && !self.due { self.deadline.instant_near(now) } else { Instant::FAR }
    }

    /// Something else wants an acknowledgement: a refused segment (E-10), a challenge, a window
    /// update.
    pub fn demand(&mut self) {
        self.due = true;
    }

    /// The deadline may have passed.
    pub fn on_deadline(&mut self, now: Instant, settings: &AckSettings) -> AckNeed {
        if self.waiting && !self.due && !self.deadline.after(now.tick()) {
            self.due = true;
            let (shortest, longest) = (settings.shortest_ticks(), settings.longest_ticks());
            if self.interactive {
                // It did not answer this time.
                self.interactive = false;
                self.delay = shortest;
            } else {
                self.delay = self.delay.saturating_mul(2).clamp(shortest, longest);
            }
        }
        self.need(now)
    }

    /// A segment with RCV.NXT in its ACK field left; `with_data` if it carried payload.
    #[inline]
    pub fn on_ack_sent(&mut self, now: Instant, with_data: bool) {
        if with_data {
            self.lull = match self.lull {
                Lull::Lasts => Lull::Asked,
                Lull::Asked if self.delay != 0 => Lull::Answered,
                lull => lull,
            };
        }
        if self.pending > 0 {
            if with_data && self.since_arrival(now) <= u32::from(self.delay) {
                self.interactive = true;
                self.quick = 0;
            }
            self.quick = self.quick.saturating_sub(1);
            self.pending = 0;
        }
        self.full_segments = 0;
        self.due = false;
        self.waiting = false;
    }

    /// Whether no silence is remembered that data in our direction would end.
    #[inline(always)] // as below
    pub(crate) fn goes_on(&self) -> bool {
        self.lull == Lull::Past
    }

    /// The same of a message, while the connection [goes on](AckPolicy::goes_on) and [is calm](AckPolicy::is_calm).
    #[inline(always)] // for each message
    pub(crate) fn on_message_sent(&mut self, now: Instant) {
        debug_assert!(self.quick == 0);
        if self.pending > 0 {
            if self.since_arrival(now) <= u32::from(self.delay) {
                self.interactive = true;
            }
            self.pending = 0;
        }
        self.full_segments = 0;
        self.due = false;
        self.waiting = false;
    }

    /// Follows the spacing of arrivals: half the old delay plus half of what was seen, within the
    /// settings.
    #[inline]
    fn learn(&mut self, now: Instant, shortest: u16, context: &AckContext<'_, impl Fn() -> Span>) {
        let gap = self.arrives(now);
        if !self.keeps_delay(gap, shortest) {
            self.follow(gap, shortest, context);
        }
    }

    /// Ticks since data arrived last; it does now.
    #[inline(always)]
    fn arrives(&mut self, now: Instant) -> u32 {
        let gap = self.since_arrival(now);
        self.last_arrival = now.tick();
        gap
    }

    /// Whether data that arrives after so many ticks is close to the last, as before: that is known.
    #[inline(always)]
    fn keeps_delay(&self, gap: u32, shortest: u16) -> bool {
        gap <= u32::from(shortest) / 2 && self.delay == shortest
    }

    #[inline(never)]
    fn follow(&mut self, gap: u32, shortest: u16, context: &AckContext<'_, impl Fn() -> Span>) {
        let longest = context.settings.longest_ticks();
        if self.delay == 0 {
            self.delay = shortest;
            self.quick = context.settings.quick;
            return;
        }
        if gap <= u32::from(shortest) / 2 {
            self.delay = self.delay / 2 + shortest / 2;
        } else if u64::from(gap) << TICK_SHIFT > (context.idle_after)().as_micros() {
            if !self.interactive {
                self.quick = context.settings.quick;
            }
        } else if gap < u32::from(self.delay) {
            self.delay = (self.delay / 2).saturating_add(gap as u16);
        }
        self.delay = self.delay.clamp(shortest, longest);
    }

    /// Counts octets and full segments; a super-segment counts what it was on the wire.
    #[inline]
    fn count(&mut self, arrival: &Arrival, rmss: u16) {
        self.pending = self.pending.saturating_add(arrival.octets.max(1));
        if arrival.kind == ArrivalKind::GapFilled {
            // What had waited is in the octets: they say nothing about a segment's size.
            return;
        }
        let floor = SMALLEST_FULL.min(rmss);
        if arrival.octets < u32::from(floor) {
            if self.full < floor {
                self.full = floor;
            }
            return;
        }
        let each = arrival.octets / u32::from(arrival.wire_segments.max(1));
        let each = each.min(u32::from(rmss)) as u16;
        // Without a push nothing ends here: the sender cut it at its full size, which a smaller
        // path may have made less than it was.
        self.full =
            if arrival.push || each < floor { self.full.max(each) } else { each }.max(floor);
        if each >= self.full {
            let count = arrival.wire_segments.max(1).min(u16::from(u8::MAX)) as u8;
            self.full_segments = self.full_segments.saturating_add(count);
        }
    }

    fn since_arrival(&self, now: Instant) -> u32 {
        now.tick().0.wrapping_sub(self.last_arrival.0)
    }
}

/// A silence in the units of [`LULL_UNITS`].
fn silent_units(now: Instant, last_heard: Instant) -> u64 {
    (now.as_micros() >> UNIT_SHIFT).saturating_sub(last_heard.as_micros() >> UNIT_SHIFT)
}

/// A delay in ticks, at most the longest; half a second is 7812.
#[inline]
const fn ticks(span: Span) -> u16 {
    let (micros, most) = (span.as_micros(), LONGEST.as_micros());
    let micros = if micros < most { micros } else { most } as u32;
    ((micros + (1 << TICK_SHIFT) - 1) >> TICK_SHIFT) as u16
}
