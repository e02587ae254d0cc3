//! Calls of a script on the stack. Owns: what each call does, when it blocks, what it returns.
//! Must not know: when a call is made, whether its result is the expected one.

use crate::flow::Flow;
use crate::machine::Machine;
use crate::options::{PORT, Setup};
use crate::script::{Arg, Call};
use crate::sockets::{Effect, Kind, Socket, Table, effect_of, errno_of, value_in, value_of};
use usertcp_base::{ConnId, Instant, Span};
use usertcp_stack::{ConnError, Connect, Listen, Profile, Read};
use usertcp_tcp::StateName;

/// The first port of our own; the peer's ports begin elsewhere.
pub const FIRST_PORT: u16 = 40_001;
/// The first port a peer connects from.
pub const FIRST_PEER_PORT: u16 = 50_001;

/// Calls on a descriptor that are known.
const CALLS: [&str; 15] = [
    "bind",
    "listen",
    "accept",
    "connect",
    "read",
    "recv",
    "recvfrom",
    "write",
    "send",
    "sendto",
    "close",
    "shutdown",
    "fcntl",
    "setsockopt",
    "getsockopt",
];

/// What a call came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Its result.
    Done(i64),
    /// Its error.
    Error(&'static str),
    /// It waits.
    Blocked,
    /// Not to be had; the reason.
    Unsupported(String),
    /// Something other than its result is not as expected.
    Differs(String),
}

/// A call under way.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The call.
    pub call: Call,
    /// When it gives up by itself.
    pub deadline: Option<Instant>,
    done: usize,
    begun: bool,
}

impl Progress {
    /// A call that was not tried yet.
    pub fn new(call: &Call) -> Progress {
        Progress { call: call.clone(), deadline: None, done: 0, begun: false }
    }
    fn number(&self, index: usize) -> i64 {
        self.call.args.get(index).and_then(Arg::number).unwrap_or(0)
    }
    fn has(&self, index: usize, name: &str) -> bool {
        self.call.args.get(index).is_some_and(|arg| arg.has(name))
    }
}

/// The stack with the script's sockets and the connection under test.
pub struct Kernel {
    /// The stack.
    pub machine: Machine,
    /// The setup.
    pub setup: Setup,
    /// The sockets.
    pub sockets: Table,
    /// The connection under test.
    pub flow: Option<Flow>,
    /// A SYN of the peer makes a new connection under test.
    pub listening: bool,
    /// Added to the peer's sequence numbers.
    pub peer_shift: u32,
    ports: u16,
}

impl Kernel {
    /// No sockets yet.
    pub fn new(machine: Machine, setup: Setup, peer_shift: u32) -> Kernel {
        let (sockets, flow) = (Table::new(), None);
        Kernel { machine, setup, sockets, flow, listening: false, peer_shift, ports: 0 }
    }

    /// A connection under test, ports chosen.
    pub fn new_flow(&mut self, active: bool) {
        self.ports += 1;
        let (ours, peers) = if active {
            (FIRST_PORT + self.ports - 1, PORT)
        } else {
            (PORT, FIRST_PEER_PORT + self.ports - 1)
        };
        let (local, remote) = ((self.setup.local, ours), (self.setup.remote, peers));
        self.flow = Some(Flow::new(local, remote, self.peer_shift));
        self.listening = false;
    }

    /// The record of the connection under test, whoever holds it.
    pub fn connection(&self) -> Option<ConnId> {
        let flow = self.flow.as_ref()?;
        let mut all = self.machine.shard.connections();
        all.find(|id| {
            self.machine.shard.info(self.machine.now, *id).is_ok_and(|info| {
                (info.local.port(), info.remote.port()) == (flow.local.1, flow.remote.1)
            })
        })
    }

