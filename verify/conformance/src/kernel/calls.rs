//! Calls of a script as calls of the kernel. Owns: descriptors as the script names them, what each
//! argument becomes, which calls may wait. Must not know: when a call is made, whether its result
//! is the expected one.

use crate::call::Outcome;
use crate::options::{PORT, Setup};
use crate::script::{Arg, Call};
use core::net::{IpAddr, SocketAddr};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket as net;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, SockaddrStorage, sockopt};
use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;

/// Longest read or write, octets.
const MOST_OCTETS: i64 = 1 << 26;
/// The congestion control that scripts are about, unless they name one.
const CUBIC: &str = "cubic";
/// Errors that scripts name.
const ERRORS: [(Errno, &str); 26] = [
    (Errno::EAGAIN, "EAGAIN"),
    (Errno::EALREADY, "EALREADY"),
    (Errno::EADDRINUSE, "EADDRINUSE"),
    (Errno::EADDRNOTAVAIL, "EADDRNOTAVAIL"),
    (Errno::EBADF, "EBADF"),
    (Errno::ECONNABORTED, "ECONNABORTED"),
    (Errno::ECONNREFUSED, "ECONNREFUSED"),
    (Errno::ECONNRESET, "ECONNRESET"),
    (Errno::EFAULT, "EFAULT"),
    (Errno::EHOSTUNREACH, "EHOSTUNREACH"),
    (Errno::EINPROGRESS, "EINPROGRESS"),
    (Errno::EINTR, "EINTR"),
    (Errno::EINVAL, "EINVAL"),
    (Errno::EISCONN, "EISCONN"),
    (Errno::EMSGSIZE, "EMSGSIZE"),
    (Errno::ENETUNREACH, "ENETUNREACH"),
    (Errno::ENOBUFS, "ENOBUFS"),
    (Errno::ENOMEM, "ENOMEM"),
    (Errno::ENOPROTOOPT, "ENOPROTOOPT"),
    (Errno::ENOTCONN, "ENOTCONN"),
    (Errno::EOPNOTSUPP, "EOPNOTSUPP"),
    (Errno::EPERM, "EPERM"),
    (Errno::EPIPE, "EPIPE"),
    (Errno::EPROTO, "EPROTO"),
    (Errno::ETIMEDOUT, "ETIMEDOUT"),
    (Errno::EDESTADDRREQ, "EDESTADDRREQ"),
];

fn error(errno: Errno) -> Outcome {
    match ERRORS.iter().find(|(one, _)| *one == errno) {
        Some((_, name)) => Outcome::Error(name),
        None => Outcome::Differs(format!("error {errno}")),
    }
}

fn plain(result: nix::Result<()>) -> Outcome {
    result.map_or_else(error, |()| Outcome::Done(0))
}

fn unsupported(what: impl Into<String>) -> Outcome {
    Outcome::Unsupported(what.into())
}

/// Descriptors by the script's number.
pub type Files = HashMap<i64, Arc<OwnedFd>>;

/// A call that may wait, with what it needs: it is made on another thread.
pub enum Waiting {
    /// accept
    Accept(Arc<OwnedFd>, i64),
    /// connect, with where to
    Connect(Arc<OwnedFd>, SocketAddr),
    /// read, recv and theirs: most octets, flags
    Read(Arc<OwnedFd>, usize, Option<MsgFlags>),
    /// write, send and theirs: octets, flags
    Write(Arc<OwnedFd>, usize, Option<MsgFlags>),
    /// poll: what is asked and expected, and the timeout
    Poll(Vec<Asked>, PollTimeout),
}

/// One descriptor of a poll.
pub struct Asked {
    file: Option<Arc<OwnedFd>>,
    number: i64,
    events: PollFlags,
    /// `None`: anything.
    expected: Option<PollFlags>,
}

/// What a call is.
pub enum Kind {
    /// Over already.
    Now(Outcome),
    /// May wait.
    Later(Waiting),
}

/// What a call that may wait came to; an accepted descriptor goes by the script's number.
pub struct Answer {
    /// The result.
    pub outcome: Outcome,
    /// A new descriptor.
    pub made: Option<(i64, OwnedFd)>,
}

impl From<Outcome> for Answer {
    fn from(outcome: Outcome) -> Answer {
        Answer { outcome, made: None }
    }
}

