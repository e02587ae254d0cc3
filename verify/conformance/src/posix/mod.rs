//! A POSIX-like socket layer on a shard in virtual time: what a program calls.
//!
//! Owns: descriptors, blocking, errors as numbers, socket options as octets; the stack under test
//! and its clock. Must not know: scripts, foreign memory, threads, any real clock.
//!
//! # Driving it
//!
//! * **Time** is [`Machine`]'s, `machine.now`. [`Posix::step`] goes to the stack's next deadline or to
//!   its limit (then it is false); nothing else moves it. [`Posix::deliver`] is a packet from outside,
//!   `machine.sent` what left and when, oldest first. Every call settles the stack before it returns,
//!   so what it caused is in `machine.sent` with the present time.
//! * **Calls** answer at once with a [`Status`]. `Blocked` means: nothing is lost, call *the same
//!   method with the same arguments and the same [`Pending`]* again whenever the stack may have
//!   changed (after a packet, a step, another call). `Pending::deadline`, when set, is a moment at
//!   which to try again too, as the call then ends by itself (timeouts of `poll`, SO_RCVTIMEO). A
//!   caller that cannot wait drops the `Pending`; a partly done `write` then keeps what it wrote.
//! * **Memory**: a buffer is octets, or [`Source::Bad`]/[`Target::Bad`], an address that the program
//!   does not have (NULL included): the call finds out exactly when a kernel would (EFAULT).
//! * **Options** travel as octets, as with `setsockopt(2)`; names and numbers are in [`names`].
//! * **`Missing`** says that the stack or this layer does not have what was asked, in words; it is
//!   neither a result nor an error of the stack.

pub mod commands;
pub mod errno;
mod fast_open;
pub mod info;
pub mod machine;
pub mod message;
pub mod names;
mod open;
mod options;
pub mod pipe;
pub mod poll;
pub mod profile;
mod stream;
pub mod sysctl;
pub mod table;
pub mod words;

use core::net::{IpAddr, SocketAddr};
use errno::Errno;
use machine::Machine;
use pipe::Pipes;
use profile::Defaults;
use std::collections::BTreeMap;
use table::{Entry, Socket, Table};
use usertcp_base::{CloseReason, ConnId, Counters, Instant};
use usertcp_stack::ShardConfig;
use usertcp_tcp::StateName;

/// What a call came to.
#[must_use]
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Status {
    /// Its result.
    Done(i64),
    /// Its error.
    Error(Errno),
    /// It waits: try again with the same arguments.
    Blocked,
    /// Not to be had; what.
    Missing(String),
}

/// A call that may wait. One for each call, fresh at its beginning.
#[derive(Clone, Debug, Default)]
pub struct Pending {
    /// When it ends by itself.
    pub deadline: Option<Instant>,
    /// Octets done so far.
    done: usize,
    /// Octets written of which no record was asked for yet.
    untold: usize,
    /// It has begun.
    begun: bool,
}

/// Memory to read from.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// These octets.
    Octets(&'a [u8]),
    /// So many octets at an address that is not the program's.
    Bad(usize),
}

/// Memory to write to.
#[derive(Debug)]
pub enum Target<'a> {
    /// These octets.
    Octets(&'a mut [u8]),
    /// So many octets at an address that is not the program's.
    Bad(usize),
}

impl Source<'_> {
    /// Its length.
    pub fn len(&self) -> usize {
        match self {
            Source::Octets(octets) => octets.len(),
            Source::Bad(length) => *length,
        }
    }
    /// Whether it is of no length.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Target<'_> {
    /// Its length.
    pub fn len(&self) -> usize {
        match self {
            Target::Octets(octets) => octets.len(),
            Target::Bad(length) => *length,
        }
    }
    /// Whether it is of no length.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The stack with its descriptors.
pub struct Posix {
    /// The stack and its time.
    pub machine: Machine,
    /// What new sockets start with, and the rest of what commands set.
    pub defaults: Defaults,
    table: Table,
    pipes: Pipes,
    fast_open: fast_open::FastOpen,
    /// Local ports given out to active opens.
    ports: u16,
    /// Files that commands made, all of zeros: their lengths by name.
    files: BTreeMap<String, usize>,
    /// Counters at the last `nstat`.
    counted: Option<Counters>,
}

/// The first local port of active opens that name none.
const FIRST_PORT: u16 = 40_001;

impl Posix {
    /// A stack without sockets. The configuration's limits and device come from `defaults`.
    pub fn new(defaults: Defaults, start: Instant) -> Result<Posix, String> {
        let machine = Machine::new(defaults.shard()?, start)?;
        Ok(Posix {
            machine,
            defaults,
            table: Table::default(),
            pipes: Pipes::default(),
            fast_open: fast_open::FastOpen::default(),
            ports: 0,
            files: BTreeMap::new(),
            counted: None,
        })
    }

    /// Starts the stack anew with changed defaults. Only possible while nothing is open.
    pub fn restart(&mut self, defaults: Defaults) -> Result<(), String> {
        if !self.table.is_empty() {
            return Err("the stack's limits cannot change while sockets are open".to_string());
        }
        let (now, start) = (self.machine.now, self.machine.start);
        self.machine = Machine::new(defaults.shard()?, now)?;
        self.machine.start = start;
        self.defaults = defaults;
        Ok(())
    }

