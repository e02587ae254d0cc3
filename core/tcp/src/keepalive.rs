//! Keep-alive. Owns: how many probes went unanswered, and when the next is due.
//! Implements: RFC 9293 §3.8.4 (MUST-24 … MUST-29).

use crate::settings::KeepAlive;
use usertcp_base::Instant;

/// Probes sent since the peer was last heard.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeepAliveState {
    unanswered: u8,
}

/// What its deadline brings.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeepAliveDue {
    /// Not yet.
    NotYet,
    /// Send a probe.
    Probe,
    /// The peer is gone.
    GiveUp,
}

impl KeepAliveState {
    /// When the next probe (or the end) is due.
    pub fn deadline(&self, last_heard: Instant, settings: &KeepAlive) -> Option<Instant> {
        if !settings.enabled {
            return None;
        }
        let probes = u64::from(self.unanswered);
        Some(last_heard + settings.idle.saturating_add(settings.interval.saturating_mul(probes)))
    }
    /// Anything was received: start over.
    pub fn on_heard(&mut self) {
        self.unanswered = 0;
    }
    /// Time passed.
    pub fn fire(
        &mut self,
        now: Instant,
        last_heard: Instant,
        settings: &KeepAlive,
    ) -> KeepAliveDue {
        match self.deadline(last_heard, settings) {
            Some(deadline) if deadline <= now => {
                if self.unanswered >= settings.probes.max(2) {
                    return KeepAliveDue::GiveUp;
                }
                self.unanswered = self.unanswered.saturating_add(1);
                KeepAliveDue::Probe
            }
            _ => KeepAliveDue::NotYet,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use usertcp_base::Span;

    // proves MUST-25, MUST-27, MUST-28, MUST-29
    #[test]
    fn off_by_default_two_hours_when_on_and_nine_probes_before_the_end() {
        let heard = Instant::from_millis(5);
        let mut state = KeepAliveState::default();
        assert_eq!(state.deadline(heard, &KeepAlive::default()), None);
        let on = KeepAlive { enabled: true, ..KeepAlive::default() };
        let first = state.deadline(heard, &on).unwrap();
        assert_eq!(first.since(heard), Span::from_secs(7200));
        let mut now = first;
        for _ in 0..9 {
            assert_eq!(state.fire(now, heard, &on), KeepAliveDue::Probe);
            assert_eq!(state.fire(now, heard, &on), KeepAliveDue::NotYet);
            now = state.deadline(heard, &on).unwrap();
        }
        assert_eq!(state.fire(now, heard, &on), KeepAliveDue::GiveUp);
        state.on_heard();
        assert_eq!(state.deadline(now, &on).unwrap().since(now), Span::from_secs(7200));
    }
}
