//! TCP Fast Open as programs see it (RFC 7413).
//!
//! Owns: TCP_FASTOPEN and its relatives, MSG_FASTOPEN, the settings of commands that concern them.
//! Must not know: cookies; how the stack opens connections. What calls return is what Linux returns.

use super::errno::Errno;
use super::names as n;
use super::table::Kind;
use super::{Pending, Posix, Source, Status};
use core::net::SocketAddr;
use std::collections::BTreeMap;
use usertcp_base::SharedKey;
use usertcp_stack::{FastOpenListen, FirstData};
use usertcp_tcp::StateName;

/// Clients may.
const CLIENT: i64 = 1;
/// Listeners may.
const SERVER: i64 = 2;
/// Clients send data without a cookie.
const CLIENT_WITHOUT_COOKIE: i64 = 4;
/// Listeners accept data without a cookie.
const SERVER_WITHOUT_COOKIE: i64 = 0x200;
/// Listeners do without TCP_FASTOPEN.
const SERVER_WITHOUT_OPTION: i64 = 0x400;

/// What commands and calls set.
#[derive(Clone, Debug)]
pub(super) struct FastOpen {
    /// `net.ipv4.tcp_fastopen`.
    mode: i64,
    /// The key and the one before, when they are set.
    keys: Option<(SharedKey, Option<SharedKey>)>,
    /// Sockets whose `connect` waits for the first data, and where they go.
    deferred: BTreeMap<i32, SocketAddr>,
    /// The address of a `sendto` under way.
    destination: Option<SocketAddr>,
}

impl Default for FastOpen {
    fn default() -> FastOpen {
        FastOpen { mode: CLIENT, keys: None, deferred: BTreeMap::new(), destination: None }
    }
}

impl FastOpen {
    /// A descriptor is closed.
    pub(super) fn forget(&mut self, fd: i32) {
        self.deferred.remove(&fd);
    }
}

/// Words of a key as commands write them: four of eight digits, each stored the lower octets first.
fn key(text: &str) -> Option<SharedKey> {
    let words: Option<Vec<u32>> =
        text.split('-').map(|word| u32::from_str_radix(word, 16).ok()).collect();
    let octets: Vec<u8> = words?.iter().flat_map(|word| word.to_le_bytes()).collect();
    Some(SharedKey::from_octets(octets.try_into().ok()?))
}

