//! The application writes. Owns: how much room there is and how octets become frames.
//! Implements: RFC 9293 §3.9.1.2 (SEND); DESIGN §6.2 steps 1 and 2.

use crate::env::Env;
use crate::halves::SendHalf;
use crate::pace::release_octets;
use crate::predicted::Prediction;
use crate::send::poll::Held;
use crate::tcb::Tcb;
use usertcp_base::{Instant, Limiter, Limits, Observer};
use usertcp_cc::CongestionController;
use usertcp_frame::{Chain, Class, FramePool};
use usertcp_wire::usual::TCP_OCTETS;

/// Room in front of payload for every header: link 14, IPv6 40, TCP with options 60, rounded up.
pub const HEADROOM_OCTETS: usize = 120;
/// The same in frames for long payloads, which begin with a cache line then.
const LONG_HEADROOM_OCTETS: usize = 160;

/// Octets of a short message at most: with room for headers they fit a small frame.
const SHORT_OCTETS: usize = FramePool::data_octets(Class::Small) - HEADROOM_OCTETS;

/// Octets of such a segment with its header.
const SHORT_SEGMENT_OCTETS: usize = SHORT_OCTETS + TCP_OCTETS;

/// Octets that are a good part of a large frame.
const LONG_OCTETS: usize = 32 << 10;

/// What the application says of the end of what it writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum WriteEnd {
    /// Nothing: later octets may join a segment that was not sent yet.
    #[default]
    Open,
    /// More follows at once: a partial segment waits for it, at most 200 ms.
    More,
    /// A record ends here: no segment carries octets from both sides of this place.
    Record,
}

impl<C: CongestionController> Tcb<C> {
    /// Octets the send queue may hold now: twice the congestion window, between the limits, and
    /// little when memory is short; a short message in any case.
    fn send_buffer_octets(&self, limits: &Limits, pool: &FramePool) -> u32 {
        if self.settings.send_buffer_octets > 0 && !pool.is_tight() {
            return self.settings.send_buffer_octets.min(limits.send_buffer_octets);
        }
        let window = self.controller.window_octets();
        let most = limits.send_buffer_octets.max(SHORT_OCTETS as u32);
        let least = limits.send_buffer_start_octets.clamp(SHORT_OCTETS as u32, most);
        let wanted = window.saturating_mul(2).clamp(least, most);
        if pool.is_tight() { wanted.min(2 * self.send_mss()).max(1) } else { wanted }
    }

    /// Octets the application may write now.
    pub fn send_room(&self, limits: &Limits, pool: &FramePool) -> u32 {
        if self.halves.send() != SendHalf::Open {
            return 0;
        }
        let room = self.send_buffer_octets(limits, pool).saturating_sub(self.queue_octets());
        room.min(self.most_unsent_octets().saturating_sub(self.unsent_octets()))
    }

    /// Written octets that may wait to be sent.
    #[inline]
    fn most_unsent_octets(&self) -> u32 {
        let settings = &*self.settings;
        if !settings.write_when_due || settings.rate_limit.is_unlimited() {
            return settings.unsent_low_water_octets;
        }
        if self.release != Instant::FAR {
            return 0;
        }
        // A release, in whole segments.
        let mss = self.send_mss();
        let packet = mss + TCP_OCTETS as u32 + self.mtu.network_octets();
        mss.saturating_mul((release_octets(settings.rate_limit) / packet).max(1))
    }

    /// Nothing waits to be sent: it is the application that is waited for, or it waits for the limit.
    #[inline]
    pub(crate) fn held_by_writer(&self, now: Instant) -> Held {
        let settings = &*self.settings;
        if settings.write_when_due && !settings.rate_limit.is_unlimited() {
            return self.held_until_due(now);
        }
        Held::by(Limiter::Application)
    }

    fn held_until_due(&self, now: Instant) -> Held {
        let until = Some(self.pacer.release()).filter(|release| *release > now);
        let waits = until.is_some() && self.wants.write;
        let limiter = if waits { self.stopwatches.paced_by.into() } else { Limiter::Application };
        Held { limiter, until }
    }

