//! The sockets of a script. Owns: descriptors as the script names them, socket options, errors
//! that wait to be told. Must not know: packets, times of a script.

use crate::options::Setup;
use crate::script::Arg;
use std::collections::HashMap;
use usertcp_base::{CloseReason, ConnId, ListenerId, Span};
use usertcp_tcp::Settings;

/// What a descriptor stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Neither listening nor connected yet.
    Fresh,
    /// Listening.
    Listening(ListenerId),
    /// A connection, in any state.
    Connected(ConnId),
}

/// A socket.
#[derive(Clone, Debug)]
pub struct Socket {
    /// What it stands for.
    pub kind: Kind,
    /// Calls do not wait.
    pub nonblocking: bool,
    /// Settings for what it becomes.
    pub settings: Settings,
    /// Closing resets.
    pub linger_zero: bool,
    /// The error of its connection was told.
    pub told: bool,
}

impl Socket {
    /// A socket that is nothing yet.
    pub fn fresh(setup: &Setup, nonblocking: bool) -> Socket {
        Socket {
            kind: Kind::Fresh,
            nonblocking,
            settings: setup.settings,
            linger_zero: false,
            told: false,
        }
    }
    /// Its connection.
    pub fn connection(&self) -> Option<ConnId> {
        match self.kind {
            Kind::Connected(conn) => Some(conn),
            _ => None,
        }
    }
}

/// Sockets by the script's descriptor.
pub type Table = HashMap<i64, Socket>;

/// The error that the end of a connection means to its next call; `None` for an orderly end.
pub fn errno_of(reason: CloseReason) -> Option<&'static str> {
    match reason {
        CloseReason::Normal => None,
        CloseReason::Reset => Some("ECONNRESET"),
        CloseReason::Refused => Some("ECONNREFUSED"),
        CloseReason::TimedOut | CloseReason::KeepAlive => Some("ETIMEDOUT"),
        CloseReason::Unreachable => Some("EHOSTUNREACH"),
        CloseReason::Aborted => Some("ECONNABORTED"),
        CloseReason::Limit => Some("ENOBUFS"),
    }
}

/// A socket option's effect: on settings, or on the socket itself.
pub enum Effect {
    /// Changes settings.
    Settings(fn(&mut Settings, i64)),
    /// Nothing that the wire shows.
    Nothing,
    /// SO_LINGER.
    Linger,
}

/// What setting an option does; `None`: the stack does not have it.
pub fn effect_of(name: &str) -> Option<Effect> {
    Some(match name {
        "SO_REUSEADDR" | "SO_REUSEPORT" => Effect::Nothing,
        "SO_LINGER" => Effect::Linger,
        "TCP_NODELAY" => Effect::Settings(|settings, value| settings.no_delay = value != 0),
        "TCP_CORK" => Effect::Settings(|settings, value| settings.cork = value != 0),
        "SO_KEEPALIVE" => {
            Effect::Settings(|settings, value| settings.keep_alive.enabled = value != 0)
        }
        "TCP_KEEPIDLE" => Effect::Settings(|settings, value| {
            settings.keep_alive.idle = Span::from_secs(value.max(0) as u64);
        }),
        "TCP_KEEPINTVL" => Effect::Settings(|settings, value| {
            settings.keep_alive.interval = Span::from_secs(value.max(0) as u64);
        }),
        "TCP_KEEPCNT" => {
            Effect::Settings(|settings, value| settings.keep_alive.probes = value as u8)
        }
        "TCP_USER_TIMEOUT" => Effect::Settings(|settings, value| {
            // Zero asks for the default.
            let span = Some(Span::from_millis(value.max(0) as u64)).filter(|span| !span.is_zero());
            settings.give_up = span.or(Settings::default().give_up);
        }),
        "TCP_MAXSEG" => {
            Effect::Settings(|settings, value| settings.mss_limit_octets = value as u16)
        }
        "IP_TOS" | "IPV6_TCLASS" => {
            Effect::Settings(|settings, value| settings.dscp = (value as u8) >> 2)
        }
        "IP_TTL" | "IPV6_UNICAST_HOPS" => {
            Effect::Settings(|settings, value| settings.hop_limit = value as u8)
        }
        _ => return None,
    })
}

/// The value of an option that can be asked for.
pub fn value_of(name: &str, socket: &Socket, settings: &Settings) -> Option<i64> {
    let seconds = |span: Span| (span.as_micros() / 1_000_000) as i64;
    Some(match name {
        "TCP_NODELAY" => i64::from(settings.no_delay),
        "TCP_CORK" => i64::from(settings.cork),
        "SO_KEEPALIVE" => i64::from(settings.keep_alive.enabled),
        "TCP_KEEPIDLE" => seconds(settings.keep_alive.idle),
        "TCP_KEEPINTVL" => seconds(settings.keep_alive.interval),
        "TCP_KEEPCNT" => i64::from(settings.keep_alive.probes),
        "TCP_USER_TIMEOUT" => settings.give_up.map_or(0, |span| (span.as_micros() / 1000) as i64),
        "SO_TYPE" => 1,
        "SO_ACCEPTCONN" => i64::from(matches!(socket.kind, Kind::Listening(_))),
        _ => return None,
    })
}

/// The value in an argument: a number, or the number in `[v]`.
pub fn value_in(arg: &Arg) -> Option<i64> {
    match arg {
        Arg::List(list) => list.first().and_then(value_in),
        other => other.number(),
    }
}