    /// Tries a call: begins it, or goes on with one that blocked.
    pub fn attempt(&mut self, progress: &mut Progress) -> Outcome {
        let name = progress.call.name.clone();
        if name == "socket" {
            return self.socket(progress);
        }
        if name == "poll" {
            return self.poll(progress);
        }
        if !CALLS.contains(&name.as_str()) {
            return Outcome::Unsupported(format!("call `{name}`"));
        }
        if progress.has(1, "NULL") || progress.has(1, "AF_UNSPEC") {
            return Outcome::Unsupported(format!("this form of `{name}`"));
        }
        let fd = progress.number(0);
        if !self.sockets.contains_key(&fd) {
            return Outcome::Error("EBADF");
        }
        let outcome = match name.as_str() {
            "bind" => Outcome::Done(0),
            "listen" => self.listen(fd, progress),
            "accept" => self.accept(fd, progress),
            "connect" => self.connect(fd, progress),
            "read" => self.read(fd, progress.number(2), false),
            "recv" | "recvfrom" => self.receive(fd, progress),
            "write" => self.write(fd, progress.number(2), progress, false),
            "send" | "sendto" => self.send(fd, progress),
            "close" => self.close(fd),
            "shutdown" => self.shutdown(fd, progress),
            "fcntl" => self.fcntl(fd, progress),
            "setsockopt" => self.set_option(fd, progress),
            "getsockopt" => self.get_option(fd, progress),
            _ => Outcome::Unsupported(format!("call `{name}`")),
        };
        self.machine.settle();
        outcome
    }

    fn socket(&mut self, progress: &Progress) -> Outcome {
        let Some(fd) = progress.call.result.filter(|fd| *fd >= 0) else {
            return Outcome::Unsupported("a `socket` call that is to fail".to_string());
        };
        if progress.has(1, "SOCK_DGRAM") {
            return Outcome::Unsupported("SOCK_DGRAM".to_string());
        }
        self.flow = None;
        self.listening = false;
        self.sockets.insert(fd, Socket::fresh(&self.setup, progress.has(1, "SOCK_NONBLOCK")));
        Outcome::Done(fd)
    }

    fn listen(&mut self, fd: i64, progress: &Progress) -> Outcome {
        let Some(socket) = self.sockets.get_mut(&fd) else { return Outcome::Error("EBADF") };
        let profile = Profile { settings: socket.settings, ..Profile::default() };
        let backlog = u32::try_from(progress.number(1)).unwrap_or(128);
        let listen = Listen { local: None, port: Some(PORT), backlog, profile };
        match self.machine.shard.listen(&listen) {
            Ok(listener) => {
                socket.kind = Kind::Listening(listener);
                self.listening = true;
                Outcome::Done(0)
            }
            Err(_) => Outcome::Error("EADDRINUSE"),
        }
    }

    fn accept(&mut self, fd: i64, progress: &Progress) -> Outcome {
        let Some(socket) = self.sockets.get(&fd) else { return Outcome::Error("EBADF") };
        let Kind::Listening(listener) = socket.kind else { return Outcome::Error("EINVAL") };
        let (nonblocking, parent) = (socket.nonblocking, socket.clone());
        let Some(conn) = self.machine.shard.accept(listener) else {
            return if nonblocking { Outcome::Error("EAGAIN") } else { Outcome::Blocked };
        };
        let new_fd = progress.call.result.filter(|fd| *fd >= 0).unwrap_or(i64::MAX);
        let child =
            Socket { kind: Kind::Connected(conn), nonblocking: false, told: false, ..parent };
        self.sockets.insert(new_fd, child);
        Outcome::Done(new_fd)
    }

    fn connect(&mut self, fd: i64, progress: &mut Progress) -> Outcome {
        let Some(socket) = self.sockets.get(&fd) else { return Outcome::Error("EBADF") };
        let nonblocking = socket.nonblocking;
        let Some(conn) = socket.connection() else { return self.begin_connect(fd, progress) };
        let state = self.state(conn);
        if let Some(error) = self.take_error(fd) {
            return Outcome::Error(error);
        }
        match state {
            StateName::SynSent | StateName::SynReceived if progress.begun && !nonblocking => {
                Outcome::Blocked
            }
            StateName::SynSent | StateName::SynReceived => Outcome::Error("EALREADY"),
            _ if progress.begun => Outcome::Done(0),
            _ => Outcome::Error("EISCONN"),
        }
    }

