//! getsockopt and setsockopt. Owns: which option changes what, and the octets of its value.
//! Must not know: when a call is made.

use super::errno::Errno;
use super::names as n;
use super::table::{Kind, Socket};
use super::{Posix, Status, or_status};
use usertcp_base::Span;
use usertcp_tcp::Settings;

/// What setting an option does.
enum Effect {
    /// Changes settings.
    Settings(fn(&mut Settings, i64)),
    /// Is only remembered: nothing that the wire or a call would show.
    Remembered,
}

/// The effect of an option with an integer; `None`: it is not there.
fn effect_of(level: i64, name: i64) -> Option<Effect> {
    Some(match (level, name) {
        (n::SOL_SOCKET, n::SO_REUSEADDR | n::SO_REUSEPORT | n::SO_PRIORITY) => Effect::Remembered,
        (n::SOL_SOCKET, n::SO_KEEPALIVE) => {
            Effect::Settings(|settings, value| settings.keep_alive.enabled = value != 0)
        }
        (n::SOL_TCP, n::TCP_NODELAY) => {
            Effect::Settings(|settings, value| settings.no_delay = value != 0)
        }
        (n::SOL_TCP, n::TCP_CORK) => Effect::Settings(|settings, value| settings.cork = value != 0),
        (n::SOL_TCP, n::TCP_KEEPIDLE) => Effect::Settings(|settings, value| {
            settings.keep_alive.idle = Span::from_secs(value.max(0) as u64);
        }),
        (n::SOL_TCP, n::TCP_KEEPINTVL) => Effect::Settings(|settings, value| {
            settings.keep_alive.interval = Span::from_secs(value.max(0) as u64);
        }),
        (n::SOL_TCP, n::TCP_KEEPCNT) => {
            Effect::Settings(|settings, value| settings.keep_alive.probes = value as u8)
        }
        (n::SOL_TCP, n::TCP_USER_TIMEOUT) => Effect::Settings(|settings, value| {
            // Zero asks for the default.
            let span = Some(Span::from_millis(value.max(0) as u64)).filter(|span| !span.is_zero());
            settings.give_up = span.or(Settings::default().give_up);
        }),
        (n::SOL_TCP, n::TCP_MAXSEG) => {
            Effect::Settings(|settings, value| settings.mss_limit_octets = value as u16)
        }
        (n::SOL_IP, n::IP_TOS) | (n::SOL_IPV6, n::IPV6_TCLASS) => {
            Effect::Settings(|settings, value| settings.dscp = (value as u8) >> 2)
        }
        (n::SOL_IP, n::IP_TTL) | (n::SOL_IPV6, n::IPV6_UNICAST_HOPS) => {
            Effect::Settings(|settings, value| settings.hop_limit = value as u8)
        }
        _ => return None,
    })
}

/// The value of an option that settings hold.
fn value_of(level: i64, name: i64, socket: &Socket, settings: &Settings) -> Option<i64> {
    let seconds = |span: Span| (span.as_micros() / 1_000_000) as i64;
    Some(match (level, name) {
        (n::SOL_SOCKET, n::SO_KEEPALIVE) => i64::from(settings.keep_alive.enabled),
        (n::SOL_SOCKET, n::SO_TYPE) => n::SOCK_STREAM,
        (n::SOL_SOCKET, n::SO_PROTOCOL) => n::IPPROTO_TCP,
        (n::SOL_SOCKET, n::SO_ACCEPTCONN) => i64::from(matches!(socket.kind, Kind::Listening(_))),
        (n::SOL_TCP, n::TCP_NODELAY) => i64::from(settings.no_delay),
        (n::SOL_TCP, n::TCP_CORK) => i64::from(settings.cork),
        (n::SOL_TCP, n::TCP_KEEPIDLE) => seconds(settings.keep_alive.idle),
        (n::SOL_TCP, n::TCP_KEEPINTVL) => seconds(settings.keep_alive.interval),
        (n::SOL_TCP, n::TCP_KEEPCNT) => i64::from(settings.keep_alive.probes),
        (n::SOL_TCP, n::TCP_USER_TIMEOUT) => {
            settings.give_up.map_or(0, |span| (span.as_micros() / 1000) as i64)
        }
        (n::SOL_IP, n::IP_TTL) => i64::from(settings.hop_limit),
        _ => return None,
    })
}

