//! How often a connection answers what it refuses.
//!
//! Owns: the throttle of challenge acknowledgements, one per connection: a shared counter is a
//! side channel (CVE-2016-5696).
//! Must not know: why an acknowledgement is wanted, how it is built.
//! Implements: RFC 5961 §7 (5961-6), AT-3, AT-4.

use usertcp_base::{Instant, Limits, Seq, Span, Tick};

/// The period the limit is told in.
const PERIOD: Span = Span::from_secs(5);

/// Ticks to one unit of `last`, as a power of two: 16.4 ms.
const COARSE_SHIFT: u32 = 8;

/// Whether the acknowledgement goes out.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChallengeVerdict {
    /// Send it.
    Send,
    /// Stay silent and count it.
    Limited,
}

/// The throttle.
///
/// A bucket of half the limit that refills half the limit per period: no five seconds, wherever
/// they start, see more than the limit. Beside it one identical acknowledgement per gap.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Challenge {
    /// When the bucket is full again.
    full_at: Tick,
    /// When the last one was sent, in coarse units.
    last: u16,
    /// What the last one said, folded; zero when there was none.
    said: u16,
}

const _: () = assert!(size_of::<Challenge>() <= 8);

impl Challenge {
    /// Asks to send <SND.NXT><RCV.NXT> now; `Send` counts it as sent.
    pub fn ask(
        &mut self,
        now: Instant,
        snd_nxt: Seq,
        rcv_nxt: Seq,
        limits: &Limits,
    ) -> ChallengeVerdict {
        let limit = u64::from(limits.challenge_acks_per_5s);
        let burst = limit.div_ceil(2);
        if burst == 0 {
            return ChallengeVerdict::Limited;
        }
        // With a limit of one there is no second half to refill from: a whole period per token.
        let interval = ticks(PERIOD.divided_by((limit / 2).max(1)));
        let capacity = interval.saturating_mul(burst as u32);
        let tick = now.tick();
        // Ahead of now by at most the capacity, else it is a leftover from before the wrap.
        let debt = self.full_at.distance_from(tick).filter(|ticks| *ticks <= capacity).unwrap_or(0);
        let idle = debt == 0 && tick.0.wrapping_sub(self.full_at.0) > ticks(PERIOD);
        let said = fold(snd_nxt, rcv_nxt);
        let coarse = (tick.0 >> COARSE_SHIFT) as u16;
        let elapsed = u32::from(coarse.wrapping_sub(self.last)).saturating_sub(1) << COARSE_SHIFT;
        if !idle && said == self.said && elapsed < ticks(limits.challenge_ack_gap) {
            return ChallengeVerdict::Limited;
        }
        if debt.saturating_add(interval) > capacity {
            return ChallengeVerdict::Limited;
        }
        *self = Challenge {
            full_at: Tick(tick.0.wrapping_add(debt).wrapping_add(interval)),
            last: coarse,
            said,
        };
        ChallengeVerdict::Send
    }
}

/// A span in ticks, rounded up, at most a quarter of the circle.
fn ticks(span: Span) -> u32 {
    span.as_micros().div_ceil(64).min(1 << 30) as u32
}

/// Two sequence numbers in sixteen bits, never zero. A collision costs one answer.
fn fold(snd_nxt: Seq, rcv_nxt: Seq) -> u16 {
    let mixed = snd_nxt.0.wrapping_mul(0x9E37_79B1) ^ rcv_nxt.0.wrapping_mul(0x85EB_CA77);
    ((mixed >> 16) ^ mixed) as u16 | 1
}
