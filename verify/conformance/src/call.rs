//! Calls of a script, as calls of the socket layer. Owns: what the arguments of each call mean, the
//! script's descriptors, the connection under test. Must not know: when a call is made, whether its
//! result is the expected one, what a call does.

use crate::arguments::{Missing, fields, flag, number, octets_of, socket_type, text_of};
use crate::flow::Flow;
use crate::messages::{self, Buffer};
use crate::options::Setup;
use crate::posix::errno::Errno;
use crate::posix::message::Received;
use crate::posix::poll::PollFd;
use crate::posix::{Pending, Posix, Source, Status, Target, names};
use crate::script::{Arg, Call};
use core::net::SocketAddr;
use std::collections::HashMap;
use usertcp_base::ConnId;

/// The first port a peer connects from.
pub const FIRST_PEER_PORT: u16 = 50_001;
/// Octets of one buffer at most.
const LARGEST_BUFFER: i64 = 1 << 24;

/// What a call came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Its result.
    Done(i64),
    /// Its error.
    Error(Errno),
    /// It waits.
    Blocked,
    /// Not to be had; the reason.
    Unsupported(String),
    /// Something other than its result is not as expected.
    Differs(String),
}

impl From<Status> for Outcome {
    fn from(status: Status) -> Outcome {
        match status {
            Status::Done(value) => Outcome::Done(value),
            Status::Error(errno) => Outcome::Error(errno),
            Status::Blocked => Outcome::Blocked,
            Status::Missing(what) => Outcome::Unsupported(what),
        }
    }
}

impl From<Missing> for Outcome {
    fn from(missing: Missing) -> Outcome {
        Outcome::Unsupported(missing.0)
    }
}

/// A call under way.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The call.
    pub call: Call,
    /// Where it stands.
    pub pending: Pending,
}

impl Progress {
    /// A call that was not tried yet.
    pub fn new(call: &Call) -> Progress {
        Progress { call: call.clone(), pending: Pending::default() }
    }
    /// An argument.
    pub fn arg(&self, index: usize) -> &Arg {
        self.call.args.get(index).unwrap_or(&Arg::Ellipsis)
    }
    /// An argument as a number; `...` counts as zero.
    pub fn number(&self, index: usize) -> Result<i64, Missing> {
        number(self.arg(index))
    }
    /// An argument as a count of octets.
    pub fn count(&self, index: usize) -> Result<usize, Missing> {
        Ok(self.number(index)?.clamp(0, LARGEST_BUFFER) as usize)
    }
}

/// The stack with the script's descriptors and the connection under test.
pub struct Kernel {
    /// The stack and its sockets.
    pub posix: Posix,
    /// The setup.
    pub setup: Setup,
    /// The script's descriptors.
    pub descriptors: HashMap<i64, i32>,
    /// The connection under test.
    pub flow: Option<Flow>,
    /// A SYN of the peer makes a new connection under test.
    pub listening: bool,
    /// Added to the peer's sequence numbers.
    pub peer_shift: u32,
    passive: u16,
}

/// A call's outcome, or what it needs that is not there.
pub type Answer = Result<Outcome, Missing>;

impl Kernel {
    /// No sockets yet.
    pub fn new(posix: Posix, setup: Setup, peer_shift: u32) -> Kernel {
        let descriptors = HashMap::new();
        Kernel { posix, setup, descriptors, flow: None, listening: false, peer_shift, passive: 0 }
    }

    /// The peer is to open a connection: it becomes the one under test.
    pub fn passive_flow(&mut self) {
        let remote = (self.setup.remote, FIRST_PEER_PORT + self.passive);
        self.passive = self.passive.wrapping_add(1) % 10_000;
        let mut flow = Flow::new((self.setup.local, self.setup.bind_port), remote, self.peer_shift);
        flow.scaled_echoes = self.setup.scaled_echoes;
        self.flow = Some(flow);
        self.listening = false;
    }

    /// The record of the connection under test, whoever holds it.
    pub fn connection(&self) -> Option<ConnId> {
        let flow = self.flow.as_ref()?;
        self.posix.find(flow.local.into(), flow.remote.into())
    }

