//! The window to announce.
//!
//! Owns: the largest right edge ever offered, our scale, what a payload octet costs in memory.
//! Must not know: how large the buffer should be (`autotune`), when an acknowledgement leaves
//! (`ack_policy`), what is queued.
//! Implements: RFC 9293 §3.8.6 (SHLD-14), §3.8.6.2.2 (MUST-39, H-2); RFC 7323 §2.2, §2.3, §2.4.

use super::window_check::Window;
use usertcp_base::{Scale, Seq, WireWindow, expect_all};

/// Real octets a connection may hold for each octet of its buffer: a payload rarely fills its
/// frame. What exceeds it makes the window smaller.
pub const CHARGE_PER_OCTET: u32 = 2;

/// One octet of payload for one octet of memory, in units of the cost ratio.
const PAR: u32 = 256;
/// The worst cost believed: `receiver` copies together what is more wasteful than that.
const WORST: u32 = 4 * PAR;

/// What a connection holds for its reader, and how much it may.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Holding {
    /// The buffer, as `autotune` has it.
    pub buffer: u32,
    /// Octets in order that nobody has read.
    pub queued: u32,
    /// Octets that wait out of order. They lie inside the window already offered.
    pub held: u32,
    /// Real octets that both occupy.
    pub charge: u32,
}

/// The sender's view of our window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Advertise {
    edge: Seq,
    cost: u16,
    scale: Scale,
}

impl Advertise {
    /// A connection in whose handshake `nxt` was acknowledged and `field` offered: on a SYN
    /// unscaled (7323-2), when resumed after parking scaled, as `first_scale` says. `scale`
    /// governs everything that follows; `Scale::NONE` unless both sides sent it (7323-4).
    pub fn new(nxt: Seq, field: WireWindow, first_scale: Scale, scale: Scale) -> Advertise {
        Advertise { edge: nxt + first_scale.octets(field), cost: PAR as u16, scale }
    }

    /// The numbers of a connection whose RCV.NXT is `by` larger.
    pub(crate) fn shift(&mut self, by: u32) {
        self.edge += by;
    }

    /// Sets the right edge: of a connection that was parked.
    pub(crate) fn set_edge(&mut self, edge: Seq) {
        self.edge = edge;
    }

    /// After a long silence what payload costs is known roughly enough: one octet, two or four.
    pub(crate) fn rest(&mut self) {
        self.cost = self.cost.next_power_of_two();
    }

    /// For the hash of a mould.
    pub(crate) fn fold(&self) -> u64 {
        u64::from(self.edge.0) << 16 | u64::from(self.cost)
    }

    /// The largest right edge ever offered.
    pub const fn edge(&self) -> Seq {
        self.edge
    }

    /// The window as `window_check` wants it.
    pub const fn window(&self, nxt: Seq) -> Window {
        Window { nxt, edge: self.edge }
    }

    /// Our scale.
    pub const fn scale(&self) -> Scale {
        self.scale
    }

    /// Learns what payload costs: `octets` arrived and occupy `charge`.
    #[inline]
    pub fn on_arrival(&mut self, octets: u32, charge: u32) {
        // The dearest there is, again: small segments, of which there are many.
        if u32::from(self.cost) != WORST || charge / 4 < octets {
            self.learn(octets, charge);
        }
    }

    #[inline(never)]
    fn learn(&mut self, octets: u32, charge: u32) {
        if octets == 0 {
            return;
        }
        let cost = u64::from(charge) * u64::from(PAR) / u64::from(octets);
        let cost = cost.clamp(u64::from(PAR), u64::from(WORST)) as u32;
        let old = u32::from(self.cost);
        // An eighth of the way, and at least one step so that it arrives.
        let new = if cost >= old {
            old + (cost - old).div_ceil(8)
        } else {
            old - (old - cost).div_ceil(8)
        };
        self.cost = new as u16;
    }

    /// Octets that could be offered from RCV.NXT on: what the buffer has left, or less when the
    /// memory behind it would run out first.
    pub fn space(&self, holding: &Holding) -> u32 {
        let free = holding.buffer.saturating_sub(holding.queued);
        let memory = holding.buffer.saturating_mul(CHARGE_PER_OCTET).saturating_sub(holding.charge);
        let carried = u64::from(memory) * u64::from(PAR) / u64::from(self.cost).max(1);
        free.min((carried as u32).saturating_add(holding.held))
    }