impl Waiting {
    /// Makes the call. It may take as long as the kernel likes.
    pub fn perform(self) -> Answer {
        let count = |result: nix::Result<usize>| {
            result.map_or_else(error, |count| Outcome::Done(count as i64)).into()
        };
        match self {
            Waiting::Accept(file, number) => match net::accept4(file.as_fd(), SockFlag::empty()) {
                Ok(made) => Answer { outcome: Outcome::Done(number), made: Some((number, made)) },
                Err(errno) => error(errno).into(),
            },
            Waiting::Connect(file, to) => {
                plain(net::connect(file.as_raw_fd(), &SockaddrStorage::from(to))).into()
            }
            Waiting::Read(file, most, flags) => {
                let mut buffer = vec![0; most];
                let result = match flags {
                    None => nix::unistd::read(file.as_fd(), &mut buffer),
                    Some(flags) => net::recv(file.as_raw_fd(), &mut buffer, flags),
                };
                if let Ok(got) = result
                    && buffer.iter().take(got).any(|octet| *octet != 0)
                {
                    return Outcome::Differs("data read is not what was sent".to_string()).into();
                }
                count(result)
            }
            Waiting::Write(file, octets, flags) => {
                let zeros = vec![0; octets];
                count(match flags {
                    None => nix::unistd::write(file.as_fd(), &zeros),
                    Some(flags) => net::send(file.as_raw_fd(), &zeros, flags),
                })
            }
            Waiting::Poll(asked, timeout) => polled(&asked, timeout).into(),
        }
    }
}

fn polled(asked: &[Asked], timeout: PollTimeout) -> Outcome {
    let known: Vec<&Asked> = asked.iter().filter(|one| one.file.is_some()).collect();
    let mut all: Vec<PollFd<'_>> = known
        .iter()
        .filter_map(|one| Some(PollFd::new(one.file.as_ref()?.as_fd(), one.events)))
        .collect();
    let ready = match poll(&mut all, timeout) {
        Ok(ready) => i64::from(ready),
        Err(errno) => return error(errno),
    };
    let differs: Vec<String> = known
        .iter()
        .zip(&all)
        .filter_map(|(one, got)| {
            let (expected, got) = (one.expected?, got.revents()?);
            let number = one.number;
            (expected != got)
                .then(|| format!("revents of {number}: expected {expected:?}, got {got:?}"))
        })
        .collect();
    if differs.is_empty() { Outcome::Done(ready) } else { Outcome::Differs(differs.join("; ")) }
}

/// The call `call` on the descriptors `files`.
pub fn prepare(call: &Call, files: &mut Files, setup: &Setup) -> Kind {
    match call.name.as_str() {
        "socket" => return Kind::Now(socket(call, files, setup)),
        "poll" => return poll_call(call, files),
        _ => {}
    }
    let Some(number) = call.args.first().and_then(Arg::number) else {
        return Kind::Now(unsupported(format!("this form of `{}`", call.name)));
    };
    let Some(file) = files.get(&number).cloned() else {
        return Kind::Now(Outcome::Error("EBADF"));
    };
    if call.args.get(1).is_some_and(|arg| arg.has("NULL") || arg.has("AF_UNSPEC")) {
        return Kind::Now(unsupported(format!("this form of `{}`", call.name)));
    }
    Kind::Now(match call.name.as_str() {
        "accept" => {
            return Kind::Later(Waiting::Accept(file, call.result.unwrap_or(i64::MAX)));
        }
        "connect" => {
            return Kind::Later(Waiting::Connect(file, SocketAddr::new(setup.remote, PORT)));
        }
        "read" | "recv" | "recvfrom" | "write" | "send" | "sendto" => return moved(call, file),
        "bind" => bind(&file, SocketAddr::new(setup.local, PORT)),
        "listen" => {
            let backlog = call.args.get(1).and_then(Arg::number).unwrap_or(128);
            match net::Backlog::new(backlog.clamp(0, 4096) as i32) {
                Ok(backlog) => plain(net::listen(&file.as_fd(), backlog)),
                Err(errno) => error(errno),
            }
        }
        "close" => {
            drop(file);
            files.remove(&number);
            Outcome::Done(0)
        }
        "shutdown" => {
            let has = |name: &str| call.args.get(1).is_some_and(|arg| arg.has(name));
            let how = match (has("SHUT_RD"), has("SHUT_WR"), has("SHUT_RDWR")) {
                (true, ..) => net::Shutdown::Read,
                (_, true, _) => net::Shutdown::Write,
                _ => net::Shutdown::Both,
            };
            plain(net::shutdown(file.as_raw_fd(), how))
        }
        "fcntl" => control(call, &file),
        "setsockopt" => set_option(call, &file),
        "getsockopt" => get_option(call, &file),
        name => unsupported(format!("call `{name}`")),
    })
}

