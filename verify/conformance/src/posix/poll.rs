//! poll and epoll. Owns: what a descriptor is ready for. Must not know: why it became so.

use super::errno::Errno;
use super::names as n;
use super::table::{Entry, Kind, Socket};
use super::{Pending, Posix, Status};
use usertcp_base::{ConnId, Span};
use usertcp_tcp::StateName;

/// One descriptor of a `poll`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PollFd {
    /// The descriptor.
    pub fd: i32,
    /// What is asked.
    pub events: i64,
    /// What it is ready for.
    pub revents: i64,
}

/// One descriptor of an epoll set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interest {
    /// The descriptor.
    pub fd: i32,
    /// What is asked, and how it is told.
    pub events: i64,
    /// What is handed back.
    pub data: u64,
    /// What was told, with how often the descriptor had been roused by then: for EPOLLET.
    told: Option<(i64, u64)>,
}

/// What `epoll_wait` tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpollEvent {
    /// What it is ready for.
    pub events: i64,
    /// What was handed in.
    pub data: u64,
}

/// A wait of more is one of eleven days.
const LONGEST_MS: u64 = 1_000_000_000;

const READABLE: i64 = n::POLLIN | n::POLLRDNORM;
const WRITABLE: i64 = n::POLLOUT | n::POLLWRNORM;
/// Told whether asked or not.
const ALWAYS: i64 = n::POLLERR | n::POLLHUP;

impl Posix {
    /// `poll(2)`. A negative timeout waits for ever.
    pub fn poll(&mut self, list: &mut [PollFd], timeout_ms: i64, pending: &mut Pending) -> Status {
        self.begin_wait(timeout_ms, pending);
        let mut ready = 0;
        for one in list {
            one.revents = match self.ready(one.fd) {
                _ if one.fd < 0 => 0,
                None => n::POLLNVAL,
                Some(all) => all & (one.events | ALWAYS),
            };
            ready += i64::from(one.revents != 0);
        }
        if ready == 0 && !self.is_over(pending) { Status::Blocked } else { Status::Done(ready) }
    }

    fn begin_wait(&self, timeout_ms: i64, pending: &mut Pending) {
        if let (None, Ok(timeout)) = (pending.deadline, u64::try_from(timeout_ms)) {
            pending.deadline = Some(self.machine.now + Span::from_millis(timeout.min(LONGEST_MS)));
        }
    }

    fn is_over(&self, pending: &Pending) -> bool {
        pending.deadline.is_some_and(|deadline| deadline <= self.machine.now)
    }

    /// What a descriptor is ready for; `None`: it is not open.
    pub fn ready(&self, fd: i32) -> Option<i64> {
        Some(match self.table.entry(fd)? {
            Entry::Socket(socket) => self.socket_ready(socket),
            Entry::PipeOut(pipe) => self.pipes.ready_to_read(*pipe),
            Entry::PipeIn(pipe) => self.pipes.ready_to_write(*pipe),
            Entry::File(_) => READABLE | WRITABLE,
            Entry::Epoll(interests) => {
                let mut all = interests.iter().filter_map(|one| Some((one, self.ready(one.fd)?)));
                if all.any(|(one, ready)| ready & one.events != 0) { READABLE } else { 0 }
            }
        })
    }

    fn socket_ready(&self, socket: &Socket) -> i64 {
        let errors = if socket.errors.is_empty() { 0 } else { n::POLLERR };
        match socket.kind {
            Kind::Fresh => WRITABLE | n::POLLHUP | errors,
            Kind::Listening(listener) => {
                let info = self.machine.shard.listener_info(listener);
                if info.is_some_and(|info| info.waiting > 0) { READABLE } else { 0 }
            }
            Kind::Connected(conn) => self.connection_ready(conn, socket) | errors,
        }
    }

