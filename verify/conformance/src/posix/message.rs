//! sendmsg and recvmsg, the error queue. Owns: control messages, the records that SO_ZEROCOPY and
//! SO_TIMESTAMPING ask for, made from what the stack tells of a connection.
//! Must not know: how control messages are laid out in a script.
//!
//! The stack copies what is written, so a zero-copy send is complete, and said to have been copied,
//! when its octets are acknowledged.

use super::errno::Errno;
use super::info::statistics;
use super::names as n;
use super::table::Socket;
use super::{Pending, Posix, Status, Target};
use std::collections::VecDeque;
use usertcp_base::{ConnId, Instant};

/// ENOMSG: the number of a record that reports no error.
pub const ENOMSG: u32 = 42;

/// An extended error, `struct sock_extended_err`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ExtendedError {
    /// Error number.
    pub errno: u32,
    /// Where it is from, `SO_EE_ORIGIN_*`.
    pub origin: u8,
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// More.
    pub info: u32,
    /// And more.
    pub data: u32,
}

/// A control message that was received.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Control {
    /// Octets left to read (SOL_TCP, TCP_CM_INQ); after the last, one for the end.
    Inq(i32),
    /// An extended error (SOL_IP IP_RECVERR, or SOL_IPV6 IPV6_RECVERR).
    Error(ExtendedError),
    /// A time (SOL_SOCKET, SCM_TIMESTAMPING), microseconds since the machine's start.
    Stamp(u64),
    /// Statistics (SOL_SOCKET, SCM_TIMESTAMPING_OPT_STATS): attribute and value.
    Statistics(Vec<(u16, u64)>),
}

/// Records that wait.
#[derive(Clone, Debug, Default)]
pub struct ErrorQueue {
    records: VecDeque<Vec<Control>>,
    /// How often one came.
    pub(super) came: u64,
}

impl ErrorQueue {
    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
    /// The oldest.
    fn pop(&mut self) -> Option<Vec<Control>> {
        self.records.pop_front()
    }
    fn push(&mut self, record: Vec<Control>) {
        self.came += 1;
        self.records.push_back(record);
    }
    /// A completed send joins the record before it if that is of the one before.
    fn complete(&mut self, id: u32) {
        self.came += 1;
        if let Some([Control::Error(last)]) = self.records.back_mut().map(Vec::as_mut_slice)
            && i64::from(last.origin) == n::SO_EE_ORIGIN_ZEROCOPY
            && last.data.wrapping_add(1) == id
        {
            last.data = id;
            return;
        }
        let error = ExtendedError {
            origin: n::SO_EE_ORIGIN_ZEROCOPY as u8,
            code: n::SO_EE_CODE_ZEROCOPY_COPIED as u8,
            info: id,
            data: id,
            ..ExtendedError::default()
        };
        self.records.push_back(vec![Control::Error(error)]);
    }
}

/// What is to be told of a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Watch {
    /// Octets of the stream up to its end.
    end: u64,
    /// `SOF_TIMESTAMPING_TX_*` still to be told.
    stamps: i64,
    /// Number in the records of times.
    key: u32,
    /// Number of a zero-copy send.
    zerocopy: Option<u32>,
}

/// What SO_TIMESTAMPING and SO_ZEROCOPY ask for, and what they wait for.
#[derive(Clone, Debug, Default)]
pub struct Stamping {
    /// `SOF_TIMESTAMPING_*`.
    pub flags: i64,
    /// Octets written when OPT_ID was set: numbers count from there.
    base: u64,
    /// Octets written in all.
    written: u64,
    zerocopies: u32,
    watches: VecDeque<Watch>,
}

const STAMPS: i64 =
    n::SOF_TIMESTAMPING_TX_SCHED | n::SOF_TIMESTAMPING_TX_SOFTWARE | n::SOF_TIMESTAMPING_TX_ACK;

impl Stamping {
    /// SO_TIMESTAMPING is set.
    pub fn set(&mut self, flags: i64) {
        if flags & n::SOF_TIMESTAMPING_OPT_ID != 0 && self.flags & n::SOF_TIMESTAMPING_OPT_ID == 0 {
            self.base = self.written;
        }
        self.flags = flags;
    }

    /// So many octets were written by a call with `flags`.
    pub fn on_written(&mut self, octets: usize, flags: i64, zerocopy: bool) {
        if octets == 0 {
            return;
        }
        self.written += octets as u64;
        let stamps = self.flags & STAMPS;
        let zerocopy = (zerocopy && flags & n::MSG_ZEROCOPY != 0).then(|| {
            self.zerocopies = self.zerocopies.wrapping_add(1);
            self.zerocopies.wrapping_sub(1)
        });
        if stamps != 0 || zerocopy.is_some() {
            let key = if self.flags & n::SOF_TIMESTAMPING_OPT_ID != 0 {
                self.written.wrapping_sub(self.base).wrapping_sub(1) as u32
            } else {
                0
            };
            self.watches.push_back(Watch { end: self.written, stamps, key, zerocopy });
        }
    }
}