    fn begin_connect(&mut self, fd: i64, progress: &mut Progress) -> Outcome {
        self.new_flow(true);
        let local_port = self.flow.as_ref().map(|flow| flow.local.1);
        let Some(socket) = self.sockets.get_mut(&fd) else { return Outcome::Error("EBADF") };
        let connect = Connect {
            remote: self.setup.remote,
            remote_port: PORT,
            local: Some(self.setup.local),
            local_port,
            profile: Profile { settings: socket.settings, ..Profile::default() },
        };
        match self.machine.shard.connect(self.machine.now, &connect) {
            Ok(conn) => {
                socket.kind = Kind::Connected(conn);
                progress.begun = true;
                if socket.nonblocking { Outcome::Error("EINPROGRESS") } else { Outcome::Blocked }
            }
            Err(error) => Outcome::Unsupported(format!("connect: {error:?}")),
        }
    }

    fn state(&self, conn: ConnId) -> StateName {
        let info = self.machine.shard.info(self.machine.now, conn);
        info.map_or(StateName::Closed, |info| info.state)
    }

    /// The error of a connection that ended, told once.
    fn take_error(&mut self, fd: i64) -> Option<&'static str> {
        let socket = self.sockets.get_mut(&fd)?;
        let reason = self.machine.over.get(&socket.connection()?)?;
        if core::mem::replace(&mut socket.told, true) { None } else { errno_of(*reason) }
    }

    fn receive(&mut self, fd: i64, progress: &Progress) -> Outcome {
        match progress.call.args.get(3) {
            Some(Arg::Number(0)) | None => self.read(fd, progress.number(2), false),
            Some(flags) if flags.has("MSG_DONTWAIT") => self.read(fd, progress.number(2), true),
            _ => Outcome::Unsupported("flags of `recv`".to_string()),
        }
    }

    fn read(&mut self, fd: i64, most: i64, dont_wait: bool) -> Outcome {
        let Some(socket) = self.sockets.get(&fd) else { return Outcome::Error("EBADF") };
        let Some(conn) = socket.connection() else { return Outcome::Error("ENOTCONN") };
        let nonblocking = socket.nonblocking || dont_wait;
        let mut buffer = vec![0; most.clamp(0, 1 << 26) as usize];
        let mut total = 0;
        while total < buffer.len() {
            match self.machine.shard.read(self.machine.now, conn, &mut buffer[total..]) {
                Ok(Read::Data(count)) => total += count,
                Ok(Read::Nothing) if total == 0 && nonblocking => return Outcome::Error("EAGAIN"),
                Ok(Read::Nothing) if total == 0 => return Outcome::Blocked,
                Ok(Read::Nothing | Read::End) => break,
                Err(_) if total > 0 => break,
                Err(_) => return self.take_error(fd).map_or(Outcome::Done(0), Outcome::Error),
            }
        }
        if buffer[..total].iter().any(|octet| *octet != 0) {
            return Outcome::Differs("data read is not what was sent".to_string());
        }
        Outcome::Done(total as i64)
    }

    fn send(&mut self, fd: i64, progress: &mut Progress) -> Outcome {
        let flags = match progress.call.args.get(3) {
            Some(Arg::Names(names)) => names.clone(),
            Some(Arg::Number(0)) | None => Vec::new(),
            _ => return Outcome::Unsupported("flags of `send`".to_string()),
        };
        let known = ["MSG_DONTWAIT", "MSG_NOSIGNAL"];
        if let Some(other) = flags.iter().find(|flag| !known.contains(&flag.as_str())) {
            return Outcome::Unsupported(format!("`{other}`"));
        }
        let dont_wait = flags.iter().any(|flag| flag == "MSG_DONTWAIT");
        self.write(fd, progress.number(2), progress, dont_wait)
    }

    fn write(&mut self, fd: i64, count: i64, progress: &mut Progress, dont_wait: bool) -> Outcome {
        let Some(socket) = self.sockets.get(&fd) else { return Outcome::Error("EBADF") };
        let Some(conn) = socket.connection() else { return Outcome::Error("EPIPE") };
        let nonblocking = socket.nonblocking || dont_wait;
        let count = count.clamp(0, 1 << 26) as usize;
        let zeros = vec![0; count.saturating_sub(progress.done)];
        match self.machine.shard.write(self.machine.now, conn, &zeros) {
            Ok(taken) => progress.done += taken,
            Err(ConnError::Ended(_)) => {
                return Outcome::Error(self.take_error(fd).unwrap_or("EPIPE"));
            }
            Err(_) => return Outcome::Error("EPIPE"),
        }
        if progress.done == count || nonblocking && progress.done > 0 {
            return Outcome::Done(progress.done as i64);
        }
        if nonblocking { Outcome::Error("EAGAIN") } else { Outcome::Blocked }
    }

    fn close(&mut self, fd: i64) -> Outcome {
        let Some(socket) = self.sockets.remove(&fd) else { return Outcome::Error("EBADF") };
        let now = self.machine.now;
        match socket.kind {
            Kind::Fresh => {}
            Kind::Listening(listener) => self.machine.shard.close_listener(now, listener),
            Kind::Connected(conn) if socket.linger_zero => self.machine.shard.abort(now, conn),
            Kind::Connected(conn) => {
                // A connection that ended by itself may have no record any more: closed either way.
                let _ = self.machine.shard.close(now, conn);
            }
        }
        Outcome::Done(0)
    }

    fn shutdown(&mut self, fd: i64, progress: &Progress) -> Outcome {
        let conn = self.sockets.get(&fd).and_then(Socket::connection);
        let Some(conn) = conn else { return Outcome::Error("ENOTCONN") };
        if !progress.has(1, "SHUT_WR") {
            return Outcome::Unsupported("`shutdown` of the receiving side".to_string());
        }
        match self.machine.shard.shutdown_write(self.machine.now, conn) {
            Ok(()) => Outcome::Done(0),
            Err(_) => Outcome::Error("ENOTCONN"),
        }
    }

    fn fcntl(&mut self, fd: i64, progress: &Progress) -> Outcome {
        let Some(socket) = self.sockets.get_mut(&fd) else { return Outcome::Error("EBADF") };
        if progress.has(1, "F_GETFL") {
            // O_RDWR, O_NONBLOCK
            return Outcome::Done(if socket.nonblocking { 0x802 } else { 2 });
        }
        if progress.has(1, "F_SETFL") {
            socket.nonblocking = progress.has(2, "O_NONBLOCK");
            return Outcome::Done(0);
        }
        Outcome::Unsupported("command of `fcntl`".to_string())
    }

    fn set_option(&mut self, fd: i64, progress: &Progress) -> Outcome {
        let Some(socket) = self.sockets.get_mut(&fd) else { return Outcome::Error("EBADF") };
        let Some(Arg::Names(names)) = progress.call.args.get(2) else {
            return Outcome::Unsupported("a socket option without a name".to_string());
        };
        let name = names.first().map_or("", String::as_str);
        let arg = progress.call.args.get(3);
        match effect_of(name) {
            None => Outcome::Unsupported(format!("socket option `{name}`")),
            Some(Effect::Nothing) => Outcome::Done(0),
            Some(Effect::Linger) => {
                let Some(Arg::Record(fields)) = arg else {
                    return Outcome::Unsupported("SO_LINGER without {onoff=…}".to_string());
                };
                let field = |name: &str| {
                    let mut all = fields.iter();
                    all.find(|(key, _)| key.ends_with(name)).and_then(|(_, arg)| arg.number())
                };
                socket.linger_zero = field("onoff") == Some(1) && field("linger") == Some(0);
                Outcome::Done(0)
            }
            Some(Effect::Settings(change)) => {
                let Some(value) = arg.and_then(value_in) else {
                    return Outcome::Unsupported(format!("the value of `{name}`"));
                };
                change(&mut socket.settings, value);
                if let Some(conn) = socket.connection() {
                    let now = self.machine.now;
                    let changed =
                        self.machine.shard.set_option(now, conn, |all| change(all, value));
                    if changed.is_err() {
                        return Outcome::Error("EINVAL");
                    }
                }
                Outcome::Done(0)
            }
        }
    }

    fn get_option(&mut self, fd: i64, progress: &Progress) -> Outcome {
        let Some(Arg::Names(names)) = progress.call.args.get(2) else {
            return Outcome::Unsupported("a socket option without a name".to_string());
        };
        let name = names.first().map_or("", String::as_str);
        let Some(wanted) = progress.call.args.get(3).and_then(value_in_or_name) else {
            return Outcome::Unsupported(format!("the value of `{name}`"));
        };
        let value = if name == "SO_ERROR" {
            Some(self.take_error(fd).unwrap_or("0").to_string())
        } else {
            let Some(socket) = self.sockets.get(&fd) else { return Outcome::Error("EBADF") };
            let live = socket.connection().and_then(|conn| self.machine.shard.settings(conn).ok());
            value_of(name, socket, &live.unwrap_or(socket.settings)).map(|value| value.to_string())
        };
        match value {
            None => Outcome::Unsupported(format!("socket option `{name}`")),
            Some(value) if value == wanted => Outcome::Done(0),
            Some(value) => Outcome::Differs(format!("{name}: expected {wanted}, got {value}")),
        }
    }

    fn poll(&mut self, progress: &mut Progress) -> Outcome {
        let Some(Arg::List(list)) = progress.call.args.first().cloned() else {
            return Outcome::Unsupported("`poll` without a list".to_string());
        };
        let wait = progress.number(2);
        if progress.deadline.is_none() && wait >= 0 {
            progress.deadline = Some(self.machine.now + Span::from_millis(wait as u64));
        }
        let mut ready = 0;
        let mut differs = Vec::new();
        for record in &list {
            let Arg::Record(fields) = record else {
                return Outcome::Unsupported("a form of `poll`".to_string());
            };
            let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, arg)| arg);
            let fd = field("fd").and_then(Arg::number).unwrap_or(-1);
            let mut got = self.ready(fd);
            let asked = |bit: &str| field("events").is_some_and(|events| events.has(bit));
            got.retain(|bit| asked(bit) || ["POLLERR", "POLLHUP"].contains(bit));
            ready += i64::from(!got.is_empty());
            let mut wanted: Vec<&str> = match field("revents") {
                Some(Arg::Names(names)) => names.iter().map(String::as_str).collect(),
                _ => Vec::new(),
            };
            wanted.sort_unstable();
            got.sort_unstable();
            if wanted != got && field("revents").is_some_and(|arg| *arg != Arg::Ellipsis) {
                differs.push(format!("revents of {fd}: expected {wanted:?}, got {got:?}"));
            }
        }
        let over = progress.deadline.is_some_and(|deadline| deadline <= self.machine.now);
        if ready == 0 && !over {
            return Outcome::Blocked;
        }
        if differs.is_empty() { Outcome::Done(ready) } else { Outcome::Differs(differs.join("; ")) }
    }

    /// What a descriptor is ready for, as `poll` names it.
    fn ready(&self, fd: i64) -> Vec<&'static str> {
        let Some(socket) = self.sockets.get(&fd) else { return vec!["POLLNVAL"] };
        let shard = &self.machine.shard;
        match socket.kind {
            Kind::Fresh => vec!["POLLOUT", "POLLHUP"],
            Kind::Listening(listener) => {
                let waiting = shard.listener_info(listener).is_some_and(|info| info.waiting > 0);
                if waiting { vec!["POLLIN"] } else { Vec::new() }
            }
            Kind::Connected(conn) => {
                let state = self.state(conn);
                let peer_done = matches!(
                    state,
                    StateName::CloseWait
                        | StateName::Closing
                        | StateName::LastAck
                        | StateName::TimeWait
                        | StateName::Closed
                );
                let mut out = Vec::new();
                if peer_done || shard.readable_octets(conn).is_ok_and(|(count, _)| count > 0) {
                    out.push("POLLIN");
                }
                let over = self.machine.over.get(&conn);
                if over.is_some() || shard.send_room(conn).is_ok_and(|room| room > 0) {
                    out.push("POLLOUT");
                }
                if peer_done {
                    out.push("POLLRDHUP");
                }
                if over.is_some() {
                    out.push("POLLHUP");
                }
                if over.is_some_and(|why| errno_of(*why).is_some()) && !socket.told {
                    out.push("POLLERR");
                }
                out
            }
        }
    }
}

/// A value to compare with: a number, or the name of an error.
pub(crate) fn value_in_or_name(arg: &Arg) -> Option<String> {
    match arg {
        Arg::List(list) => list.first().and_then(value_in_or_name),
        Arg::Number(number) => Some(number.to_string()),
        Arg::Names(names) => names.first().cloned(),
        _ => None,
    }
}