    fn connection_ready(&self, conn: ConnId, socket: &Socket) -> i64 {
        let over = self.machine.over.get(&conn);
        let state = self.state(conn);
        let peer_done = socket.read_shut || self.peer_is_done(conn);
        let write_done = socket.write_shut || over.is_some();
        let mut out = 0;
        if state == StateName::Closed || peer_done && write_done {
            out |= n::POLLHUP;
        }
        if peer_done {
            out |= READABLE | n::POLLRDHUP;
        }
        if self.queued_to_read(conn) > 0 {
            out |= READABLE;
        }
        if write_done || self.has_room(conn) {
            out |= WRITABLE;
        }
        if !socket.told && over.is_some_and(|why| Errno::of_end(*why).is_some()) {
            out |= n::POLLERR;
        }
        out
    }

    fn has_room(&self, conn: ConnId) -> bool {
        self.machine.shard.is_worth_writing(conn).unwrap_or(false)
    }

    /// `epoll_create(2)`.
    pub fn epoll_create(&mut self, size: i64) -> Status {
        if size <= 0 {
            return Status::Error(Errno::EINVAL);
        }
        Status::Done(self.table.insert(Entry::Epoll(Vec::new())).into())
    }

    /// `epoll_ctl(2)`.
    pub fn epoll_ctl(
        &mut self,
        ep: i32,
        operation: i64,
        fd: i32,
        events: i64,
        data: u64,
    ) -> Status {
        if self.table.entry(fd).is_none() {
            return Status::Error(Errno::EBADF);
        }
        let interests = match self.table.entry_mut(ep) {
            Some(Entry::Epoll(interests)) if ep != fd => interests,
            Some(_) => return Status::Error(Errno::EINVAL),
            None => return Status::Error(Errno::EBADF),
        };
        let place = interests.iter().position(|one| one.fd == fd);
        let fresh = Interest { fd, events, data, told: None };
        match (operation, place) {
            (n::EPOLL_CTL_ADD, None) => interests.push(fresh),
            (n::EPOLL_CTL_ADD, Some(_)) => return Status::Error(Errno::EEXIST),
            (n::EPOLL_CTL_MOD, Some(at)) => interests[at] = fresh,
            (n::EPOLL_CTL_DEL, Some(at)) => {
                interests.remove(at);
            }
            (n::EPOLL_CTL_MOD | n::EPOLL_CTL_DEL, None) => return Status::Error(Errno::ENOENT),
            _ => return Status::Error(Errno::EINVAL),
        }
        Status::Done(0)
    }

    /// `epoll_wait(2)`; what it tells goes into `out`, at most `most`.
    pub fn epoll_wait(
        &mut self,
        ep: i32,
        out: &mut Vec<EpollEvent>,
        most: usize,
        timeout_ms: i64,
        pending: &mut Pending,
    ) -> Status {
        out.clear();
        if most == 0 {
            return Status::Error(Errno::EINVAL);
        }
        let mut interests = match self.table.entry(ep) {
            Some(Entry::Epoll(interests)) => interests.clone(),
            Some(_) => return Status::Error(Errno::EINVAL),
            None => return Status::Error(Errno::EBADF),
        };
        self.begin_wait(timeout_ms, pending);
        for one in &mut interests {
            if out.len() == most {
                break;
            }
            let roused = self.roused(one.fd);
            let ready = self.ready(one.fd).unwrap_or(0) & (one.events & 0xFFFF | ALWAYS);
            // A one-shot that was told asks for nothing any more.
            let asks = one.events & 0xFFFF != 0;
            let seen =
                one.events & n::EPOLLET != 0 && one.told.is_some_and(|told| told.1 == roused);
            if ready == 0 || !asks || seen {
                continue;
            }
            one.told = Some((ready, roused));
            out.push(EpollEvent { events: ready, data: one.data });
            if one.events & n::EPOLLONESHOT != 0 {
                one.events &= !0xFFFF;
            }
        }
        let told = out.len() as i64;
        if let Some(Entry::Epoll(kept)) = self.table.entry_mut(ep) {
            *kept = interests;
        }
        if told == 0 && !self.is_over(pending) { Status::Blocked } else { Status::Done(told) }
    }

    /// How often something happened to a descriptor that wakes those who wait.
    fn roused(&self, fd: i32) -> u64 {
        let Some(socket) = self.table.socket(fd) else { return 0 };
        let conn = socket.connection();
        let roused = conn.and_then(|conn| self.machine.roused.get(&conn).copied());
        roused.unwrap_or(0) + socket.errors.came
    }
}
