//! The applications of an arena: what they call, what they read, whether it is what was sent.
//!
//! Owns: their listeners, their handles, the streams they write.
//! Must not know: how a packet gets in or out.

use super::Arena;
use crate::forge::content;
use crate::judge::written;
use crate::peer::FlowEnds;
use core::net::IpAddr;
use usertcp_base::{ConnId, Seq};
use usertcp_frame::Chain;
use usertcp_stack::{Connect, Listen, Read, ShardEvent};

/// What an application does about messages that arrive whole ([`poll_message`](usertcp_stack::Shard::poll_message)).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Messages {
    /// It waits for events, and reads when it likes.
    #[default]
    Leaves,
    /// It takes them, and reads what does not come so.
    Takes,
    /// It also accepts at once, answers each with up to 199 octets, and closes its side behind the last.
    Answers,
}

/// A connection as its application sees it.
#[derive(Clone, Debug)]
pub struct Handle {
    /// The handle, which may be stale.
    pub conn: ConnId,
    /// The flow.
    pub ends: FlowEnds,
    /// Octets written.
    pub written: u32,
    /// Octets read.
    pub read: u32,
    /// Where the peer's data may begin, as far as was read; `None` before the first octet.
    starts: Option<Vec<Seq>>,
    /// Its end was told.
    pub over: bool,
}

impl Arena {
    /// A further listener.
    pub fn listen(&mut self, port: Option<u16>) {
        let listen = Listen { local: None, port, backlog: self.backlog, profile: self.profile };
        if let Ok(listener) = self.shard.listen(&listen) {
            self.shard.set_fast_open(listener, self.fast_open);
            self.listeners.push(listener);
        }
    }

    /// The application takes what waits at any listener.
    pub fn accept(&mut self) -> Option<ConnId> {
        let shard = &mut self.shard;
        let conn = self.listeners.iter().find_map(|listener| shard.accept(*listener))?;
        self.own(conn);
        Some(conn)
    }

    /// The application opens a connection to a peer.
    pub fn connect(&mut self, remote: (IpAddr, u16), local_port: Option<u16>) -> Option<ConnId> {
        let (remote, remote_port) = remote;
        let to = Connect { remote, remote_port, local: None, local_port, profile: self.profile };
        let conn = self.shard.connect(self.now, &to).ok()?;
        self.own(conn);
        self.settle();
        Some(conn)
    }

    /// A connection's handle is the application's.
    fn own(&mut self, conn: ConnId) {
        let Ok(info) = self.shard.info(self.now, conn) else { return };
        let pair = |address: core::net::SocketAddr| (address.ip(), address.port());
        let ends = (pair(info.remote), pair(info.local));
        self.handles.push(Handle { conn, ends, written: 0, read: 0, starts: None, over: false });
    }

    /// Tells the applications what happened.
    pub(super) fn tell(&mut self) {
        loop {
            while self.messages != Messages::Leaves && self.take_message() {}
            match self.shard.poll_event() {
                Some(ShardEvent::Closed { conn, .. }) => {
                    for handle in self.handles.iter_mut().filter(|handle| handle.conn == conn) {
                        handle.over = true;
                    }
                }
                Some(ShardEvent::Accepted { .. }) if self.messages == Messages::Answers => {
                    self.accept();
                }
                Some(ShardEvent::Readable(conn)) if self.messages != Messages::Leaves => {
                    self.read_all(conn);
                }
                Some(_) => {}
                None => return,
            }
        }
    }

    /// The application reads what is there, which is judged.
    fn read_all(&mut self, conn: ConnId) {
        let Some(handle) = self.handles.iter_mut().find(|handle| handle.conn == conn) else {
            return;
        };
        let mut buffer = [0; 4096];
        while let Ok(Read::Data(count)) = self.shard.read(self.now, conn, &mut buffer) {
            let starts = self.judge.starts(&handle.ends).filter(|_| self.judging);
            handle.judge(&buffer[..count], starts);
        }
    }

