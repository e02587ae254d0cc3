//! Bounds on what is sent unasked.
//!
//! Owns: a token bucket in integers. Must not know: what a token stands for, any clock.
//! Implements: RFC 1812 §4.3.2.8 and RFC 4443 §2.4 f (rate limits), BG-3.

#[cfg(test)]
mod tests;

use usertcp_base::{Instant, Span};

/// Parts of a token: one microsecond earns as many as tokens come in a second.
const PARTS: u64 = 1_000_000;

/// So many events per second, with a burst of a tenth of a second's worth (at least one). It
/// starts full.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    per_second: u32,
    parts: u64,
    filled_at: Instant,
}

impl TokenBucket {
    /// A bucket that lets `per_second` events pass; zero lets none.
    pub fn new(per_second: u32) -> TokenBucket {
        let mut bucket = TokenBucket { per_second, parts: 0, filled_at: Instant::ZERO };
        bucket.parts = bucket.capacity();
        bucket
    }

    /// Whether an event may happen at `now`; takes its token if so.
    #[must_use]
    pub fn allow(&mut self, now: Instant) -> bool {
        let earned = now.since(self.filled_at).as_micros().saturating_mul(self.per_second.into());
        self.parts = self.parts.saturating_add(earned).min(self.capacity());
        self.filled_at = self.filled_at.max(now);
        match self.parts.checked_sub(PARTS) {
            Some(left) if self.per_second > 0 => {
                self.parts = left;
                true
            }
            _ => false,
        }
    }

    /// How long until [`TokenBucket::allow`] says yes, as seen at the last call of it;
    /// [`Span::MAX`] when it never will.
    pub fn wait(&self) -> Span {
        match PARTS.saturating_sub(self.parts) {
            _ if self.per_second == 0 => Span::MAX,
            missing => Span::from_micros(missing.div_ceil(self.per_second.into())),
        }
    }

    fn capacity(&self) -> u64 {
        u64::from((self.per_second / 10).max(1)) * PARTS
    }
}
