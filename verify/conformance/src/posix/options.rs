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
    /// Is only remembered: what it does is done elsewhere in this layer, or nothing.
    Remembered,
    /// Is remembered when it is one of these values, which all mean the stack's way.
    Only(&'static [i64]),
}

/// A buffer's size as Linux doubles it.
fn doubled(value: i64, least: u32) -> u32 {
    u32::try_from(value.max(0))
        .unwrap_or(u32::MAX / 4)
        .min(u32::MAX / 4)
        .saturating_mul(2)
        .max(least)
}

/// Whether a value is refused with EINVAL.
fn is_invalid(level: i64, name: i64, value: i64) -> bool {
    match (level, name) {
        (n::SOL_TCP, n::TCP_MAXSEG) => value != 0 && !(88..=32_767).contains(&value),
        (n::SOL_TCP, n::TCP_KEEPIDLE | n::TCP_KEEPINTVL) => !(1..=32_767).contains(&value),
        (n::SOL_TCP, n::TCP_KEEPCNT | n::TCP_SYNCNT) => !(1..=127).contains(&value),
        (n::SOL_TCP, n::TCP_USER_TIMEOUT) => value < 0,
        (n::SOL_TCP, n::TCP_INQ) => !(0..=1).contains(&value),
        (n::SOL_SOCKET, n::SO_ZEROCOPY) => !(0..=1).contains(&value),
        (n::SOL_IP, n::IP_TTL) => value != -1 && !(1..=255).contains(&value),
        _ => false,
    }
}