    /// An application takes the next message, which is judged, and perhaps answers; whether there was one.
    fn take_message(&mut self) -> bool {
        let Some(mut message) = self.shard.poll_message(self.now) else { return false };
        self.traffic.messages_taken += 1;
        let conn = message.stream.id();
        let Some(handle) = self.handles.iter_mut().find(|handle| handle.conn == conn) else {
            panic!("a message of {conn:?}, which nobody accepted");
        };
        let starts = self.judge.starts(&handle.ends).filter(|_| self.judging);
        handle.judge(&message.octets, starts);
        if self.messages != Messages::Answers {
            return true;
        }
        let (octets, last) = (message.octets.len() % 200, message.last);
        let answer: Vec<u8> = (0..octets as u32).map(|at| written(handle.written + at)).collect();
        let taken = if message.stream.write_short(&answer) {
            self.traffic.messages_answered += 1;
            octets
        } else {
            self.shard.write(self.now, conn, &answer).unwrap_or(0)
        };
        handle.written += taken as u32;
        if last {
            let _ = self.shard.shutdown_write(self.now, conn);
        }
        true
    }

    /// The application writes `octets` of its stream; how many were taken.
    pub fn write(&mut self, index: usize, octets: usize) -> usize {
        let Some(handle) = self.handles.get_mut(index) else { return 0 };
        let data: Vec<u8> = (0..octets as u32).map(|at| written(handle.written + at)).collect();
        let taken = self.shard.write(self.now, handle.conn, &data).unwrap_or(0);
        handle.written += taken as u32;
        self.settle();
        taken
    }

    /// The same in frames of the application's own.
    pub fn write_chain(&mut self, index: usize, octets: usize, piece: usize) {
        let Some(handle) = self.handles.get_mut(index) else { return };
        let data: Vec<u8> = (0..octets as u32).map(|at| written(handle.written + at)).collect();
        let mut chain = Chain::new();
        for piece in data.chunks(piece.clamp(1, 1900)) {
            let Some(slice) = self.shard.pool().copy_of(piece, 120) else { return };
            chain.push_back(slice);
        }
        if self.shard.write_chain(self.now, handle.conn, chain).is_ok() {
            handle.written += octets as u32;
        }
        self.settle();
    }

    /// The application reads up to `most` octets, which are judged.
    pub fn read(&mut self, index: usize, most: usize) -> usize {
        let Some(handle) = self.handles.get_mut(index) else { return 0 };
        let mut buffer = vec![0; most];
        let count = match self.shard.read(self.now, handle.conn, &mut buffer) {
            Ok(Read::Data(count)) => count,
            _ => 0,
        };
        let starts = self.judge.starts(&handle.ends).filter(|_| self.judging);
        handle.judge(&buffer[..count], starts);
        self.settle();
        count
    }

    /// The application takes one slice, and keeps it or not.
    pub fn read_slice(&mut self, index: usize, keep: bool) {
        let Some(handle) = self.handles.get_mut(index) else { return };
        if let Ok(Read::Data(slice)) = self.shard.read_slice(self.now, handle.conn) {
            let starts = self.judge.starts(&handle.ends).filter(|_| self.judging);
            handle.judge(&slice, starts);
            if keep && self.held.len() < 64 {
                self.held.push(slice);
            }
        }
        self.settle();
    }

    /// The handle's index.
    pub fn index_of(&self, conn: ConnId) -> usize {
        self.handles.iter().position(|handle| handle.conn == conn).unwrap_or(usize::MAX)
    }
}

impl Handle {
    /// What was read must be what any peer would have sent at these numbers.
    fn judge(&mut self, octets: &[u8], starts: Option<Vec<Seq>>) {
        let Some(all) = starts else {
            self.read = self.read.wrapping_add(octets.len() as u32);
            return;
        };
        if octets.is_empty() {
            return;
        }
        let mut starts = self.starts.take().unwrap_or(all);
        starts.retain(|start| {
            let first = *start + self.read;
            octets.iter().enumerate().all(|(at, octet)| *octet == content(first + at as u32))
        });
        assert!(!starts.is_empty(), "read what nobody sent, at {}: {octets:?}", self.read);
        self.read = self.read.wrapping_add(octets.len() as u32);
        self.starts = Some(starts);
    }
}
