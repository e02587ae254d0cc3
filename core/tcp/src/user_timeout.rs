//! The user-timeout option: telling the peer how long we put up with silence, and heeding it.
//!
//! Owns: the option's raw field as a time, what the peer advertised, whether ours is still to be told,
//! the timeout in force.
//! Must not know: what the timeout ends (`timers`), how options stand in octets (`wire`).
//! Implements: RFC 5482. What the peer's SYN said is not kept by a half-open record: the first
//! segment after it says it again (§3).

use crate::settings::{Settings, UserTimeoutOption};
use core::num::NonZeroU16;
use usertcp_base::Span;

/// The field counts minutes.
const MINUTES: u16 = 1 << 15;

/// The state of one connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct UserTimeout {
    /// REMOTE_UTO: the raw field, never a value of zero.
    remote: Option<NonZeroU16>,
    /// The next segment with room for it tells our value.
    owed: bool,
}

impl UserTimeout {
    /// A connection that begins: its first segment tells, if any does (5482-4).
    pub(crate) fn new(settings: &Settings) -> UserTimeout {
        UserTimeout { remote: None, owed: settings.user_timeout_option != UserTimeoutOption::Off }
    }

    /// The settings changed: a new value, or a new will to tell it, is told.
    pub(crate) fn on_settings(&mut self, before: &Settings, now: &Settings) {
        if now.user_timeout_option == UserTimeoutOption::Off {
            *self = UserTimeout::default();
        } else if before.user_timeout_option == UserTimeoutOption::Off
            || before.give_up != now.give_up
        {
            self.owed = true;
        }
    }

    /// An acceptable segment carried the option. A value of zero means nothing (§3.3).
    pub(crate) fn on_option(&mut self, settings: &Settings, field: Option<u16>) {
        if !matches!(settings.user_timeout_option, UserTimeoutOption::Follow { .. }) {
            return;
        }
        if let Some(field) = field.and_then(NonZeroU16::new).filter(|field| field.get() != MINUTES)
        {
            self.remote = Some(field);
        }
    }

    /// Whether the option is to go along with a segment.
    pub(crate) fn is_owed(&self) -> bool {
        self.owed
    }

    /// The field to put into the segment that leaves now, if `room` is there.
    pub(crate) fn take_option(&mut self, settings: &Settings, room: bool) -> Option<u16> {
        if !self.owed || !room {
            return None;
        }
        self.owed = false;
        advertised(settings)
    }

    /// How long data may stay unacknowledged; `None`: for ever. The peer's word counts between the
    /// limits, and only where the application left it to us (§3.1: CHANGEABLE).
    #[inline]
    pub(crate) fn in_force(&self, settings: &Settings, rto: impl FnOnce() -> Span) -> Option<Span> {
        let own = settings.give_up?;
        match (self.remote, settings.user_timeout_option) {
            (Some(remote), UserTimeoutOption::Follow { least, most }) => {
                Some(own.max(span(remote)).max(least).max(rto()).min(most))
            }
            _ => Some(own),
        }
    }
}

/// ADV_UTO as the option's field, the largest there is for "never"; `None` while the option is off.
pub(crate) fn advertised(settings: &Settings) -> Option<u16> {
    if settings.user_timeout_option == UserTimeoutOption::Off {
        return None;
    }
    Some(field(settings.give_up.unwrap_or(Span::MAX)))
}

/// In seconds while they fit 15 bits, else in minutes; rounded up, so never zero.
fn field(span: Span) -> u16 {
    let seconds = span.as_micros().div_ceil(1_000_000).max(1);
    match u16::try_from(seconds) {
        Ok(seconds) if seconds < MINUTES => seconds,
        _ => MINUTES | seconds.div_ceil(60).min(u64::from(MINUTES - 1)) as u16,
    }
}

fn span(field: NonZeroU16) -> Span {
    let value = u64::from(field.get() & !MINUTES);
    Span::from_secs(if field.get() & MINUTES != 0 { value * 60 } else { value })
}

#[cfg(test)]
mod tests;