/// Binds to an address; also what the driver does before an active open.
pub fn bind(file: &OwnedFd, to: SocketAddr) -> Outcome {
    plain(net::bind(file.as_raw_fd(), &SockaddrStorage::from(to)))
}

fn socket(call: &Call, files: &mut Files, setup: &Setup) -> Outcome {
    let Some(number) = call.result.filter(|number| *number >= 0) else {
        return unsupported("a `socket` call that is to fail");
    };
    if call.args.get(1).is_some_and(|arg| arg.has("SOCK_DGRAM")) {
        return unsupported("SOCK_DGRAM");
    }
    let family = match setup.local {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    let nonblocking = call.args.get(1).is_some_and(|arg| arg.has("SOCK_NONBLOCK"));
    let flags = if nonblocking { SockFlag::SOCK_NONBLOCK } else { SockFlag::empty() };
    match net::socket(family, SockType::Stream, flags, None) {
        Ok(file) => {
            // A namespace may not choose what the system's administrator did not allow; a socket of
            // root may, and what it accepts has the same.
            if let Err(errno) = net::setsockopt(&file, sockopt::TcpCongestion, &CUBIC.into()) {
                return unsupported(format!("{CUBIC}: {errno}"));
            }
            files.insert(number, Arc::new(file));
            Outcome::Done(number)
        }
        Err(errno) => error(errno),
    }
}

/// Calls that move octets.
fn moved(call: &Call, file: Arc<OwnedFd>) -> Kind {
    let octets = call.args.get(2).and_then(Arg::number).unwrap_or(0);
    let octets = octets.clamp(0, MOST_OCTETS) as usize;
    let flags = if matches!(call.name.as_str(), "read" | "write") {
        None
    } else {
        match message_flags(call.args.get(3)) {
            Ok(flags) => Some(flags),
            Err(what) => return Kind::Now(unsupported(format!("`{what}`"))),
        }
    };
    Kind::Later(if matches!(call.name.as_str(), "read" | "recv" | "recvfrom") {
        Waiting::Read(file, octets, flags)
    } else {
        Waiting::Write(file, octets, flags)
    })
}

fn message_flags(arg: Option<&Arg>) -> Result<MsgFlags, String> {
    let mut out = MsgFlags::empty();
    let names = match arg {
        None | Some(Arg::Number(0)) => return Ok(out),
        Some(Arg::Names(names)) => names,
        Some(other) => return Err(format!("{other:?}")),
    };
    for name in names {
        out |= MsgFlags::from_name(name).ok_or_else(|| name.clone())?;
    }
    Ok(out)
}

fn poll_call(call: &Call, files: &Files) -> Kind {
    let Some(Arg::List(list)) = call.args.first() else {
        return Kind::Now(unsupported("`poll` without a list"));
    };
    let mut asked = Vec::new();
    for record in list {
        let Arg::Record(fields) = record else {
            return Kind::Now(unsupported("a form of `poll`"));
        };
        let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, arg)| arg);
        let number = field("fd").and_then(Arg::number).unwrap_or(-1);
        let (events, expected) = (field("events"), field("revents"));
        let events = events.and_then(poll_flags).unwrap_or(PollFlags::empty());
        let expected = expected.and_then(poll_flags);
        asked.push(Asked { file: files.get(&number).cloned(), number, events, expected });
    }
    if asked.iter().any(|one| one.file.is_none()) {
        return Kind::Now(unsupported("`poll` of a descriptor that is not open"));
    }
    let wait = call.args.get(2).and_then(Arg::number).unwrap_or(0);
    let timeout = i32::try_from(wait).ok().and_then(|wait| PollTimeout::try_from(wait).ok());
    Kind::Later(Waiting::Poll(asked, timeout.unwrap_or(PollTimeout::NONE)))
}