    /// Copies octets into the send queue; how many were taken. Less than all: the effect
    /// `writable` tells when there is room again.
    pub fn write<O: Observer>(&mut self, env: &mut Env<'_, O>, octets: &[u8]) -> usize {
        let room = self.send_room(env.limits, env.pool) as usize;
        let wanted = octets.len().min(room);
        let mss = self.send_mss() as usize;
        let (fresh, all) = (self.queue.is_empty(), octets.get(..wanted).unwrap_or(&[]));
        let mut taken = if fresh { 0 } else { self.extend_last(env, all) };
        // Where segments leave one by one a frame holds one, so that a packet is at most two slices:
        // what belongs to the segment begun in the last frame comes first.
        let mut limit = if env.super_segments { wanted } else { mss - self.begun_octets(mss) };
        while taken < wanted {
            let rest = octets.get(taken..wanted).unwrap_or(&[]);
            let copied = match rest.len() > mss && limit == mss {
                true => self.write_segments(env, rest, mss),
                false => self.write_part(env, rest.get(..limit.min(rest.len())).unwrap_or(rest)),
            };
            if copied == 0 {
                break;
            }
            taken += copied;
            if !env.super_segments {
                limit = mss;
            }
        }
        if taken < octets.len() {
            self.wait_to_write();
        }
        taken
    }

    /// Copies octets into one frame, as many as it has room for; how many.
    #[inline]
    fn write_part<O: Observer>(&mut self, env: &Env<'_, O>, part: &[u8]) -> usize {
        let class = self.class_for(env, part.len());
        let headroom = if class == Class::Small { HEADROOM_OCTETS } else { LONG_HEADROOM_OCTETS };
        let Some(mut frame) = env.pool.take(class, headroom) else { return 0 };
        let copied = frame.extend(part);
        if copied > 0 {
            self.queue.push_back(frame.into_slice());
        }
        copied
    }

    /// Copies whole segments into a frame each; how many octets.
    #[inline(never)] // once for many
    fn write_segments<O: Observer>(
        &mut self,
        env: &Env<'_, O>,
        octets: &[u8],
        mss: usize,
    ) -> usize {
        let class = self.class_for(env, mss);
        if class == Class::Small || mss + LONG_HEADROOM_OCTETS > FramePool::data_octets(class) {
            return self.write_part(env, octets.get(..mss).unwrap_or(octets));
        }
        self.queue.copy_back(env.pool, (class, LONG_HEADROOM_OCTETS), octets, mss)
    }

    /// As [`Tcb::write`] of a short message while nothing is queued and there is room in any case: all of it was taken.
    /// False, and nothing has changed: that has to be asked.
    #[inline(always)] // in two places
    pub fn write_short(&mut self, pool: &FramePool, octets: &[u8]) -> bool {
        // Of a plain connection both halves are open, nothing rare is going on, and timestamps are on.
        let fits = self.prediction >= Prediction::Calm || self.is_predicted() && self.fits_short();
        debug_assert!(!fits || self.fits_short(), "a change was not noted");
        let is_short = (1..=SHORT_OCTETS).contains(&octets.len());
        if !fits || !is_short || !self.queue.is_empty() {
            return self.has_no_short_way();
        }
        let Some(slice) = pool.copy_of_few(octets, HEADROOM_OCTETS) else { return false };
        self.queue.begin_with(slice);
        true
    }

    /// False; apart, as the rarer answer of [`Tcb::write_short`].
    #[cold]
    #[inline]
    fn has_no_short_way(&self) -> bool {
        false
    }

    /// Whether a short message fits one segment, and the empty queue however small the congestion window is, and however
    /// tight memory: a segment is let in always.
    #[inline]
    pub(crate) fn fits_short(&self) -> bool {
        let settings = &*self.settings;
        usize::from(self.mtu.segment_octets()) >= SHORT_SEGMENT_OCTETS
            && settings.send_buffer_octets == 0
            && settings.unsent_low_water_octets == u32::MAX
            && !settings.write_when_due
    }

    /// Octets at the end of the queue that the next ones share a segment with; less than `mss`.
    fn begun_octets(&self, mss: usize) -> usize {
        let last = self.queue.back().map_or(0, |last| last.len());
        let begun = last.min(self.unsent_octets() as usize);
        if begun < mss { begun } else { 0 }
    }