    /// Tries a call: begins it, or goes on with one that blocked.
    pub fn attempt(&mut self, progress: &mut Progress) -> Outcome {
        let answer = match progress.call.name.as_str() {
            "socket" => self.socket(progress),
            "poll" => self.poll(progress),
            "pipe" => self.pipe(progress),
            "splice" => self.splice(progress),
            "open" => self.open(progress),
            "epoll_create" => {
                let size = progress.number(0);
                size.map(|size| {
                    let status = self.posix.epoll_create(size);
                    self.opened(status, progress.call.result)
                })
            }
            "epoll_ctl" => self.epoll_ctl(progress),
            "epoll_wait" => self.epoll_wait(progress),
            _ => self.on_descriptor(progress),
        };
        answer.unwrap_or_else(Outcome::from)
    }

    /// The live descriptor of one in the script. One that was never opened is bad there too.
    pub fn live(&self, fd: i64) -> i32 {
        self.descriptors.get(&fd).copied().unwrap_or(-1)
    }

    /// Takes note of a descriptor that a call gave, under the script's number.
    fn opened(&mut self, status: Status, wanted: Option<i64>) -> Outcome {
        let Status::Done(live) = status else { return status.into() };
        // The script's number is only a name; one that expects an error is told the number.
        let Some(name) = wanted.filter(|wanted| *wanted >= 0) else { return Outcome::Done(live) };
        self.descriptors.insert(name, live as i32);
        Outcome::Done(name)
    }

    fn on_descriptor(&mut self, progress: &mut Progress) -> Answer {
        let fd = self.live(progress.number(0)?);
        Ok(match progress.call.name.as_str() {
            "bind" => {
                self.posix.bind(fd, SocketAddr::new(self.setup.local, self.setup.bind_port)).into()
            }
            "listen" => self.listen(fd, progress.number(1)?),
            "accept" => {
                let status = self.posix.accept(fd, 0, &mut progress.pending);
                self.opened(status, progress.call.result)
            }
            "connect" => self.connect(fd, progress)?,
            "readv" => {
                let buffers = messages::vector(progress.arg(1))?;
                self.read_into(fd, &buffers, 0, progress)?
            }
            "writev" => {
                let buffers = messages::vector(progress.arg(1))?;
                self.write_from(fd, &buffers, 0, progress)?
            }
            "sendmsg" => {
                let buffers = messages::buffers(progress.arg(1))?;
                self.write_from(fd, &buffers, progress.number(2)?, progress)?
            }
            "recvmsg" => self.receive_message(fd, progress)?,
            "sendfile" => self.sendfile(fd, progress)?,
            "ioctl" => self.ioctl(fd, progress)?,
            "read" => self.read(fd, 0, progress)?,
            "recv" | "recvfrom" => self.read(fd, progress.number(3)?, progress)?,
            "write" => self.write(fd, 0, progress)?,
            "send" | "sendto" => self.write(fd, progress.number(3)?, progress)?,
            "close" => self.posix.close(fd).into(),
            "shutdown" => self.posix.shutdown(fd, progress.number(1)?).into(),
            "fcntl" => self.posix.fcntl(fd, progress.number(1)?, progress.number(2)?).into(),
            "setsockopt" => {
                let (level, name) = self.option(progress)?;
                let value = octets_of(progress.arg(3))?;
                self.posix.setsockopt(fd, level, name, &value).into()
            }
            "getsockopt" => self.get_option(fd, progress)?,
            name => Outcome::Unsupported(format!("call `{name}`")),
        })
    }

    fn socket(&mut self, progress: &Progress) -> Answer {
        self.flow = None;
        self.listening = false;
        let domain = if self.setup.mode.v6 { names::AF_INET6 } else { names::AF_INET };
        let kind = socket_type(progress.arg(1))?;
        let status = self.posix.socket(domain, kind, progress.number(2)?);
        Ok(self.opened(status, progress.call.result))
    }