fn poll_flags(arg: &Arg) -> Option<PollFlags> {
    match arg {
        Arg::Number(0) => Some(PollFlags::empty()),
        Arg::Names(names) => names.iter().map(|name| PollFlags::from_name(name)).collect(),
        _ => None,
    }
}

fn control(call: &Call, file: &OwnedFd) -> Outcome {
    let has = |index: usize, name: &str| call.args.get(index).is_some_and(|arg| arg.has(name));
    let argument = if has(1, "F_GETFL") {
        FcntlArg::F_GETFL
    } else if has(1, "F_SETFL") {
        let nonblocking = has(2, "O_NONBLOCK");
        FcntlArg::F_SETFL(if nonblocking { OFlag::O_NONBLOCK } else { OFlag::empty() })
    } else {
        return unsupported("command of `fcntl`");
    };
    fcntl(file, argument).map_or_else(error, |value| Outcome::Done(i64::from(value)))
}

fn option_name(call: &Call) -> Option<&str> {
    match call.args.get(2)? {
        Arg::Names(names) => names.first().map(String::as_str),
        _ => None,
    }
}

fn set_option(call: &Call, file: &OwnedFd) -> Outcome {
    let Some(name) = option_name(call) else {
        return unsupported("a socket option without a name");
    };
    let arg = call.args.get(3);
    if name == "SO_LINGER" {
        let Some(Arg::Record(fields)) = arg else {
            return unsupported("SO_LINGER without {onoff=…}");
        };
        let field = |name: &str| {
            let found = fields.iter().find(|(key, _)| key.ends_with(name));
            found.and_then(|(_, arg)| arg.number()).unwrap_or(0) as i32
        };
        let linger = libc::linger { l_onoff: field("onoff"), l_linger: field("linger") };
        return plain(net::setsockopt(&file, sockopt::Linger, &linger));
    }
    if let (Some(text), "TCP_CONGESTION") = (arg.and_then(text_in), name) {
        return plain(net::setsockopt(&file, sockopt::TcpCongestion, &text.into()));
    }
    let Some(value) = arg.and_then(crate::sockets::value_in) else {
        return unsupported(format!("the value of `{name}`"));
    };
    set_number(name, value, file)
        .map_or_else(|| unsupported(format!("socket option `{name}`")), plain)
}

fn text_in(arg: &Arg) -> Option<&str> {
    match arg {
        Arg::Text(text) => Some(text),
        Arg::List(list) => list.first().and_then(text_in),
        _ => None,
    }
}

fn set_number(name: &str, value: i64, file: &OwnedFd) -> Option<nix::Result<()>> {
    let (yes, number) = (value != 0, value as u32);
    let usual = value as usize;
    let as_error = |result: std::io::Result<()>| {
        result.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))
    };
    let other = socket2::SockRef::from(file);
    Some(match name {
        "SO_REUSEADDR" => net::setsockopt(&file, sockopt::ReuseAddr, &yes),
        "SO_REUSEPORT" => net::setsockopt(&file, sockopt::ReusePort, &yes),
        "SO_KEEPALIVE" => net::setsockopt(&file, sockopt::KeepAlive, &yes),
        "SO_SNDBUF" => net::setsockopt(&file, sockopt::SndBuf, &usual),
        "SO_RCVBUF" => net::setsockopt(&file, sockopt::RcvBuf, &usual),
        "SO_OOBINLINE" => net::setsockopt(&file, sockopt::OobInline, &yes),
        "SO_MARK" => net::setsockopt(&file, sockopt::Mark, &number),
        "TCP_NODELAY" => net::setsockopt(&file, sockopt::TcpNoDelay, &yes),
        "TCP_CORK" => net::setsockopt(&file, sockopt::TcpCork, &yes),
        "TCP_KEEPIDLE" => net::setsockopt(&file, sockopt::TcpKeepIdle, &number),
        "TCP_KEEPINTVL" => net::setsockopt(&file, sockopt::TcpKeepInterval, &number),
        "TCP_KEEPCNT" => net::setsockopt(&file, sockopt::TcpKeepCount, &number),
        "TCP_USER_TIMEOUT" => net::setsockopt(&file, sockopt::TcpUserTimeout, &number),
        "TCP_FASTOPEN_CONNECT" => net::setsockopt(&file, sockopt::TcpFastOpenConnect, &yes),
        "TCP_MAXSEG" => as_error(other.set_tcp_mss(number)),
        "TCP_QUICKACK" => as_error(other.set_tcp_quickack(yes)),
        "TCP_NOTSENT_LOWAT" => as_error(other.set_tcp_notsent_lowat(number)),
        "IP_FREEBIND" => net::setsockopt(&file, sockopt::IpFreebind, &yes),
        "IP_TOS" if is_v6(file) => as_error(other.set_tclass_v6(number)),
        "IP_TOS" => net::setsockopt(&file, sockopt::Ipv4Tos, &(value as i32)),
        "IPV6_TCLASS" => as_error(other.set_tclass_v6(number)),
        "IP_TTL" if is_v6(file) => net::setsockopt(&file, sockopt::Ipv6Ttl, &(value as i32)),
        "IP_TTL" => net::setsockopt(&file, sockopt::Ipv4Ttl, &(value as i32)),
        "IPV6_UNICAST_HOPS" => net::setsockopt(&file, sockopt::Ipv6Ttl, &(value as i32)),
        _ => return None,
    })
}