    /// An address of ours that is learned late: the stack starts anew with it, which is possible
    /// while every socket is as new.
    pub fn add_address(&mut self, address: IpAddr, prefix: u8) -> Result<(), String> {
        if self.defaults.addresses.iter().any(|(ours, _)| *ours == address) {
            return Ok(());
        }
        if !self.table.is_fresh() {
            return Err(format!("{address} is no address of the stack, which is in use already"));
        }
        let mut defaults = self.defaults.clone();
        defaults.addresses.insert(0, (address, prefix));
        let (now, start) = (self.machine.now, self.machine.start);
        self.machine = Machine::new(defaults.shard()?, now)?;
        self.machine.start = start;
        self.defaults = defaults;
        Ok(())
    }

    /// The configuration the stack was started with.
    pub fn config(&self) -> Result<ShardConfig, String> {
        self.defaults.shard()
    }

    /// Descriptors in use.
    pub fn open_descriptors(&self) -> Vec<i32> {
        self.table.open()
    }

    /// The connection behind a socket.
    pub fn connection(&self, fd: i32) -> Option<ConnId> {
        self.table.socket(fd)?.connection()
    }

    /// The words of SO_MEMINFO of the socket that holds a connection.
    pub fn memory_words(&self, conn: ConnId) -> Option<[u32; 9]> {
        let socket = self.table.sockets().find(|socket| socket.connection() == Some(conn))?;
        let info = self.machine.shard.info(self.machine.now, conn).ok();
        Some(self.memory_info(socket, info.and_then(|info| info.figures).as_ref()))
    }

    /// Our end of a socket's connection, or where it is bound.
    pub fn local_address(&self, fd: i32) -> Option<SocketAddr> {
        let socket = self.table.socket(fd)?;
        let live = socket.connection().and_then(|conn| self.ends(conn));
        live.map(|(local, _)| local).or(socket.bound)
    }

    /// The peer's end of a socket's connection.
    pub fn peer_address(&self, fd: i32) -> Option<SocketAddr> {
        let conn = self.connection(fd)?;
        self.ends(conn).map(|(_, remote)| remote)
    }

    /// The connection between two ends, whoever holds it.
    pub fn find(&self, local: SocketAddr, remote: SocketAddr) -> Option<ConnId> {
        let mut all = self.machine.shard.connections();
        all.find(|id| self.ends(*id) == Some((local, remote)))
    }

    fn ends(&self, conn: ConnId) -> Option<(SocketAddr, SocketAddr)> {
        let info = self.machine.shard.info(self.machine.now, conn).ok()?;
        Some((info.local, info.remote))
    }

    fn state(&self, conn: ConnId) -> StateName {
        let info = self.machine.shard.info(self.machine.now, conn);
        info.map_or(StateName::Closed, |info| info.state)
    }

    /// Whether the peer sends no more.
    fn peer_is_done(&self, conn: ConnId) -> bool {
        matches!(
            self.state(conn),
            StateName::CloseWait
                | StateName::Closing
                | StateName::LastAck
                | StateName::TimeWait
                | StateName::Closed
        )
    }

    /// The socket, or the error that a call on `fd` ends with.
    fn socket_of(&self, fd: i32) -> Result<&Socket, Errno> {
        match self.table.entry(fd) {
            Some(Entry::Socket(socket)) => Ok(socket),
            Some(_) => Err(Errno::ENOTSOCK),
            None => Err(Errno::EBADF),
        }
    }

    /// A packet arrives now.
    pub fn deliver(&mut self, octets: Vec<u8>) {
        self.machine.deliver(octets);
        self.observe();
    }

    /// The same for a packet that the device merged from segments of so many payload octets.
    pub fn deliver_merged(&mut self, octets: Vec<u8>, segment_octets: u16) {
        self.machine.deliver_merged(octets, segment_octets);
        self.observe();
    }

    /// One step towards `limit`: to the stack's next deadline, or to the limit itself. False when
    /// the limit is reached and everything due then was done.
    pub fn step(&mut self, limit: Instant) -> bool {
        let stepped = self.machine.step(limit);
        self.observe();
        stepped
    }

    /// Lets the stack do what a call caused.
    fn settle(&mut self) {
        self.machine.settle();
        self.observe();
    }

    /// The error of a connection that ended, told once.
    fn take_error(&mut self, fd: i32) -> Option<Errno> {
        let socket = self.table.socket_mut(fd)?;
        let conn = socket.connection()?;
        let reason = *self.machine.over.get(&conn)?;
        if core::mem::replace(&mut socket.told, true) {
            return None;
        }
        // A reset after the peer's FIN says that nobody there reads any more.
        let half_closed = self.machine.half_closed.contains(&conn);
        if reason == CloseReason::Reset && half_closed {
            return Some(Errno::EPIPE);
        }
        Errno::of_end(reason)
    }
}

/// The error as a status, or the value.
macro_rules! or_status {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return Status::Error(error),
        }
    };
}
pub(crate) use or_status;
