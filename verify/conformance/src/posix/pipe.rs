//! pipe, splice, sendfile. Owns: pipes of memory. Must not know: sockets beyond reading and writing.

use super::errno::Errno;
use super::names as n;
use super::table::Entry;
use super::{Pending, Posix, Source, Status, Target};
use std::collections::{BTreeMap, VecDeque};

/// A pipe.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct PipeId(u32);

/// Octets a pipe holds, as Linux's default.
const CAPACITY: usize = 65_536;

#[derive(Debug)]
struct Pipe {
    held: VecDeque<u8>,
    reader: bool,
    writer: bool,
}

/// All pipes.
#[derive(Debug, Default)]
pub struct Pipes {
    pipes: BTreeMap<PipeId, Pipe>,
    made: u32,
}

impl Pipes {
    fn make(&mut self) -> PipeId {
        self.made += 1;
        let pipe = Pipe { held: VecDeque::new(), reader: true, writer: true };
        self.pipes.insert(PipeId(self.made), pipe);
        PipeId(self.made)
    }
    /// An end is closed.
    pub fn close(&mut self, id: PipeId, writer: bool) {
        if let Some(pipe) = self.pipes.get_mut(&id) {
            if writer {
                pipe.writer = false
            } else {
                pipe.reader = false
            }
            if !pipe.writer && !pipe.reader {
                self.pipes.remove(&id);
            }
        }
    }
    /// What its reading end is ready for.
    pub fn ready_to_read(&self, id: PipeId) -> i64 {
        let pipe = self.pipes.get(&id);
        let held = pipe.is_some_and(|pipe| !pipe.held.is_empty());
        let ended = pipe.is_none_or(|pipe| !pipe.writer);
        (if held { n::POLLIN } else { 0 }) | if ended { n::POLLHUP } else { 0 }
    }
    /// What its writing end is ready for.
    pub fn ready_to_write(&self, id: PipeId) -> i64 {
        let pipe = self.pipes.get(&id);
        let room = pipe.is_some_and(|pipe| pipe.held.len() < CAPACITY);
        if room { n::POLLOUT } else { 0 }
    }
}

impl Posix {
    /// `pipe(2)`: the reading end, then the writing end.
    pub fn pipe(&mut self) -> [i32; 2] {
        let id = self.pipes.make();
        [self.table.insert(Entry::PipeOut(id)), self.table.insert(Entry::PipeIn(id))]
    }

    /// `splice(2)` between a pipe and a socket, either way. Offsets are not for either.
    pub fn splice(
        &mut self,
        from: i32,
        to: i32,
        most: usize,
        flags: i64,
        pending: &mut Pending,
    ) -> Status {
        let wait = if flags & n::SPLICE_F_NONBLOCK != 0 { n::MSG_DONTWAIT } else { 0 };
        match (self.table.entry(from), self.table.entry(to)) {
            (None, _) | (_, None) => Status::Error(Errno::EBADF),
            (Some(Entry::Socket(_)), Some(Entry::PipeIn(id))) => {
                let id = *id;
                self.socket_to_pipe(from, id, most, wait, pending)
            }
            (Some(Entry::PipeOut(id)), Some(Entry::Socket(_))) => {
                let id = *id;
                self.pipe_to_socket(id, to, most, wait, pending)
            }
            (Some(Entry::PipeOut(_)), Some(Entry::PipeIn(_))) => {
                Status::Missing("`splice` from pipe to pipe".to_string())
            }
            _ => Status::Error(Errno::EINVAL),
        }
    }

    fn socket_to_pipe(
        &mut self,
        from: i32,
        id: PipeId,
        most: usize,
        flags: i64,
        pending: &mut Pending,
    ) -> Status {
        let room = self.pipes.pipes.get(&id).map_or(0, |pipe| CAPACITY - pipe.held.len());
        if room == 0 {
            return Status::Error(Errno::EAGAIN);
        }
        let mut octets = vec![0; most.min(room)];
        let status = self.receive(from, &mut [Target::Octets(&mut octets)], flags, pending);
        if let (Status::Done(count), Some(pipe)) = (&status, self.pipes.pipes.get_mut(&id)) {
            octets.truncate(*count as usize);
            pipe.held.extend(octets);
        }
        status
    }

    fn pipe_to_socket(
        &mut self,
        id: PipeId,
        to: i32,
        most: usize,
        flags: i64,
        pending: &mut Pending,
    ) -> Status {
        let Some(pipe) = self.pipes.pipes.get(&id) else { return Status::Error(Errno::EBADF) };
        let octets: Vec<u8> = pipe.held.iter().copied().take(most).collect();
        if octets.is_empty() {
            return if pipe.writer { Status::Blocked } else { Status::Done(0) };
        }
        let status = self.send(to, &[Source::Octets(&octets)], flags, pending);
        if let (Status::Done(count), Some(pipe)) = (&status, self.pipes.pipes.get_mut(&id)) {
            pipe.held.drain(..(*count as usize).min(pipe.held.len()));
        }
        status
    }

    /// `open(2)` of a file that a command made.
    pub fn open(&mut self, path: &str) -> Status {
        match self.files.get(path) {
            Some(octets) => Status::Done(self.table.insert(Entry::File(*octets)).into()),
            None => Status::Error(Errno::ENOENT),
        }
    }

    /// `sendfile(2)` from a file of zeros.
    pub fn sendfile(
        &mut self,
        to: i32,
        from: i32,
        offset: usize,
        count: usize,
        pending: &mut Pending,
    ) -> Status {
        let Some(entry) = self.table.entry(from) else { return Status::Error(Errno::EBADF) };
        let Entry::File(octets) = entry else { return Status::Error(Errno::EINVAL) };
        let zeros = vec![0; octets.saturating_sub(offset).min(count)];
        self.send(to, &[Source::Octets(&zeros)], 0, pending)
    }
}
