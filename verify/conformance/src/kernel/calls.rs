//! Calls of a script as calls of the kernel. Owns: descriptors as the script names them, what each
//! argument becomes, which calls may wait. Must not know: when a call is made, whether its result
//! is the expected one.

use super::{epoll, sockopt};
use crate::arguments::{Missing, fields, flag, number, socket_type};
use crate::call::Outcome;
use crate::options::Setup;
use crate::posix::errno;
use crate::posix::names as n;
use crate::script::{Arg, Call};
use core::net::{IpAddr, SocketAddr};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket as net;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, SockaddrStorage};
use std::collections::HashMap;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;

/// Calls on a descriptor that are known.
const CALLS: [&str; 19] = [
    "accept",
    "bind",
    "close",
    "connect",
    "epoll_ctl",
    "epoll_wait",
    "fcntl",
    "getsockopt",
    "listen",
    "read",
    "readv",
    "recv",
    "recvfrom",
    "send",
    "sendto",
    "setsockopt",
    "shutdown",
    "write",
    "writev",
];
/// Longest read or write, octets.
const MOST_OCTETS: i64 = 1 << 26;
/// The congestion control that scripts are about, unless they name one.
const CUBIC: &str = "cubic";
pub(super) fn error(errno: Errno) -> Outcome {
    Outcome::Error(errno::Errno(errno as i32))
}

pub(super) fn plain(result: nix::Result<()>) -> Outcome {
    result.map_or_else(error, |()| Outcome::Done(0))
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
    /// readv: octets of each buffer
    ReadVector(Arc<OwnedFd>, Vec<usize>),
    /// writev: octets of each buffer
    WriteVector(Arc<OwnedFd>, Vec<usize>),
    /// epoll_wait
    Epoll(epoll::Wait),
    /// poll: what is asked and expected, and the timeout
    Poll(Vec<Asked>, PollTimeout),
}

/// One descriptor of a poll.
pub struct Asked {
    file: Arc<OwnedFd>,
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
            Waiting::ReadVector(file, sizes) => {
                let mut memory: Vec<Vec<u8>> = sizes.iter().map(|size| vec![0; *size]).collect();
                let mut parts: Vec<_> =
                    memory.iter_mut().map(|part| IoSliceMut::new(part)).collect();
                count(nix::sys::uio::readv(file.as_fd(), &mut parts))
            }
            Waiting::WriteVector(file, sizes) => {
                let memory: Vec<Vec<u8>> = sizes.iter().map(|size| vec![0; *size]).collect();
                let parts: Vec<_> = memory.iter().map(|part| IoSlice::new(part)).collect();
                count(nix::sys::uio::writev(file.as_fd(), &parts))
            }
            Waiting::Epoll(wait) => wait.perform().into(),
            Waiting::Poll(asked, timeout) => polled(&asked, timeout).into(),
        }
    }
}

fn polled(asked: &[Asked], timeout: PollTimeout) -> Outcome {
    let mut all: Vec<PollFd<'_>> =
        asked.iter().map(|one| PollFd::new(one.file.as_fd(), one.events)).collect();
    let ready = match poll(&mut all, timeout) {
        Ok(ready) => i64::from(ready),
        Err(errno) => return error(errno),
    };
    let differs: Vec<String> = asked
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
    let prepared = match call.name.as_str() {
        "socket" => socket(call, files, setup).map(Kind::Now),
        "poll" => poll_call(call, files),
        "epoll_create" => epoll::create(call, files),
        _ => on_descriptor(call, files, setup),
    };
    prepared.unwrap_or_else(|missing| Kind::Now(missing.into()))
}

/// An argument; one that is not written is `...`.
pub(super) fn arg(call: &Call, index: usize) -> &Arg {
    call.args.get(index).unwrap_or(&Arg::Ellipsis)
}

fn on_descriptor(call: &Call, files: &mut Files, setup: &Setup) -> Result<Kind, Missing> {
    if !CALLS.contains(&call.name.as_str()) {
        return Err(Missing(format!("call `{}`", call.name)));
    }
    let numbered = number(arg(call, 0))?;
    let Some(file) = files.get(&numbered).cloned() else {
        return Ok(Kind::Now(Outcome::Error(errno::Errno::EBADF)));
    };
    if flag(arg(call, 1), "NULL") || flag(arg(call, 1), "AF_UNSPEC") {
        return Err(Missing(format!("this form of `{}`", call.name)));
    }
    let peer = SocketAddr::new(setup.remote, setup.connect_port);
    Ok(Kind::Now(match call.name.as_str() {
        "accept" => {
            return Ok(Kind::Later(Waiting::Accept(file, call.result.unwrap_or(i64::MAX))));
        }
        "connect" => return Ok(Kind::Later(Waiting::Connect(file, peer))),
        "read" | "recv" | "recvfrom" | "write" | "send" | "sendto" => {
            return moved(call, file).map(Kind::Later);
        }
        "readv" => return vector(call, file, Waiting::ReadVector),
        "writev" => return vector(call, file, Waiting::WriteVector),
        "epoll_ctl" => epoll::control(call, &file, files)?,
        "epoll_wait" => return epoll::prepare(call, &file).map(Kind::Later),
        "bind" => bind(&file, SocketAddr::new(setup.local, setup.bind_port)),
        "listen" => {
            let backlog = net::Backlog::new(number(arg(call, 1))?.clamp(0, 4096) as i32);
            backlog.map_or_else(error, |backlog| plain(net::listen(&file.as_fd(), backlog)))
        }
        "close" => {
            drop(file);
            files.remove(&numbered);
            Outcome::Done(0)
        }
        "shutdown" => plain(net::shutdown(
            file.as_raw_fd(),
            match number(arg(call, 1))? {
                n::SHUT_RD => net::Shutdown::Read,
                n::SHUT_WR => net::Shutdown::Write,
                n::SHUT_RDWR => net::Shutdown::Both,
                other => return Err(Missing(format!("`shutdown` by {other}"))),
            },
        )),
        "fcntl" => control(call, &file)?,
        "setsockopt" => sockopt::set(call, &file)?,
        "getsockopt" => sockopt::compare(call, &file)?,
        name => return Err(Missing(format!("call `{name}`"))),
    }))
}