/// One script fits both families: what it says of IPv4's header is meant of IPv6's too.
fn is_v6(file: &OwnedFd) -> bool {
    let other = socket2::SockRef::from(file);
    other.local_addr().is_ok_and(|address| address.is_ipv6())
}

fn get_option(call: &Call, file: &OwnedFd) -> Outcome {
    let Some(name) = option_name(call) else {
        return unsupported("a socket option without a name");
    };
    let Some(wanted) = call.args.get(3).and_then(crate::call::value_in_or_name) else {
        return unsupported(format!("the value of `{name}`"));
    };
    if name == "SO_ERROR" {
        return match net::getsockopt(&file, sockopt::SocketError) {
            Err(errno) => error(errno),
            Ok(0) if wanted == "0" => Outcome::Done(0),
            Ok(number) => {
                let got = if number == 0 {
                    "0".to_string()
                } else {
                    format!("{:?}", Errno::from_raw(number))
                };
                compared(name, &wanted, &got)
            }
        };
    }
    match number_of(name, file) {
        None => unsupported(format!("socket option `{name}`")),
        Some(Err(errno)) => error(errno),
        Some(Ok(value)) => compared(name, &wanted, &value.to_string()),
    }
}

fn compared(name: &str, wanted: &str, got: &str) -> Outcome {
    if wanted == got {
        return Outcome::Done(0);
    }
    Outcome::Differs(format!("{name}: expected {wanted}, got {got}"))
}

fn number_of(name: &str, file: &OwnedFd) -> Option<nix::Result<i64>> {
    let yes = |result: nix::Result<bool>| result.map(i64::from);
    let number = |result: nix::Result<u32>| result.map(i64::from);
    let as_error = |result: std::io::Result<u32>| {
        let raw = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(0));
        result.map(i64::from).map_err(raw)
    };
    let other = socket2::SockRef::from(file);
    Some(match name {
        "SO_KEEPALIVE" => yes(net::getsockopt(&file, sockopt::KeepAlive)),
        "SO_ACCEPTCONN" => yes(net::getsockopt(&file, sockopt::AcceptConn)),
        "SO_TYPE" => net::getsockopt(&file, sockopt::SockType).map(|kind| kind as i64),
        "SO_SNDBUF" => net::getsockopt(&file, sockopt::SndBuf).map(|value| value as i64),
        "SO_RCVBUF" => net::getsockopt(&file, sockopt::RcvBuf).map(|value| value as i64),
        "TCP_NODELAY" => yes(net::getsockopt(&file, sockopt::TcpNoDelay)),
        "TCP_CORK" => yes(net::getsockopt(&file, sockopt::TcpCork)),
        "TCP_KEEPIDLE" => number(net::getsockopt(&file, sockopt::TcpKeepIdle)),
        "TCP_KEEPINTVL" => number(net::getsockopt(&file, sockopt::TcpKeepInterval)),
        "TCP_KEEPCNT" => number(net::getsockopt(&file, sockopt::TcpKeepCount)),
        "TCP_USER_TIMEOUT" => number(net::getsockopt(&file, sockopt::TcpUserTimeout)),
        "TCP_MAXSEG" => as_error(other.tcp_mss()),
        "TCP_NOTSENT_LOWAT" => as_error(other.tcp_notsent_lowat()),
        _ => return None,
    })
}
