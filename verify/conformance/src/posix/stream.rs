//! read, recv, write, send and their vectored forms.
//! Owns: how much is moved, and when a call waits. Must not know: control messages, options.

use super::errno::Errno;
use super::names as n;
use super::table::Kind;
use super::{Pending, Posix, Source, Status, Target, or_status};
use usertcp_base::ConnId;
use usertcp_stack::{ConnError, Read};
use usertcp_tcp::WriteEnd;

/// What of a vector is still to be done: how much of it at once.
const PIECE: usize = 65_536;

/// Flags of receiving that are honoured.
const RECEIVE_FLAGS: i64 = n::MSG_DONTWAIT
    | n::MSG_TRUNC
    | n::MSG_WAITALL
    | n::MSG_PEEK
    | n::MSG_NOSIGNAL
    | n::MSG_CMSG_CLOEXEC;
/// Flags of sending that are honoured.
const SEND_FLAGS: i64 =
    n::MSG_DONTWAIT | n::MSG_NOSIGNAL | n::MSG_MORE | n::MSG_EOR | n::MSG_ZEROCOPY | n::MSG_OOB;

impl Posix {
    /// `read(2)`, `readv(2)`, `recv(2)`, `recvfrom(2)`.
    pub fn receive(
        &mut self,
        fd: i32,
        into: &mut [Target<'_>],
        flags: i64,
        pending: &mut Pending,
    ) -> Status {
        let socket = or_status!(self.socket_of(fd));
        let Kind::Connected(conn) = socket.kind else { return Status::Error(Errno::ENOTCONN) };
        if let Some(status) = missing_flags(flags, RECEIVE_FLAGS | n::MSG_OOB) {
            return status;
        }
        if flags & n::MSG_OOB != 0 {
            // RFC 6093: urgent octets are in the stream here, none lies beside it.
            return Status::Missing("`MSG_OOB` when receiving".to_string());
        }
        let nonblocking = socket.nonblocking || flags & n::MSG_DONTWAIT != 0;
        let (read_shut, timeout) = (socket.read_shut, socket.receive_timeout_ms);
        let wanted: usize = into.iter().map(Target::len).sum();
        let all = flags & n::MSG_WAITALL != 0 && !nonblocking;
        let mut scratch = Vec::new();
        loop {
            let found = match self.read_some(conn, into, flags, pending.done, &mut scratch) {
                Ok(found) => found,
                Err(errno) if pending.done == 0 => return Status::Error(errno),
                Err(_) => return Status::Done(pending.done as i64),
            };
            match found {
                Ok(Read::Data(0)) if pending.done >= wanted => {
                    return Status::Done(pending.done as i64);
                }
                Ok(Read::Data(count)) => pending.done += count,
                Ok(Read::Nothing) if pending.done > 0 && !all => {
                    return Status::Done(pending.done as i64);
                }
                Ok(Read::Nothing) if read_shut => return Status::Done(pending.done as i64),
                Ok(Read::Nothing) if nonblocking => return Status::Error(Errno::EAGAIN),
                Ok(Read::Nothing) => return self.wait_for_more(pending, timeout),
                Ok(Read::End) => return Status::Done(pending.done as i64),
                Err(_) if pending.done > 0 => return Status::Done(pending.done as i64),
                Err(_) => return self.take_error(fd).map_or(Status::Done(0), Status::Error),
            }
        }
    }

    fn wait_for_more(&self, pending: &mut Pending, timeout: u64) -> Status {
        match self.wait(pending, timeout, Errno::EAGAIN) {
            Status::Error(_) if pending.done > 0 => Status::Done(pending.done as i64),
            status => status,
        }
    }

    /// Reads into the part of `into` that begins `done` octets in; with MSG_TRUNC the octets are
    /// thrown away.
    fn read_some(
        &mut self,
        conn: ConnId,
        into: &mut [Target<'_>],
        flags: i64,
        done: usize,
        scratch: &mut Vec<u8>,
    ) -> Result<Result<Read<usize>, ConnError>, Errno> {
        let now = self.machine.now;
        let mut skip = done;
        for target in into {
            let length = target.len();
            if skip >= length {
                skip -= length;
                continue;
            }
            if flags & n::MSG_PEEK != 0 {
                return self.peek_some(conn, target, skip, done, flags);
            }
            let found = match target {
                Target::Octets(octets) if flags & n::MSG_TRUNC == 0 => {
                    let place = octets.get_mut(skip..).unwrap_or_default();
                    self.machine.shard.read(now, conn, place)
                }
                Target::Bad(_) if flags & n::MSG_TRUNC == 0 => {
                    if self.queued_to_read(conn) > 0 {
                        return Err(Errno::EFAULT);
                    }
                    self.machine.shard.read(now, conn, &mut [0])
                }
                _ => {
                    scratch.resize((length - skip).min(PIECE), 0);
                    self.machine.shard.read(now, conn, scratch)
                }
            };
            self.settle();
            return Ok(found);
        }
        Ok(Ok(Read::Data(0)))
    }

    /// The same, and leaves the octets to be read again.
    fn peek_some(
        &mut self,
        conn: ConnId,
        target: &mut Target<'_>,
        skip: usize,
        done: usize,
        flags: i64,
    ) -> Result<Result<Read<usize>, ConnError>, Errno> {
        let left = (self.queued_to_read(conn) as usize).saturating_sub(done);
        if left == 0 {
            let ended = self.peer_is_done(conn);
            return Ok(Ok(if ended { Read::End } else { Read::Nothing }));
        }
        let count = left.min(target.len().saturating_sub(skip));
        match target {
            _ if flags & n::MSG_TRUNC != 0 => {}
            Target::Octets(octets) => {
                let place = octets.get_mut(skip..).unwrap_or_default();
                return Ok(self.machine.shard.peek(conn, done, place).map(Read::Data));
            }
            Target::Bad(_) => return Err(Errno::EFAULT),
        }
        Ok(Ok(Read::Data(count)))
    }

    /// `write(2)`, `writev(2)`, `send(2)`, `sendto(2)` and `sendmsg(2)` without an address.
    pub fn send(
        &mut self,
        fd: i32,
        from: &[Source<'_>],
        flags: i64,
        pending: &mut Pending,
    ) -> Status {
        or_status!(self.socket_of(fd));
        if let Some(status) = self.send_fast_open(fd, from, flags, pending) {
            return status;
        }
        let flags = flags & !n::MSG_FASTOPEN;
        let socket = or_status!(self.socket_of(fd));
        let Kind::Connected(conn) = socket.kind else { return Status::Error(Errno::EPIPE) };
        if let Some(status) = missing_flags(flags, SEND_FLAGS) {
            return status;
        }
        let nonblocking = socket.nonblocking || flags & n::MSG_DONTWAIT != 0;
        let timeout = socket.send_timeout_ms;
        if socket.write_shut {
            return Status::Error(Errno::EPIPE);
        }
        let zerocopy = socket.option(n::SOL_SOCKET, n::SO_ZEROCOPY) != 0;
        let before = pending.done;
        let status = self.send_on(fd, conn, from, flags, (nonblocking, timeout), pending);
        let taken = pending.done.saturating_sub(before);
        if let Some(socket) = self.table.socket_mut(fd) {
            // A call that blocks is told of when it is done, as one write.
            pending.untold += taken;
            if status != Status::Blocked {
                socket.stamping.on_written(core::mem::take(&mut pending.untold), flags, zerocopy);
            }
        }
        self.settle();
        status
    }

    fn send_on(
        &mut self,
        fd: i32,
        conn: ConnId,
        from: &[Source<'_>],
        flags: i64,
        (nonblocking, timeout): (bool, u64),
        pending: &mut Pending,
    ) -> Status {
        let wanted: usize = from.iter().map(Source::len).sum();
        loop {
            let taken = match self.write_some(conn, from, flags, pending.done) {
                Ok(taken) => taken,
                Err(_) if pending.done > 0 => return Status::Done(pending.done as i64),
                Err(Errno::EPIPE) => {
                    return Status::Error(self.take_error(fd).unwrap_or(Errno::EPIPE));
                }
                Err(errno) => return Status::Error(errno),
            };
            pending.done += taken;
            if pending.done >= wanted {
                return Status::Done(pending.done as i64);
            }
            if taken == 0 && nonblocking {
                let done = pending.done as i64;
                return if done > 0 { Status::Done(done) } else { Status::Error(Errno::EAGAIN) };
            }
            if taken == 0 {
                return self.wait_for_more(pending, timeout);
            }
        }
    }

    /// Writes a piece of `from`, from `done` octets on.
    fn write_some(
        &mut self,
        conn: ConnId,
        from: &[Source<'_>],
        flags: i64,
        done: usize,
    ) -> Result<usize, Errno> {
        let mut skip = done;
        for (index, source) in from.iter().enumerate() {
            if skip >= source.len() {
                skip -= source.len();
                continue;
            }
            let Source::Octets(octets) = source else { return Err(Errno::EFAULT) };
            let rest = octets.get(skip..).unwrap_or_default();
            let last = from.get(index + 1..).unwrap_or_default().iter().all(Source::is_empty);
            // Between the parts of one call more is to come at once.
            let end = match flags & (n::MSG_MORE | n::MSG_EOR) {
                _ if !last => WriteEnd::More,
                n::MSG_EOR => WriteEnd::Record,
                0 => WriteEnd::Open,
                _ => WriteEnd::More,
            };
            let now = self.machine.now;
            let taken = self.machine.shard.write_with(now, conn, rest, end);
            if flags & n::MSG_OOB != 0 && last && taken == Ok(rest.len()) {
                let _ = self.machine.shard.mark_urgent(now, conn);
            }
            if !last {
                return taken.map_err(|_| Errno::EPIPE);
            }
            self.machine.settle();
            return taken.map_err(|_| Errno::EPIPE);
        }
        Ok(0)
    }

    /// Octets that can be read from a connection.
    pub(super) fn queued_to_read(&self, conn: ConnId) -> u32 {
        self.machine.shard.readable_octets(conn).map_or(0, |(count, _)| count)
    }

    /// Octets written and not acknowledged, and those of them that were never sent.
    pub(super) fn send_queue(&self, conn: ConnId) -> (u32, u32) {
        let info = self.machine.shard.info(self.machine.now, conn).ok();
        let figures = info.and_then(|info| info.figures);
        figures.map_or((0, 0), |figures| (figures.send_queue_octets, figures.unsent_octets))
    }
}

/// Flags that are not honoured.
pub(super) fn missing_flags(flags: i64, known: i64) -> Option<Status> {
    let other = flags & !known;
    (other != 0).then(|| Status::Missing(format!("`{}`", n::bits_text("MSG_", other))))
}