    /// Whether there is no room for `least` octets: mostly that is so, and known without a division.
    #[inline]
    fn lacks_room(&self, least: u32, holding: &Holding) -> bool {
        let Holding { buffer, queued, held, charge } = *holding;
        // Of the dearest payload, twice as dear as its share of the buffer: known with few looks.
        const { assert!(WORST == 2 * CHARGE_PER_OCTET * PAR) };
        if u32::from(self.cost) == WORST && held == 0 && least > buffer / 2 {
            return true;
        }
        let carried = least.saturating_sub(held);
        let costs = u64::from(carried) * u64::from(self.cost) + u64::from(charge) * u64::from(PAR);
        let memory = u64::from(buffer) * u64::from(CHARGE_PER_OCTET * PAR);
        u64::from(queued) + u64::from(least) > u64::from(buffer) || costs > memory
    }

    /// Whether [`Advertise::space`] is the buffer, known without a division: nothing is held, and what arrives is no dearer
    /// than the memory behind the buffer allows.
    #[inline]
    fn has_all(&self, holding: &Holding) -> bool {
        let Holding { buffer, queued, held, charge } = *holding;
        queued | held | charge == 0
            && u32::from(self.cost) <= CHARGE_PER_OCTET * PAR
            && buffer <= u32::MAX / CHARGE_PER_OCTET
    }

    /// What can be offered in whole units of the scale, if that is `least` octets.
    #[inline]
    fn fresh(&self, least: u32, holding: &Holding) -> Option<u32> {
        if self.has_all(holding) {
            let fresh = self.scale.octets(self.scale.field(holding.buffer));
            return (fresh >= least).then_some(fresh);
        }
        if self.lacks_room(least, holding) { None } else { self.fresh_by_space(least, *holding) }
    }

    /// What can be offered again when nothing is and all was read: all there is, for no more will come. Half the buffer, of
    /// which there is no more where payload takes four times its size, need not be a whole number of the scale's units, and
    /// rounded down it is less than the step waited for: the window stayed closed for ever.
    #[cold]
    #[inline(never)]
    fn reopened(&self, holding: &Holding) -> Option<u32> {
        let is_all_read = holding.queued | holding.held | holding.charge == 0;
        if is_all_read { self.fresh_by_space(1, *holding) } else { None }
    }

    #[inline(never)]
    fn fresh_by_space(&self, least: u32, holding: Holding) -> Option<u32> {
        let fresh = self.scale.octets(self.scale.field(self.space(&holding)));
        (fresh >= least).then_some(fresh)
    }

    /// The window field of a segment that acknowledges `nxt`, and notes it as offered.
    ///
    /// The right edge stays or moves by at least min(half the buffer, one MSS) (MUST-39). To stay
    /// may need rounding *up* to the scale's unit: rounding down would pull the edge left
    /// (SHLD-14). What is thereby offered too much is less than a unit each time, and
    /// `receiver` refuses data before memory suffers.
    #[inline(never)]
    pub fn announce(&mut self, nxt: Seq, holding: &Holding, mss: u16) -> WireWindow {
        let offered = self.edge.since(nxt);
        let least = offered.saturating_add(smallest_step(holding.buffer, mss));
        let fresh = match self.fresh(least, holding) {
            None if offered == 0 => self.reopened(holding),
            fresh => fresh,
        };
        let Some(fresh) = fresh else {
            return if offered == 0 { self.stay_at(nxt) } else { self.stay_beyond(nxt, offered) };
        };
        self.edge = nxt + fresh;
        self.scale.field(fresh)
    }

    /// The same where nothing is held out of order, most often without a look at what is held in order.
    #[inline(always)] // for each packet
    pub(crate) fn announce_in_order(
        &mut self,
        nxt: Seq,
        buffer: u32,
        mss: u16,
        holding: impl FnOnce() -> Holding,
    ) -> WireWindow {
        match self.surely_full(nxt, buffer, mss) {
            Some(offered) => self.stay_beyond(nxt, offered),
            None => self.announce(nxt, &holding(), mss),
        }
    }

    /// The field that leaves the edge where it is, `nxt`.
    fn stay_at(&mut self, nxt: Seq) -> WireWindow {
        self.edge = nxt;
        WireWindow(0)
    }

    /// The field that leaves the edge where it is, so many octets beyond `nxt`, one at least, rounded up; or the largest,
    /// if that is beyond it.
    #[inline(always)]
    pub(crate) fn stay_beyond(&mut self, nxt: Seq, offered: u32) -> WireWindow {
        let shift = self.scale.shift();
        let field = (offered.wrapping_sub(1) >> shift) + 1;
        if field > u32::from(u16::MAX) {
            return WireWindow(u16::MAX);
        }
        self.edge = nxt + (field << shift);
        WireWindow(field as u16)
    }

