//! Keep-alive. Owns: how many probes went unanswered, and when the next is due.
//! Implements: RFC 9293 §3.8.4 (MUST-24 … MUST-29).

use crate::settings::{Manner, Settings};
use usertcp_base::{Instant, Seq, Span};

/// Silence before the first probe is longer by up to 1/this of itself, for each connection, and for each silence after
/// it sent something, another part: a million that fell silent together are not probed together.
const SPREAD: u64 = 16;

/// Probes sent since the peer was last heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
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
    /// When the next probe (or the end) is due. `una`: SND.UNA, by which connections differ.
    pub fn deadline(&self, last_heard: Instant, una: Seq, settings: &Settings) -> Option<Instant> {
        let keep_alive = &settings.keep_alive;
        if !keep_alive.enabled {
            return None;
        }
        let probes = keep_alive.interval.saturating_mul(u64::from(self.unanswered));
        let later = match settings.manner {
            Manner::Own => spread(una, keep_alive.idle),
            Manner::Linux => Span::ZERO,
        };
        // The precision of a record (`park`): parked or not, it is the same moment.
        let heard = Instant::from_micros(((last_heard.as_micros() >> 10) + 1) << 10);
        Some(heard + keep_alive.idle.saturating_add(probes).saturating_add(later))
    }
    /// Probes sent since the peer was last heard.
    pub(crate) fn unanswered(&self) -> u8 {
        self.unanswered
    }
    /// The same with so many probes.
    pub(crate) fn of_unanswered(unanswered: u8) -> KeepAliveState {
        KeepAliveState { unanswered }
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
        una: Seq,
        settings: &Settings,
    ) -> KeepAliveDue {
        match self.deadline(last_heard, una, settings) {
            Some(deadline) if deadline <= now => {
                if self.unanswered >= settings.keep_alive.probes.max(2) {
                    return KeepAliveDue::GiveUp;
                }
                self.unanswered = self.unanswered.saturating_add(1);
                KeepAliveDue::Probe
            }
            _ => KeepAliveDue::NotYet,
        }
    }
}

/// A part of a sixteenth of `idle`. When the peer was heard has no say in it: a tick more or less would draw another.
fn spread(una: Seq, idle: Span) -> Span {
    let mixed = una.0.rotate_left(16).wrapping_mul(0x9E37_79B1);
    let part = u64::from((mixed ^ mixed >> 15).wrapping_mul(0x85EB_CA77) >> 16);
    let most = idle.as_micros().min(u64::from(u32::MAX) << 12) / SPREAD;
    Span::from_micros((most * part) >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::KeepAlive;

    // proves MUST-25, MUST-27, MUST-28, MUST-29
    #[test]
    fn off_by_default_two_hours_when_on_and_nine_probes_before_the_end() {
        let (heard, una) = (Instant::from_millis(5), Seq(77));
        let mut state = KeepAliveState::default();
        assert_eq!(state.deadline(heard, una, &Settings::default()), None);
        let on = KeepAlive { enabled: true, ..KeepAlive::default() };
        let on = Settings { keep_alive: on, ..Settings::default() };
        let first = state.deadline(heard, una, &on).unwrap();
        assert!((7200..=7650).contains(&(first.since(heard).as_millis() / 1000)));
        let mut now = first;
        for _ in 0..9 {
            assert_eq!(state.fire(now, heard, una, &on), KeepAliveDue::Probe);
            assert_eq!(state.fire(now, heard, una, &on), KeepAliveDue::NotYet);
            now = state.deadline(heard, una, &on).unwrap();
        }
        assert_eq!(state.fire(now, heard, una, &on), KeepAliveDue::GiveUp);
        state.on_heard();
        let next = state.deadline(now, una, &on).unwrap().since(now);
        assert!((7200..=7650).contains(&(next.as_millis() / 1000)));
        let linux = Settings { manner: Manner::Linux, ..on };
        let exact = state.deadline(now, una, &linux).unwrap().since(now);
        assert!(exact.saturating_sub(Span::from_secs(7200)) <= Span::from_micros(1024));
    }

    // proves nothing of an RFC: a million streams that fell silent at one moment
    #[test]
    fn probes_of_many_are_spread_over_a_sixteenth_of_the_silence() {
        let on = KeepAlive { enabled: true, idle: Span::from_secs(75), ..KeepAlive::default() };
        let on = Settings { keep_alive: on, ..Settings::default() };
        let heard = Instant::from_millis(123_456);
        let mut slots = [0u32; 64];
        for una in 0..64_000u32 {
            let una = Seq(una.wrapping_mul(2_654_435_769));
            let due = KeepAliveState::default().deadline(heard, una, &on).unwrap();
            let later = due.since(heard).as_micros() - 75_000_000;
            assert!(later <= 4_688_600);
            slots[(later.min(4_687_499) * 64 / 4_687_500) as usize] += 1;
        }
        assert!(slots.iter().all(|count| (800..1200).contains(count)), "{slots:?}");
    }
}
