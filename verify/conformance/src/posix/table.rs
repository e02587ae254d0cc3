//! Descriptors. Owns: what each stands for, and which number is free. Must not know: calls.

use super::message::{ErrorQueue, Stamping};
use super::pipe::PipeId;
use super::poll::Interest;
use core::net::SocketAddr;
use std::collections::BTreeMap;
use usertcp_base::{ConnId, ListenerId};
use usertcp_cc::Algorithm;
use usertcp_tcp::Settings;

/// Numbers below are a program's standard streams.
const FIRST: i32 = 3;

/// What a descriptor stands for.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A TCP socket.
    Socket(Box<Socket>),
    /// A set of descriptors waited for together.
    Epoll(Vec<Interest>),
    /// The end of a pipe that is read.
    PipeOut(PipeId),
    /// The end of a pipe that is written.
    PipeIn(PipeId),
    /// A file of so many zeros.
    File(usize),
}

/// What a socket stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Neither listening nor connected yet.
    Fresh,
    /// Listening.
    Listening(ListenerId),
    /// A connection, in any state.
    Connected(ConnId),
}

/// A socket.
#[derive(Clone, Debug)]
pub struct Socket {
    /// What it stands for.
    pub kind: Kind,
    /// Calls do not wait.
    pub nonblocking: bool,
    /// `connect` did not wait, and has not told yet that it succeeded.
    pub connecting: bool,
    /// Settings for what it becomes.
    pub settings: Settings,
    /// Its controller.
    pub algorithm: Algorithm,
    /// Where it was bound to.
    pub bound: Option<SocketAddr>,
    /// Closing resets.
    pub linger_zero: bool,
    /// The error of its connection was told.
    pub told: bool,
    /// Reading ended by `shutdown`.
    pub read_shut: bool,
    /// Writing ended by `shutdown`.
    pub write_shut: bool,
    /// SO_RCVTIMEO, milliseconds; zero waits for ever.
    pub receive_timeout_ms: u64,
    /// SO_SNDTIMEO, milliseconds; zero waits for ever.
    pub send_timeout_ms: u64,
    /// Options that are only remembered: what was set is what is read.
    pub remembered: BTreeMap<(i64, i64), i64>,
    /// Records of the error queue.
    pub errors: ErrorQueue,
    /// What SO_TIMESTAMPING asks for.
    pub stamping: Stamping,
}

impl Socket {
    /// A socket that is nothing yet.
    pub fn fresh(settings: Settings, algorithm: Algorithm, nonblocking: bool) -> Socket {
        Socket {
            kind: Kind::Fresh,
            nonblocking,
            connecting: false,
            settings,
            algorithm,
            bound: None,
            linger_zero: false,
            told: false,
            read_shut: false,
            write_shut: false,
            receive_timeout_ms: 0,
            send_timeout_ms: 0,
            remembered: BTreeMap::new(),
            errors: ErrorQueue::default(),
            stamping: Stamping::default(),
        }
    }
    /// What a listener's socket hands on to one it accepts.
    pub fn accepted(&self, conn: ConnId, nonblocking: bool) -> Socket {
        Socket {
            kind: Kind::Connected(conn),
            nonblocking,
            told: false,
            errors: ErrorQueue::default(),
            ..self.clone()
        }
    }
    /// Its connection.
    pub fn connection(&self) -> Option<ConnId> {
        match self.kind {
            Kind::Connected(conn) => Some(conn),
            _ => None,
        }
    }
    /// A remembered option.
    pub fn option(&self, level: i64, name: i64) -> i64 {
        self.remembered.get(&(level, name)).copied().unwrap_or(0)
    }
}

/// Descriptors in use.
#[derive(Clone, Debug, Default)]
pub struct Table {
    entries: BTreeMap<i32, Entry>,
}

impl Table {
    /// Takes the lowest number that is free.
    pub fn insert(&mut self, entry: Entry) -> i32 {
        let mut free = FIRST;
        while self.entries.contains_key(&free) {
            free += 1;
        }
        self.entries.insert(free, entry);
        free
    }
    /// What stands behind `fd`.
    pub fn entry(&self, fd: i32) -> Option<&Entry> {
        self.entries.get(&fd)
    }
    /// The same, to change.
    pub fn entry_mut(&mut self, fd: i32) -> Option<&mut Entry> {
        self.entries.get_mut(&fd)
    }
    /// The socket `fd`.
    pub fn socket(&self, fd: i32) -> Option<&Socket> {
        match self.entries.get(&fd) {
            Some(Entry::Socket(socket)) => Some(socket),
            _ => None,
        }
    }
    /// The same, to change.
    pub fn socket_mut(&mut self, fd: i32) -> Option<&mut Socket> {
        match self.entries.get_mut(&fd) {
            Some(Entry::Socket(socket)) => Some(socket),
            _ => None,
        }
    }
    /// Every socket.
    pub fn sockets(&self) -> impl Iterator<Item = &Socket> {
        self.entries.values().filter_map(|entry| match entry {
            Entry::Socket(socket) => Some(&**socket),
            _ => None,
        })
    }
    /// Every socket, to change.
    pub fn sockets_mut(&mut self) -> impl Iterator<Item = &mut Socket> {
        self.entries.values_mut().filter_map(|entry| match entry {
            Entry::Socket(socket) => Some(&mut **socket),
            _ => None,
        })
    }
    /// Forgets `fd`, in the sets it is waited for in too.
    pub fn remove(&mut self, fd: i32) -> Option<Entry> {
        let entry = self.entries.remove(&fd)?;
        for other in self.entries.values_mut() {
            if let Entry::Epoll(interests) = other {
                interests.retain(|interest| interest.fd != fd);
            }
        }
        Some(entry)
    }
    /// Whether nothing is open.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
    /// Whether no socket listens or is connected.
    pub fn is_fresh(&self) -> bool {
        self.entries.values().all(|entry| match entry {
            Entry::Socket(socket) => socket.kind == Kind::Fresh,
            _ => true,
        })
    }
    /// Descriptors in use.
    pub fn open(&self) -> Vec<i32> {
        self.entries.keys().copied().collect()
    }
}