    fn listen(&mut self, fd: i32, backlog: i64) -> Outcome {
        if self.posix.local_address(fd).is_none() {
            // Scripts that leave `bind` out mean the one port.
            let _ = self.posix.bind(fd, SocketAddr::new(self.setup.local, self.setup.bind_port));
        }
        let status = self.posix.listen(fd, backlog);
        if matches!(status, Status::Done(_)) {
            self.listening = true;
        }
        status.into()
    }

    fn connect(&mut self, fd: i32, progress: &mut Progress) -> Answer {
        let unspecified = flag(progress.arg(1), "AF_UNSPEC");
        let to =
            (!unspecified).then(|| SocketAddr::new(self.setup.remote, self.setup.connect_port));
        let before = self.posix.connection(fd);
        let status = self.posix.connect(fd, to, &mut progress.pending);
        self.note_active(fd, before);
        Ok(status.into())
    }

    /// A connection that a call began becomes the one under test.
    fn note_active(&mut self, fd: i32, before: Option<ConnId>) {
        let begun = before.is_none() && self.posix.connection(fd).is_some();
        if let (true, Some(local)) = (begun, self.posix.local_address(fd)) {
            let local = (local.ip(), local.port());
            let remote = (self.setup.remote, self.setup.connect_port);
            let mut flow = Flow::new(local, remote, self.peer_shift);
            flow.scaled_echoes = self.setup.scaled_echoes;
            self.flow = Some(flow);
            self.listening = false;
        }
    }

    fn read(&mut self, fd: i32, flags: i64, progress: &mut Progress) -> Answer {
        let buffer = Buffer { octets: progress.count(2)?, good: !flag(progress.arg(1), "NULL") };
        self.read_into(fd, &[buffer], flags, progress)
    }

    fn read_into(
        &mut self,
        fd: i32,
        buffers: &[Buffer],
        flags: i64,
        progress: &mut Progress,
    ) -> Answer {
        let mut memory = memory_of(buffers);
        let status = self.posix.receive(
            fd,
            &mut targets(buffers, &mut memory),
            flags,
            &mut progress.pending,
        );
        Ok(checked(&memory, status.into()))
    }

    fn receive_message(&mut self, fd: i32, progress: &mut Progress) -> Answer {
        let (message, flags) = (progress.arg(1).clone(), progress.number(2)?);
        let buffers = messages::buffers(&message)?;
        let mut memory = memory_of(&buffers);
        let (status, received): (Status, Received) = self.posix.recvmsg(
            fd,
            &mut targets(&buffers, &mut memory),
            flags,
            &mut progress.pending,
        );
        if matches!(status, Status::Done(_))
            && let Some(text) = messages::differences(&message, &received, self.setup.tolerance)?
        {
            return Ok(Outcome::Differs(text));
        }
        Ok(checked(&memory, status.into()))
    }

    fn write(&mut self, fd: i32, flags: i64, progress: &mut Progress) -> Answer {
        let buffer = Buffer { octets: progress.count(2)?, good: !flag(progress.arg(1), "NULL") };
        self.write_from(fd, &[buffer], flags, progress)
    }

    fn write_from(
        &mut self,
        fd: i32,
        buffers: &[Buffer],
        flags: i64,
        progress: &mut Progress,
    ) -> Answer {
        let memory = memory_of(buffers);
        let sources: Vec<Source<'_>> = buffers
            .iter()
            .zip(&memory)
            .map(
                |(buffer, octets)| {
                    if buffer.good { Source::Octets(octets) } else { Source::Bad(buffer.octets) }
                },
            )
            .collect();
        let before = self.posix.connection(fd);
        let to = SocketAddr::new(self.setup.remote, self.setup.connect_port);
        self.posix.name_destination(flags, to);
        let status = self.posix.send(fd, &sources, flags, &mut progress.pending);
        self.note_active(fd, before);
        Ok(status.into())
    }

    /// A file of zeros that a command made: a pipe end stands for its descriptor.
    fn open(&mut self, progress: &Progress) -> Answer {
        let Arg::Text(path) = progress.arg(0) else {
            return Err(Missing(format!("`open` of `{}`", text_of(progress.arg(0)))));
        };
        let status = self.posix.open(path);
        Ok(self.opened(status, progress.call.result))
    }