/// The integer in an option's octets: four of them, or one.
fn integer(value: &[u8]) -> Option<i64> {
    match *value {
        [a, b, c, d, ..] => Some(i32::from_ne_bytes([a, b, c, d]).into()),
        [one] => Some(one.into()),
        _ => None,
    }
}

fn option_text(level: i64, name: i64) -> String {
    let prefix = match level {
        n::SOL_SOCKET => "SO_",
        n::SOL_TCP => "TCP_",
        n::SOL_IP => "IP_",
        n::SOL_IPV6 => "IPV6_",
        _ => return format!("socket option {name} of level {level}"),
    };
    format!("socket option `{}`", n::name_of(prefix, name))
}

impl Posix {
    /// `setsockopt(2)`.
    pub fn setsockopt(&mut self, fd: i32, level: i64, name: i64, value: &[u8]) -> Status {
        let socket = or_status!(self.socket_of(fd));
        let conn = socket.connection();
        if (level, name) == (n::SOL_SOCKET, n::SO_LINGER) {
            return self.set_linger(fd, value);
        }
        let Some(effect) = effect_of(level, name) else {
            return Status::Missing(option_text(level, name));
        };
        let Some(number) = integer(value) else { return Status::Error(Errno::EINVAL) };
        let Some(socket) = self.table.socket_mut(fd) else { return Status::Error(Errno::EBADF) };
        match effect {
            Effect::Remembered => {
                socket.remembered.insert((level, name), number);
            }
            Effect::Settings(change) => {
                change(&mut socket.settings, number);
                if let Some(conn) = conn {
                    let now = self.machine.now;
                    let changed =
                        self.machine.shard.set_option(now, conn, |all| change(all, number));
                    if changed.is_err() {
                        return Status::Error(Errno::EINVAL);
                    }
                }
            }
        }
        self.settle();
        Status::Done(0)
    }

    fn set_linger(&mut self, fd: i32, value: &[u8]) -> Status {
        let (Some(on), Some(seconds)) = (integer(value), value.get(4..).and_then(integer)) else {
            return Status::Error(Errno::EINVAL);
        };
        if let Some(socket) = self.table.socket_mut(fd) {
            socket.linger_zero = on != 0 && seconds == 0;
        }
        Status::Done(0)
    }

    /// `getsockopt(2)`: the octets of the value, at most `room` of them.
    pub fn getsockopt(
        &mut self,
        fd: i32,
        level: i64,
        name: i64,
        room: usize,
    ) -> Result<Vec<u8>, Status> {
        self.socket_of(fd).map_err(Status::Error)?;
        let integer = |value: i64| {
            let mut octets = (value as i32).to_ne_bytes().to_vec();
            octets.truncate(room);
            octets
        };
        if (level, name) == (n::SOL_SOCKET, n::SO_ERROR) {
            return Ok(integer(self.take_error(fd).map_or(0, |errno| errno.0.into())));
        }
        let socket = self.socket_of(fd).map_err(Status::Error)?;
        let live = socket.connection().and_then(|conn| self.machine.shard.settings(conn).ok());
        let settings = live.unwrap_or(socket.settings);
        if let Some(value) = value_of(level, name, socket, &settings) {
            return Ok(integer(value));
        }
        if let Some(value) = socket.remembered.get(&(level, name)) {
            return Ok(integer(*value));
        }
        match effect_of(level, name) {
            Some(_) => Ok(integer(0)),
            None => Err(Status::Missing(option_text(level, name))),
        }
    }
}