    /// What is offered, if the edge cannot move by [`smallest_step`] and that is known with few looks: what is offered
    /// and that step are more than there is, which is the buffer, or half of it for the dearest payload in order.
    #[inline(always)]
    pub(crate) fn surely_full(&self, nxt: Seq, buffer: u32, mss: u16) -> Option<u32> {
        expect_all!(self.edge.after(nxt));
        let offered = self.edge.0.wrapping_sub(nxt.0);
        let most = if u32::from(self.cost) == WORST { buffer / 2 } else { buffer };
        expect_all!(offered.saturating_add(smallest_step(buffer, mss)) > most);
        Some(offered)
    }

    /// Whether the window's edge surely cannot move, as [`Advertise::surely_full`] says, where a segment is no more than
    /// half the buffer.
    #[inline(always)] // for each message
    pub(crate) fn is_surely_full(&self, nxt: Seq, buffer: u32, mss: u16) -> bool {
        debug_assert!(mss > 0 && u32::from(mss) <= buffer / 2);
        let offered = self.edge.0.wrapping_sub(nxt.0);
        u32::from(self.cost) == WORST
            && self.edge.after(nxt)
            && offered.wrapping_add(u32::from(mss)) > buffer / 2
            || self.is_full_of_cheap(nxt, buffer, mss)
    }

    #[cold]
    #[inline(never)]
    fn is_full_of_cheap(&self, nxt: Seq, buffer: u32, mss: u16) -> bool {
        self.surely_full(nxt, buffer, mss).is_some()
    }

    /// The field that leaves the edge where it is, one octet at least beyond `nxt`.
    #[inline(always)] // as above
    pub(crate) fn stay(&mut self, nxt: Seq) -> WireWindow {
        self.stay_beyond(nxt, self.edge.0.wrapping_sub(nxt.0))
    }

    /// Whether reading has opened so much that the peer should hear of it at once.
    ///
    /// When the peer has no room for a segment: as soon as the edge may move. Otherwise by two
    /// segments when it has less than that left or they are a quarter of the buffer, or by half
    /// the buffer. Two segments alone would double the acknowledgements of any bulk transfer that
    /// is read promptly.
    #[must_use]
    #[inline]
    pub fn update_due(&self, nxt: Seq, holding: &Holding, mss: u16) -> bool {
        self.fresh(self.least_update(nxt, holding.buffer, mss), holding).is_some()
            || self.edge == nxt && self.reopened(holding).is_some()
    }

    /// Whether the peer certainly need not hear of it yet that all was read.
    #[inline(always)] // for each message
    pub(crate) fn is_update_far(&self, nxt: Seq, buffer: u32, mss: u16) -> bool {
        self.is_update_very_far(nxt, buffer, mss) || self.is_any_update_far(nxt, buffer, mss)
    }

    /// The same, and that is known with few looks.
    #[inline(always)] // as above
    pub(crate) fn is_update_very_far(&self, nxt: Seq, buffer: u32, mss: u16) -> bool {
        // It is told of no less than two segments and a quarter of the buffer, and mostly has all that is offered but
        // less than that: of half the buffer, where what arrives takes four times its size.
        let offered = self.edge.0.wrapping_sub(nxt.0) as i32;
        u32::from(self.cost) == WORST && offered > (buffer / 4 + u32::from(mss) * 2) as i32
    }

    #[cold]
    fn is_any_update_far(&self, nxt: Seq, buffer: u32, mss: u16) -> bool {
        let holding = Holding { buffer, ..Holding::default() };
        // Where nothing is offered, less than usual may be due.
        self.edge.after(nxt) && self.lacks_room(self.least_update(nxt, buffer, mss), &holding)
    }

    /// The least window to tell the peer of at once.
    #[inline]
    fn least_update(&self, nxt: Seq, buffer: u32, mss: u16) -> u32 {
        let offered = self.edge.since(nxt);
        let (one, two, half) = (u32::from(mss), u32::from(mss) * 2, buffer / 2);
        let growth = if offered >= two {
            two.max(half / 2)
        } else if offered >= one {
            two
        } else {
            one
        };
        offered.saturating_add(growth.min(half).max(1))
    }
}

/// The least the right edge moves by.
fn smallest_step(buffer: u32, mss: u16) -> u32 {
    (buffer / 2).min(u32::from(mss)).max(1)
}