fn number(text: &str) -> Option<i64> {
    match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

impl Posix {
    /// What the suites set before each script.
    pub(super) fn fast_open_defaults(&mut self) {
        self.fast_open.mode = CLIENT | SERVER | SERVER_WITHOUT_OPTION;
        self.set_keys(key("a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4").map(|key| (key, None)));
    }

    /// Sets a value; false when it does not concern Fast Open.
    pub(super) fn fast_open_sysctl(&mut self, name: &str, value: &str) -> Result<bool, String> {
        let bad = || format!("sysctl `{name}={value}`");
        match name {
            "net.ipv4.tcp_fastopen" => self.fast_open.mode = number(value).ok_or_else(bad)?,
            "net.ipv4.tcp_fastopen_key" => {
                let mut keys = value.split(',').map(key);
                let first = keys.next().flatten().ok_or_else(bad)?;
                let second = match keys.next() {
                    Some(second) => Some(second.ok_or_else(bad)?),
                    None => None,
                };
                self.set_keys(Some((first, second)));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn set_keys(&mut self, keys: Option<(SharedKey, Option<SharedKey>)>) {
        self.fast_open.keys = keys;
        if let Some((current, previous)) = keys {
            self.machine.shard.set_fast_open_keys(current, previous);
        }
    }

    /// A socket listens, or an option of a listener changed.
    pub(super) fn apply_fast_open(&mut self, fd: i32, backlog: i64) {
        self.set_keys(self.fast_open.keys);
        let Some(socket) = self.table.socket(fd) else { return };
        let Kind::Listening(listener) = socket.kind else { return };
        let mode = self.fast_open.mode;
        let length = match socket.remembered.get(&(n::SOL_TCP, n::TCP_FASTOPEN)) {
            Some(length) => *length,
            None if mode & SERVER_WITHOUT_OPTION != 0 => backlog,
            None => 0,
        };
        let unasked = socket.option(n::SOL_TCP, n::TCP_FASTOPEN_NO_COOKIE) != 0;
        let setup = FastOpenListen {
            pending: u32::try_from(length).unwrap_or(0),
            without_cookie: unasked || mode & SERVER_WITHOUT_COOKIE != 0,
        };
        let on = mode & SERVER != 0 && setup.pending > 0;
        self.machine.shard.set_fast_open(listener, on.then_some(setup));
    }

    /// `setsockopt(2)` of what concerns Fast Open; `None`: another option.
    pub(super) fn set_fast_open(
        &mut self,
        fd: i32,
        level: i64,
        name: i64,
        value: &[u8],
    ) -> Option<Status> {
        if level != n::SOL_TCP {
            return None;
        }
        match name {
            n::TCP_FASTOPEN | n::TCP_FASTOPEN_CONNECT | n::TCP_FASTOPEN_NO_COOKIE => {}
            n::TCP_FASTOPEN_KEY => return Some(self.set_key_option(value)),
            _ => return None,
        }
        let number = match *value {
            [a, b, c, d, ..] => i64::from(i32::from_ne_bytes([a, b, c, d])),
            _ => return Some(Status::Error(Errno::EINVAL)),
        };
        let client = self.fast_open.mode & CLIENT != 0;
        let socket = self.table.socket_mut(fd)?;
        let fits = match name {
            n::TCP_FASTOPEN => number >= 0 && !matches!(socket.kind, Kind::Connected(_)),
            n::TCP_FASTOPEN_CONNECT => (0..=1).contains(&number) && socket.kind == Kind::Fresh,
            _ => (0..=1).contains(&number),
        };
        if !fits {
            return Some(Status::Error(Errno::EINVAL));
        }
        if name == n::TCP_FASTOPEN_CONNECT && !client {
            return Some(Status::Error(Errno::EOPNOTSUPP));
        }
        socket.remembered.insert((level, name), number);
        self.apply_fast_open(fd, 0);
        Some(Status::Done(0))
    }

    /// One key or two, 16 octets each. The stack has one set of them, not one for each listener.
    fn set_key_option(&mut self, value: &[u8]) -> Status {
        let mut keys = value.chunks(16).map(|octets| octets.try_into().map(SharedKey::from_octets));
        match (keys.next(), keys.next(), keys.next()) {
            (Some(Ok(current)), None, None) => self.set_keys(Some((current, None))),
            (Some(Ok(current)), Some(Ok(backup)), None) => {
                self.set_keys(Some((current, Some(backup))));
            }
            _ => return Status::Error(Errno::EINVAL),
        }
        Status::Done(0)
    }

    /// Where a `sendto` or `sendmsg` with an address goes; without MSG_FASTOPEN it does not matter.
    pub fn name_destination(&mut self, flags: i64, to: SocketAddr) {
        self.fast_open.destination = (flags & n::MSG_FASTOPEN != 0).then_some(to);
    }

    /// `connect(2)` of a fresh socket: with TCP_FASTOPEN_CONNECT and a cookie at hand it waits for
    /// the first data.
    pub(super) fn connect_or_defer(
        &mut self,
        fd: i32,
        to: SocketAddr,
        pending: &mut Pending,
    ) -> Status {
        let asked = self
            .table
            .socket(fd)
            .is_some_and(|socket| socket.option(n::SOL_TCP, n::TCP_FASTOPEN_CONNECT) != 0);
        if self.fast_open.deferred.contains_key(&fd) {
            return Status::Error(Errno::EISCONN);
        }
        if !asked || pending.begun {
            return self.begin_connect(fd, to, pending);
        }
        match self.syn_room(fd, to) {
            Ok(Some(_)) => {
                self.fast_open.deferred.insert(fd, to);
                Status::Done(0)
            }
            // A cookie is asked for.
            Ok(None) => match self.begin_fast(fd, to, &[]) {
                Err(error) => Status::Error(error),
                Ok(_) => self.connect_begun(fd, pending),
            },
            Err(error) => Status::Error(error),
        }
    }

    fn connect_begun(&mut self, fd: i32, pending: &mut Pending) -> Status {
        let Some(socket) = self.table.socket(fd) else { return Status::Error(Errno::EBADF) };
        if socket.nonblocking {
            return Status::Error(Errno::EINPROGRESS);
        }
        self.wait(pending, socket.send_timeout_ms, Errno::EINPROGRESS)
    }

    fn without_cookie(&self, fd: i32) -> bool {
        let socket = self.table.socket(fd);
        self.fast_open.mode & CLIENT_WITHOUT_COOKIE != 0
            || socket.is_some_and(|all| all.option(n::SOL_TCP, n::TCP_FASTOPEN_NO_COOKIE) != 0)
    }

    fn syn_room(&mut self, fd: i32, to: SocketAddr) -> Result<Option<u16>, Errno> {
        let unasked = self.without_cookie(fd);
        let ports = self.ports;
        let connect = self.destination(fd, to)?;
        self.ports = ports;
        Ok(self.machine.shard.fast_open_room(self.machine.now, &connect, unasked))
    }

    /// Opens with `octets`; how many were taken.
    fn begin_fast(&mut self, fd: i32, to: SocketAddr, octets: &[u8]) -> Result<usize, Errno> {
        let without_cookie = self.without_cookie(fd);
        let connect = self.destination(fd, to)?;
        let first = FirstData { octets, without_cookie };
        let opened = self.machine.shard.connect_with(self.machine.now, &connect, first);
        let taken = opened.map_or(0, |(_, taken)| taken);
        self.connected_to(fd, opened.map(|(conn, _)| conn))?;
        Ok(taken)
    }

    /// A send that opens, or waits for what it opened; `None`: one like any other.
    pub(super) fn send_fast_open(
        &mut self,
        fd: i32,
        from: &[Source<'_>],
        flags: i64,
        pending: &mut Pending,
    ) -> Option<Status> {
        let asked = flags & n::MSG_FASTOPEN != 0;
        let socket = self.table.socket(fd)?;
        let nonblocking = socket.nonblocking || flags & n::MSG_DONTWAIT != 0;
        if let (Kind::Connected(conn), true) = (socket.kind, pending.begun) {
            // Goes on where the opening has ended.
            let opening = [StateName::SynSent, StateName::SynReceived].contains(&self.state(conn));
            return match opening {
                true => Some(self.connect_begun(fd, pending)),
                false if asked => self.take_error(fd).map(Status::Error),
                false => None,
            };
        }
        let to = match (self.fast_open.deferred.remove(&fd), socket.kind) {
            (Some(to), Kind::Fresh) => to,
            _ if !asked => return None,
            (None, Kind::Fresh) => self.fast_open.destination?,
            (_, Kind::Connected(conn)) => {
                let opening = self.state(conn) == StateName::SynSent;
                return Some(Status::Error(if opening { Errno::EALREADY } else { Errno::EISCONN }));
            }
            (_, Kind::Listening(_)) => return Some(Status::Error(Errno::EISCONN)),
        };
        if self.fast_open.mode & CLIENT == 0 {
            return Some(Status::Error(Errno::EOPNOTSUPP));
        }
        Some(self.send_first(fd, to, from, nonblocking, pending).unwrap_or_else(Status::Error))
    }

    /// Without waiting, no more is taken than goes with the SYN; without a cookie that is nothing.
    fn send_first(
        &mut self,
        fd: i32,
        to: SocketAddr,
        from: &[Source<'_>],
        nonblocking: bool,
        pending: &mut Pending,
    ) -> Result<Status, Errno> {
        let mut octets = Vec::new();
        for source in from {
            let Source::Octets(more) = source else { return Err(Errno::EFAULT) };
            octets.extend_from_slice(more);
        }
        if nonblocking {
            let room = self.syn_room(fd, to)?.unwrap_or(0);
            octets.truncate(room.into());
        }
        let taken = self.begin_fast(fd, to, &octets)?;
        if nonblocking {
            return if taken > 0 {
                Ok(Status::Done(taken as i64))
            } else {
                Err(Errno::EINPROGRESS)
            };
        }
        pending.done = taken;
        Ok(self.connect_begun(fd, pending))
    }
}