/// Binds to an address; also what the driver does before an active open.
pub fn bind(file: &OwnedFd, to: SocketAddr) -> Outcome {
    plain(net::bind(file.as_raw_fd(), &SockaddrStorage::from(to)))
}

fn socket(call: &Call, files: &mut Files, setup: &Setup) -> Result<Outcome, Missing> {
    let Some(numbered) = call.result.filter(|numbered| *numbered >= 0) else {
        return Err(Missing("a `socket` call that is to fail".to_string()));
    };
    let kind = socket_type(arg(call, 1))?;
    if kind & !(n::SOCK_NONBLOCK | n::SOCK_CLOEXEC) != n::SOCK_STREAM {
        return Err(Missing("sockets that are no streams".to_string()));
    }
    let family = match setup.local {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    let nonblocking = kind & n::SOCK_NONBLOCK != 0;
    let flags = if nonblocking { SockFlag::SOCK_NONBLOCK } else { SockFlag::empty() };
    let file = match net::socket(family, SockType::Stream, flags, None) {
        Ok(file) => file,
        Err(errno) => return Ok(error(errno)),
    };
    // A namespace may not choose what the system's administrator did not allow; a socket of root
    // may, and what it accepts has the same.
    if let Err(errno) = net::setsockopt(&file, net::sockopt::TcpCongestion, &CUBIC.into()) {
        return Err(Missing(format!("{CUBIC}: {errno}")));
    }
    files.insert(numbered, Arc::new(file));
    Ok(Outcome::Done(numbered))
}

/// Calls with a vector of buffers.
fn vector(
    call: &Call,
    file: Arc<OwnedFd>,
    make: fn(Arc<OwnedFd>, Vec<usize>) -> Waiting,
) -> Result<Kind, Missing> {
    let all = crate::messages::vector(arg(call, 1))?;
    if all.iter().any(|one| !one.good) {
        return Err(Missing(format!("this form of `{}`", call.name)));
    }
    Ok(Kind::Later(make(file, all.iter().map(|one| one.octets).collect())))
}

/// Calls that move octets.
fn moved(call: &Call, file: Arc<OwnedFd>) -> Result<Waiting, Missing> {
    let octets = number(arg(call, 2))?.clamp(0, MOST_OCTETS) as usize;
    let flags = match call.name.as_str() {
        "read" | "write" => None,
        _ => Some(MsgFlags::from_bits_retain(number(arg(call, 3))? as i32)),
    };
    if flags.is_some_and(|flags| flags.bits() & n::MSG_FASTOPEN as i32 != 0) {
        return Err(Missing("`MSG_FASTOPEN` in real time".to_string()));
    }
    Ok(match call.name.as_str() {
        "read" | "recv" | "recvfrom" => Waiting::Read(file, octets, flags),
        _ => Waiting::Write(file, octets, flags),
    })
}

fn poll_call(call: &Call, files: &Files) -> Result<Kind, Missing> {
    let Arg::List(list) = arg(call, 0) else {
        return Err(Missing("`poll` without a list".to_string()));
    };
    let flags = |arg: &Arg| Ok(PollFlags::from_bits_retain(number(arg)? as i16));
    let mut asked = Vec::new();
    for record in list {
        let field = fields(record)?;
        let (numbered, revents) = (number(field("fd"))?, field("revents"));
        let Some(file) = files.get(&numbered).cloned() else {
            return Err(Missing("`poll` of a descriptor that is not open".to_string()));
        };
        let expected = if *revents == Arg::Ellipsis { None } else { Some(flags(revents)?) };
        asked.push(Asked { file, number: numbered, events: flags(field("events"))?, expected });
    }
    let wait = i32::try_from(number(arg(call, 2))?).ok();
    let timeout = wait.and_then(|wait| PollTimeout::try_from(wait).ok());
    Ok(Kind::Later(Waiting::Poll(asked, timeout.unwrap_or(PollTimeout::NONE))))
}

fn control(call: &Call, file: &OwnedFd) -> Result<Outcome, Missing> {
    let argument = match number(arg(call, 1))? {
        n::F_GETFL => FcntlArg::F_GETFL,
        n::F_SETFL => FcntlArg::F_SETFL(OFlag::from_bits_retain(number(arg(call, 2))? as i32)),
        other => return Err(Missing(format!("command {other} of `fcntl`"))),
    };
    Ok(fcntl(file, argument).map_or_else(error, |value| Outcome::Done(i64::from(value))))
}