/// What the stack has done with a connection's octets.
struct Position {
    now: Instant,
    start: Instant,
    sent: u64,
    acknowledged: u64,
    over: bool,
    statistics: Vec<(u16, u64)>,
}

/// Moves what happened into the error queue.
fn watch(socket: &mut Socket, at: &Position) {
    let flags = socket.stamping.flags;
    let micros = at.now.since(at.start).as_micros();
    for one in &mut socket.stamping.watches {
        let told = [
            (n::SOF_TIMESTAMPING_TX_SCHED, n::SCM_TSTAMP_SCHED, at.sent),
            (n::SOF_TIMESTAMPING_TX_SOFTWARE, n::SCM_TSTAMP_SND, at.sent),
            (n::SOF_TIMESTAMPING_TX_ACK, n::SCM_TSTAMP_ACK, at.acknowledged),
        ];
        for (bit, what, reached) in told {
            if one.stamps & bit == 0 || reached < one.end {
                continue;
            }
            one.stamps &= !bit;
            let error = ExtendedError {
                errno: ENOMSG,
                origin: n::SO_EE_ORIGIN_TIMESTAMPING as u8,
                info: what as u32,
                data: one.key,
                ..ExtendedError::default()
            };
            let mut record = vec![Control::Stamp(micros)];
            if flags & n::SOF_TIMESTAMPING_OPT_STATS != 0 {
                record.push(Control::Statistics(at.statistics.clone()));
            }
            record.push(Control::Error(error));
            socket.errors.push(record);
        }
        let complete = at.acknowledged >= one.end || at.over;
        if let Some(id) = one.zerocopy.take_if(|_| complete) {
            socket.errors.complete(id);
        }
    }
    socket.stamping.watches.retain(|one| one.stamps != 0 || one.zerocopy.is_some());
}

/// What `recvmsg` tells beside its data.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Received {
    /// `MSG_*` of the result.
    pub flags: i64,
    /// Control messages, in order.
    pub control: Vec<Control>,
}

impl Posix {
    /// Notes what happened to sockets whose program asked to be told.
    pub(super) fn observe(&mut self) {
        let machine = &self.machine;
        for socket in self.table.sockets_mut() {
            if socket.stamping.watches.is_empty() {
                continue;
            }
            let Some(conn) = socket.connection() else { continue };
            let over = machine.over.contains_key(&conn);
            let info = machine.shard.info(machine.now, conn).ok();
            let figures = info.and_then(|info| info.figures);
            let Some(figures) = figures else {
                if over {
                    let none = Position {
                        now: machine.now,
                        start: machine.start,
                        sent: 0,
                        acknowledged: 0,
                        over,
                        statistics: Vec::new(),
                    };
                    watch(socket, &none);
                }
                continue;
            };
            let unacknowledged = u64::from(figures.send_queue_octets - figures.unsent_octets);
            let position = Position {
                now: machine.now,
                start: machine.start,
                sent: figures.octets_acknowledged + unacknowledged,
                acknowledged: figures.octets_acknowledged,
                over,
                statistics: statistics(&figures),
            };
            watch(socket, &position);
        }
    }

    /// `recvmsg(2)`.
    pub fn recvmsg(
        &mut self,
        fd: i32,
        into: &mut [Target<'_>],
        flags: i64,
        pending: &mut Pending,
    ) -> (Status, Received) {
        let mut received = Received::default();
        let socket = match self.socket_of(fd) {
            Ok(socket) => socket,
            Err(errno) => return (Status::Error(errno), received),
        };
        if flags & n::MSG_ERRQUEUE != 0 {
            return self.receive_error(fd, flags);
        }
        let (inq, conn) = (socket.option(n::SOL_TCP, n::TCP_INQ) != 0, socket.connection());
        let status = self.receive(fd, into, flags, pending);
        if let (true, Some(conn), Status::Done(_)) = (inq, conn, &status) {
            received.control.push(Control::Inq(self.inq(conn)));
        }
        (status, received)
    }

    /// Octets left to read; one when only the end is left.
    fn inq(&self, conn: ConnId) -> i32 {
        let octets = self.queued_to_read(conn);
        let ended = octets == 0 && self.peer_is_done(conn);
        i32::try_from(octets).unwrap_or(i32::MAX) + i32::from(ended)
    }

    /// The oldest record of the error queue; this never waits.
    fn receive_error(&mut self, fd: i32, _flags: i64) -> (Status, Received) {
        let Some(socket) = self.table.socket_mut(fd) else {
            return (Status::Error(Errno::EBADF), Received::default());
        };
        let Some(control) = socket.errors.pop() else {
            return (Status::Error(Errno::EAGAIN), Received::default());
        };
        // The packet of a time would be in the data, and there is no room for it: cut off.
        let cut = matches!(control.first(), Some(Control::Stamp(_)))
            && socket.stamping.flags & n::SOF_TIMESTAMPING_OPT_TSONLY == 0;
        let flags = n::MSG_ERRQUEUE | if cut { n::MSG_TRUNC } else { 0 };
        (Status::Done(0), Received { flags, control })
    }
}