    fn sendfile(&mut self, fd: i32, progress: &mut Progress) -> Answer {
        let file = self.live(progress.number(1)?);
        let offset = match progress.arg(2) {
            Arg::Names(names) if names.as_slice() == ["NULL"] => 0,
            other => number(other)?,
        };
        let offset = usize::try_from(offset).unwrap_or(0);
        let count = progress.count(3)?;
        Ok(self.posix.sendfile(fd, file, offset, count, &mut progress.pending).into())
    }

    fn ioctl(&mut self, fd: i32, progress: &Progress) -> Answer {
        let got = match self.posix.ioctl(fd, progress.number(1)?) {
            Ok(got) => i64::from(got),
            Err(status) => return Ok(status.into()),
        };
        let wanted = progress.arg(2);
        if *wanted == Arg::Ellipsis || number(wanted)? == got {
            return Ok(Outcome::Done(0));
        }
        let name = text_of(progress.arg(1));
        Ok(Outcome::Differs(format!("{name}: expected {}, got {got}", text_of(wanted))))
    }

    fn pipe(&mut self, progress: &Progress) -> Answer {
        let Arg::List(list) = progress.arg(0) else {
            return Err(Missing("`pipe` without a list".to_string()));
        };
        for (name, live) in list.iter().zip(self.posix.pipe()) {
            self.descriptors.insert(number(name)?, live);
        }
        Ok(Outcome::Done(0))
    }

    fn splice(&mut self, progress: &mut Progress) -> Answer {
        let (from, to) = (self.live(progress.number(0)?), self.live(progress.number(2)?));
        for offset in [progress.arg(1), progress.arg(3)] {
            // An offset of zero is what the field's runner makes of NULL.
            if number(offset)? != 0 {
                return Ok(Outcome::Error(Errno::ESPIPE));
            }
        }
        let (count, flags) = (progress.count(4)?, progress.number(5)?);
        Ok(self.posix.splice(from, to, count, flags, &mut progress.pending).into())
    }

    fn epoll_ctl(&mut self, progress: &Progress) -> Answer {
        let (ep, fd) = (self.live(progress.number(0)?), self.live(progress.number(2)?));
        let operation = progress.number(1)?;
        let (events, data) = match progress.arg(3) {
            Arg::Record(_) => {
                let field = fields(progress.arg(3))?;
                (number(field("events"))?, number(data_of(&field))?)
            }
            // Deleting needs no record.
            other => (number(other)?, 0),
        };
        Ok(self.posix.epoll_ctl(ep, operation, fd, events, data as u64).into())
    }

    /// Only the first event is compared, as by the field's runner.
    fn epoll_wait(&mut self, progress: &mut Progress) -> Answer {
        let ep = self.live(progress.number(0)?);
        let most = usize::try_from(progress.number(2)?).unwrap_or(0);
        let timeout = progress.number(3)?;
        let mut told = Vec::new();
        let status = self.posix.epoll_wait(ep, &mut told, most, timeout, &mut progress.pending);
        if !matches!(status, Status::Done(_)) {
            return Ok(status.into());
        }
        let record = match progress.arg(1) {
            Arg::List(list) => list.first().unwrap_or(&Arg::Ellipsis),
            other => other,
        };
        if let (Arg::Record(_), Some(first)) = (record, told.first()) {
            let field = fields(record)?;
            let (events, data) = (field("events"), data_of(&field));
            let same = (*events == Arg::Ellipsis || number(events)? == first.events)
                && (*data == Arg::Ellipsis || number(data)? == first.data as i64);
            if !same {
                return Ok(Outcome::Differs(format!(
                    "event: expected {}, got {} of {}",
                    text_of(record),
                    names::bits_text("EPOLL", first.events),
                    first.data
                )));
            }
        }
        Ok(status.into())
    }

    fn option(&self, progress: &Progress) -> Result<(i64, i64), Missing> {
        let level = number(progress.arg(1))?;
        let name = number(progress.arg(2))
            .map_err(|_| Missing(format!("socket option `{}`", text_of(progress.arg(2)))))?;
        Ok((level, name))
    }