/// The effect of an option with an integer; `None`: it is not there.
fn effect_of(level: i64, name: i64) -> Option<Effect> {
    Some(match (level, name) {
        // Of one stack with one program, none of these shows on the wire or in a call.
        (
            n::SOL_SOCKET,
            n::SO_REUSEADDR
            | n::SO_REUSEPORT
            | n::SO_PRIORITY
            | n::SO_MARK
            | n::SO_ZEROCOPY
            | n::SO_INCOMING_CPU,
        )
        | (n::SOL_IP, n::IP_FREEBIND | n::IP_TRANSPARENT | n::IP_BIND_ADDRESS_NO_PORT)
        | (n::SOL_IPV6, n::IPV6_V6ONLY)
        | (n::SOL_TCP, n::TCP_INQ) => Effect::Remembered,
        (n::SOL_IP, n::IP_MTU_DISCOVER) | (n::SOL_IPV6, n::IPV6_MTU_DISCOVER) => {
            Effect::Only(&[n::IP_PMTUDISC_WANT, n::IP_PMTUDISC_DO, n::IP_PMTUDISC_DONT])
        }
        (n::SOL_SOCKET, n::SO_SNDBUF | n::SO_SNDBUFFORCE) => {
            Effect::Settings(|settings, value| settings.send_buffer_octets = doubled(value, 4608))
        }
        (n::SOL_SOCKET, n::SO_RCVBUF | n::SO_RCVBUFFORCE) => Effect::Settings(|settings, value| {
            // Half of what it is doubled to is for payload, as the field's scripts know it.
            settings.receive_buffer_octets = doubled(value, 2304) / 2;
        }),
        (n::SOL_SOCKET, n::SO_MAX_PACING_RATE) => Effect::Settings(|settings, value| {
            let rate = value as u32;
            settings.rate_limit = match rate {
                u32::MAX => usertcp_base::Rate::UNLIMITED,
                rate => usertcp_base::Rate::from_octets_per_second(u64::from(rate)),
            };
        }),
        (n::SOL_TCP, n::TCP_NOTSENT_LOWAT) => {
            Effect::Settings(|settings, value| settings.unsent_low_water_octets = value as u32)
        }
        (n::SOL_TCP, n::TCP_SYNCNT) => {
            Effect::Settings(|settings, value| settings.syn_retries = value as u8)
        }
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
        (n::SOL_SOCKET, n::SO_SNDBUF) if settings.send_buffer_octets > 0 => {
            settings.send_buffer_octets.into()
        }
        (n::SOL_SOCKET, n::SO_RCVBUF) if settings.receive_buffer_octets > 0 => {
            i64::from(settings.receive_buffer_octets) * 2
        }
        (n::SOL_TCP, n::TCP_NOTSENT_LOWAT) => i64::from(settings.unsent_low_water_octets as i32),
        (n::SOL_TCP, n::TCP_SYNCNT) => match settings.syn_retries {
            0 => 6,
            count => count.into(),
        },
        (n::SOL_TCP, n::TCP_MAXSEG) if socket.connection().is_none() => {
            match settings.mss_limit_octets {
                0 => 536,
                octets => octets.into(),
            }
        }
        (n::SOL_IP, n::IP_TOS) => i64::from(settings.dscp) << 2,
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

/// A `struct timeval` in milliseconds, rounded up.
fn milliseconds(value: &[u8]) -> Option<u64> {
    let long = |at: usize| Some(i64::from_ne_bytes(value.get(at..at + 8)?.try_into().ok()?));
    let (seconds, micros) = (u64::try_from(long(0)?).ok()?, u64::try_from(long(8)?).ok()?);
    Some(seconds.saturating_mul(1000).saturating_add(micros.div_ceil(1000)).min(1_000_000_000))
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
        if let Some(status) = self.set_special(fd, level, name, value) {
            return status;
        }
        let Some(effect) = effect_of(level, name) else {
            return Status::Missing(option_text(level, name));
        };
        let Some(number) = integer(value) else { return Status::Error(Errno::EINVAL) };
        if is_invalid(level, name, number) {
            return Status::Error(Errno::EINVAL);
        }
        let Some(socket) = self.table.socket_mut(fd) else { return Status::Error(Errno::EBADF) };
        match effect {
            Effect::Only(values) if !values.contains(&number) => {
                return Status::Missing(format!("{} {number}", option_text(level, name)));
            }
            Effect::Remembered | Effect::Only(_) => {
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

    /// Options whose value is no integer, or that act at once.
    fn set_special(&mut self, fd: i32, level: i64, name: i64, value: &[u8]) -> Option<Status> {
        let number = integer(value);
        let socket = self.table.socket_mut(fd)?;
        let conn = socket.connection();
        match (level, name) {
            (n::SOL_SOCKET, n::SO_RCVTIMEO | n::SO_SNDTIMEO) => {
                let Some(millis) = milliseconds(value) else {
                    return Some(Status::Error(Errno::EINVAL));
                };
                if name == n::SO_RCVTIMEO {
                    socket.receive_timeout_ms = millis;
                } else {
                    socket.send_timeout_ms = millis;
                }
            }
            (n::SOL_SOCKET, n::SO_TIMESTAMPING) => {
                let flags = number?;
                let known = n::SOF_TIMESTAMPING_TX_SCHED
                    | n::SOF_TIMESTAMPING_TX_SOFTWARE
                    | n::SOF_TIMESTAMPING_TX_ACK
                    | n::SOF_TIMESTAMPING_SOFTWARE
                    | n::SOF_TIMESTAMPING_OPT_ID
                    | n::SOF_TIMESTAMPING_OPT_TSONLY
                    | n::SOF_TIMESTAMPING_OPT_CMSG
                    | n::SOF_TIMESTAMPING_OPT_STATS;
                if flags & !known != 0 {
                    let words = n::bits_text("SOF_TIMESTAMPING_", flags & !known);
                    return Some(Status::Missing(format!("`{words}`")));
                }
                socket.stamping.set(flags);
            }
            (n::SOL_TCP, n::TCP_CONGESTION) => {
                let name = core::str::from_utf8(value).unwrap_or("").trim_end_matches('\0');
                let Ok(algorithm) = name.parse() else {
                    return Some(Status::Error(Errno::ENOENT));
                };
                if conn.is_some() && socket.algorithm != algorithm {
                    return Some(Status::Missing("TCP_CONGESTION of a connection".to_string()));
                }
                socket.algorithm = algorithm;
            }
            (n::SOL_TCP, n::TCP_FASTOPEN_KEY) => return None,
            (n::SOL_TCP, n::TCP_NODELAY | n::TCP_CORK) if conn.is_some() => {
                // Setting the one, or clearing the other, sends what was held.
                let pushes = (number? != 0) == (name == n::TCP_NODELAY);
                let (now, id) = (self.machine.now, conn?);
                let value = number?;
                let changed = self.machine.shard.set_option(now, id, |all| {
                    if name == n::TCP_NODELAY {
                        all.no_delay = value != 0;
                    } else {
                        all.cork = value != 0;
                    }
                });
                if changed.is_ok() && pushes {
                    let _ = self.machine.shard.push(now, id);
                }
                self.settle();
                return Some(if changed.is_ok() {
                    Status::Done(0)
                } else {
                    Status::Error(Errno::EINVAL)
                });
            }
            _ => return None,
        }
        Some(Status::Done(0))
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
        if let Some(octets) = self.get_special(fd, level, name) {
            return octets.map(|mut octets| {
                octets.truncate(room);
                octets
            });
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
            Some(Effect::Only(values)) => Ok(integer(values.first().copied().unwrap_or(0))),
            Some(_) => Ok(integer(0)),
            None => Err(Status::Missing(option_text(level, name))),
        }
    }

    /// Values that are no integer, or that the connection's figures hold.
    fn get_special(&self, fd: i32, level: i64, name: i64) -> Option<Result<Vec<u8>, Status>> {
        let socket = self.table.socket(fd)?;
        let info = socket
            .connection()
            .and_then(|conn| self.machine.shard.info(self.machine.now, conn).ok());
        let figures = info.and_then(|info| info.figures);
        let integer = |value: i64| Some(Ok((value as i32).to_ne_bytes().to_vec()));
        match (level, name) {
            (n::SOL_TCP, n::TCP_INFO) => {
                let state = match socket.kind {
                    Kind::Listening(_) => 10,
                    _ => 7,
                };
                let closed = || {
                    let mut octets = [0; super::info::TCP_INFO_OCTETS];
                    octets[0] = state;
                    octets
                };
                let octets = info.map_or_else(closed, |info| super::info::octets(&info));
                Some(Ok(octets.to_vec()))
            }
            // No algorithm here has figures of its own in Linux's form.
            (n::SOL_TCP, n::TCP_CC_INFO) => Some(Ok(Vec::new())),
            (n::SOL_SOCKET, n::SO_MEMINFO) => {
                let words = self.memory_info(socket, figures.as_ref());
                Some(Ok(words.iter().flat_map(|word| word.to_ne_bytes()).collect()))
            }
            (n::SOL_TCP, n::TCP_CONGESTION) => {
                let mut octets = socket.algorithm.name().as_bytes().to_vec();
                octets.push(0);
                Some(Ok(octets))
            }
            (n::SOL_TCP, n::TCP_MAXSEG) => integer(figures?.send_mss_octets.into()),
            (n::SOL_SOCKET, n::SO_SNDBUF) if socket.settings.send_buffer_octets == 0 => {
                integer(self.machine.shard.limits().send_buffer_start_octets.into())
            }
            (n::SOL_SOCKET, n::SO_RCVBUF) if socket.settings.receive_buffer_octets == 0 => {
                integer(self.machine.shard.limits().receive_buffer_start_octets.into())
            }
            _ => None,
        }
    }

    /// The nine words of SO_MEMINFO: receive queue and its bound, send queue and its bound, forward
    /// allocation, what is queued to be written, options, backlog, drops.
    pub(super) fn memory_info(
        &self,
        socket: &Socket,
        figures: Option<&usertcp_tcp::Info>,
    ) -> [u32; 9] {
        let limits = self.machine.shard.limits();
        let or = |own: u32, start: u32| if own > 0 { own } else { start };
        let receive =
            or(socket.settings.receive_buffer_octets * 2, limits.receive_buffer_start_octets);
        let send = or(socket.settings.send_buffer_octets, limits.send_buffer_start_octets);
        let (queued, written) = figures.map_or((0, 0), |figures| {
            let held = figures.receive_queue_octets.saturating_add(figures.out_of_order_octets);
            (held, figures.send_queue_octets)
        });
        [queued, receive, 0, send, 0, written, 0, 0, 0]
    }
}