    /// Octets that go into the frame written last.
    fn extend_last<O: Observer>(&mut self, env: &Env<'_, O>, octets: &[u8]) -> usize {
        let Some(last) = self.queue.back() else { return 0 };
        let mss = self.send_mss() as usize;
        let begun = self.begun_octets(mss);
        let room = match env.super_segments {
            true => octets.len(),
            // A segment of its own begins, and a frame of its own unless that would be waste.
            false if begun == 0 && last.len() > mss / 4 => 0,
            false => mss - begun,
        };
        match octets.get(..room.min(octets.len())) {
            Some([]) | None => 0,
            Some(octets) => self.queue.extend_back(octets),
        }
    }

    /// The same, and what the application says of the end of these octets.
    #[inline]
    pub fn write_with<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        octets: &[u8],
        end: WriteEnd,
    ) -> usize {
        let taken = self.write(env, octets);
        if end != WriteEnd::Open || !self.rare.is_empty() {
            self.note_end(octets, taken, end);
        }
        taken
    }

    /// `taken` of `octets` were written, which end as `end` says.
    #[cold]
    fn note_end(&mut self, octets: &[u8], taken: usize, end: WriteEnd) {
        if end != WriteEnd::Open {
            self.unpredict();
        }
        if taken > 0 {
            self.rare.set_more(end == WriteEnd::More);
        }
        if taken > 0 && taken == octets.len() && end == WriteEnd::Record {
            self.rare.add_record(self.fin_seq());
        }
    }

    /// Which frame suits so many octets, and those that are likely to be written behind them.
    fn class_for<O: Observer>(&self, env: &Env<'_, O>, octets: usize) -> Class {
        let fills_much = octets >= 8 << 10 || self.is_behind_long();
        if fills_much && self.has_long_segments(env) && !env.pool.is_tight() {
            Class::Large
        } else if octets + HEADROOM_OCTETS <= FramePool::data_octets(Class::Small) {
            Class::Small
        } else {
            Class::Full
        }
    }

    /// Whether one segment may fill a good part of a large frame.
    fn has_long_segments<O: Observer>(&self, env: &Env<'_, O>) -> bool {
        env.super_segments || self.send_mss() as usize >= LONG_OCTETS
    }

    /// Whether the octets written last are many in one frame: then the few that begin the next one are the start of as
    /// many, and a segment that lies in one frame is less work for both ends.
    fn is_behind_long(&self) -> bool {
        self.queue.back().is_some_and(|last| last.len() >= LONG_OCTETS)
    }

    /// Appends frames the application filled; nothing is copied. All or, when there is no room at
    /// all, nothing: a chain may overshoot the limit by its own length.
    pub fn write_chain<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        octets: Chain,
    ) -> Result<(), Chain> {
        if self.send_room(env.limits, env.pool) == 0 {
            self.wait_to_write();
            return Err(octets);
        }
        self.queue.append(octets);
        self.rare.set_more(false);
        Ok(())
    }

    /// A write found no room.
    #[inline(never)]
    fn wait_to_write(&mut self) {
        self.wants.write = true;
        self.stir();
    }

    /// Whether it is worth the application's while to write: room for a third of the buffer, and
    /// less than half of the low-water mark unsent.
    pub fn is_worth_writing(&self, limits: &Limits, pool: &FramePool) -> bool {
        let low_water = self.most_unsent_octets();
        if low_water != u32::MAX && self.unsent_octets() >= low_water.div_ceil(2) {
            return false;
        }
        let room = self.send_room(limits, pool);
        let third = self.send_buffer_octets(limits, pool) / 3;
        room > 0 && room >= third.min(low_water.div_ceil(2))
    }

    /// The same after segments left: what was sent no longer counts against the low-water mark.
    pub fn poll_writable(&mut self, limits: &Limits, pool: &FramePool) -> bool {
        self.settings.unsent_low_water_octets != u32::MAX && self.take_writable(limits, pool)
    }

    /// Whether to tell the application that it may write again.
    pub(crate) fn take_writable(&mut self, limits: &Limits, pool: &FramePool) -> bool {
        if !self.wants.write {
            return false;
        }
        let enough = self.is_worth_writing(limits, pool);
        if enough {
            self.wants.write = false;
        }
        enough
    }
}