    fn get_option(&mut self, fd: i32, progress: &Progress) -> Answer {
        let (level, name) = self.option(progress)?;
        let wanted = match progress.arg(3) {
            Arg::List(list) if list.len() == 1 => list.first().unwrap_or(&Arg::Ellipsis),
            other => other,
        };
        if let Arg::Text(text) = wanted {
            return Ok(self.text_option(fd, (level, name), text));
        }
        let octets = match self.posix.getsockopt(fd, level, name, 4) {
            Ok(octets) => octets,
            Err(status) => return Ok(status.into()),
        };
        let got = octets.try_into().map_or(0, i32::from_ne_bytes);
        let text = text_of(wanted);
        if Errno::from_name(&text).is_some() {
            let got = Errno(got).name();
            let differs = format!("{}: expected {text}, got {got}", text_of(progress.arg(2)));
            return Ok(if got == text { Outcome::Done(0) } else { Outcome::Differs(differs) });
        }
        if *wanted == Arg::Ellipsis || number(wanted)? == got.into() {
            return Ok(Outcome::Done(0));
        }
        let differs = format!("{}: expected {text}, got {got}", text_of(progress.arg(2)));
        Ok(Outcome::Differs(differs))
    }

    /// An option whose value is text, compared without the zero at its end.
    fn text_option(&mut self, fd: i32, (level, name): (i64, i64), wanted: &str) -> Outcome {
        match self.posix.getsockopt(fd, level, name, 256) {
            Err(status) => status.into(),
            Ok(octets) => {
                let got = String::from_utf8_lossy(&octets).trim_end_matches('\0').to_string();
                if got == wanted {
                    return Outcome::Done(0);
                }
                Outcome::Differs(format!("option: expected \"{wanted}\", got \"{got}\""))
            }
        }
    }

    fn poll(&mut self, progress: &mut Progress) -> Answer {
        let Arg::List(list) = progress.arg(0).clone() else {
            return Err(Missing("`poll` without a list".to_string()));
        };
        let timeout = progress.number(2)?;
        let mut polled = Vec::new();
        for record in &list {
            let field = fields(record)?;
            let fd = self.live(number(field("fd"))?);
            polled.push(PollFd { fd, events: number(field("events"))?, revents: 0 });
        }
        let status = self.posix.poll(&mut polled, timeout, &mut progress.pending);
        if status == Status::Blocked {
            return Ok(Outcome::Blocked);
        }
        for (record, got) in list.iter().zip(&polled) {
            let field = fields(record)?;
            let wanted = field("revents");
            if *wanted != Arg::Ellipsis && number(wanted)? != got.revents {
                return Ok(Outcome::Differs(format!(
                    "revents of {}: expected {}, got {}",
                    text_of(field("fd")),
                    text_of(wanted),
                    names::bits_text("POLL", got.revents)
                )));
            }
        }
        Ok(status.into())
    }
}

/// What an epoll record hands in, under any of its names.
pub(crate) fn data_of<'a>(field: &impl Fn(&str) -> &'a Arg) -> &'a Arg {
    let all = ["fd", "ptr", "u32", "u64"].map(field);
    all.into_iter().find(|arg| **arg != Arg::Ellipsis).unwrap_or(&Arg::Ellipsis)
}

/// The memory behind the good buffers.
fn memory_of(buffers: &[Buffer]) -> Vec<Vec<u8>> {
    buffers.iter().map(|buffer| vec![0; if buffer.good { buffer.octets } else { 0 }]).collect()
}

fn targets<'a>(buffers: &[Buffer], memory: &'a mut [Vec<u8>]) -> Vec<Target<'a>> {
    let pairs = buffers.iter().zip(memory);
    pairs
        .map(
            |(buffer, octets)| {
                if buffer.good { Target::Octets(octets) } else { Target::Bad(buffer.octets) }
            },
        )
        .collect()
}

/// The outcome, unless what was read is not what was sent: zeros.
fn checked(memory: &[Vec<u8>], outcome: Outcome) -> Outcome {
    if memory.iter().flatten().any(|octet| *octet != 0) {
        return Outcome::Differs("data read is not what was sent".to_string());
    }
    outcome
}
