//! socket, bind, listen, accept, connect, close, shutdown, fcntl, ioctl.
//! Owns: how a socket comes to be a listener or a connection, and how it ends.
//! Must not know: data, options.

use super::errno::Errno;
use super::names as n;
use super::table::{Entry, Kind, Socket};
use super::{FIRST_PORT, Pending, Posix, Status, or_status};
use core::net::SocketAddr;
use usertcp_base::ConnId;
use usertcp_cc::{Algorithm, AnyController, PathStart};
use usertcp_stack::{Connect, ConnectError, Listen, ListenError, Profile};
use usertcp_tcp::StateName;

fn cubic(path: &PathStart) -> AnyController {
    AnyController::start_with(Algorithm::Cubic, path)
}

fn reno(path: &PathStart) -> AnyController {
    AnyController::start_with(Algorithm::Reno, path)
}

/// What connections of this socket start with.
pub(super) fn profile(socket: &Socket) -> Profile<AnyController> {
    let controller = match socket.algorithm {
        Algorithm::Cubic => cubic,
        Algorithm::Reno => reno,
    };
    Profile { settings: socket.settings, controller }
}

impl Posix {
    /// `socket(2)`.
    pub fn socket(&mut self, domain: i64, kind: i64, protocol: i64) -> Status {
        let flags = n::SOCK_NONBLOCK | n::SOCK_CLOEXEC;
        if domain != n::AF_INET && domain != n::AF_INET6 {
            return Status::Error(Errno::EAFNOSUPPORT);
        }
        if kind & !flags != n::SOCK_STREAM {
            return Status::Missing("sockets that are no streams".to_string());
        }
        if protocol != n::IPPROTO_IP && protocol != n::IPPROTO_TCP {
            return Status::Missing(format!("protocol {protocol}"));
        }
        let nonblocking = kind & n::SOCK_NONBLOCK != 0;
        let (settings, algorithm) = (self.defaults.settings, self.defaults.algorithm);
        let socket = Socket::fresh(settings, algorithm, nonblocking);
        Status::Done(self.table.insert(Entry::Socket(Box::new(socket))).into())
    }

    /// `bind(2)`.
    pub fn bind(&mut self, fd: i32, address: SocketAddr) -> Status {
        let socket = or_status!(self.socket_of(fd));
        if socket.kind != Kind::Fresh || socket.bound.is_some() {
            return Status::Error(Errno::EINVAL);
        }
        let ours = self.defaults.addresses.iter().any(|(ours, _)| *ours == address.ip());
        let freebind = socket.option(n::SOL_IP, n::IP_FREEBIND) != 0;
        if !ours && !address.ip().is_unspecified() && !freebind {
            return Status::Error(Errno::EADDRNOTAVAIL);
        }
        if let Some(socket) = self.table.socket_mut(fd) {
            socket.bound = Some(address);
        }
        Status::Done(0)
    }

    /// `listen(2)`.
    pub fn listen(&mut self, fd: i32, backlog: i64) -> Status {
        let socket = or_status!(self.socket_of(fd));
        match socket.kind {
            // Another length of the queue: the stack keeps the first.
            Kind::Listening(_) => return Status::Done(0),
            Kind::Connected(_) => return Status::Error(Errno::EINVAL),
            Kind::Fresh => {}
        }
        let bound = socket.bound;
        let listen = Listen {
            local: bound.map(|bound| bound.ip()).filter(|ip| !ip.is_unspecified()),
            port: Some(bound.map_or(0, |bound| bound.port())),
            backlog: u32::try_from(backlog).unwrap_or(128),
            profile: profile(socket),
        };
        match self.machine.shard.listen(&listen) {
            Ok(listener) => {
                if let Some(socket) = self.table.socket_mut(fd) {
                    socket.kind = Kind::Listening(listener);
                }
                self.apply_fast_open(fd, backlog);
                self.settle();
                Status::Done(0)
            }
            Err(ListenError::InUse) => Status::Error(Errno::EADDRINUSE),
            Err(ListenError::NotOurs) => Status::Error(Errno::EADDRNOTAVAIL),
        }
    }

    /// `accept(2)` and `accept4(2)`. The peer's address is [`Posix::peer_address`] of the result.
    pub fn accept(&mut self, fd: i32, flags: i64, pending: &mut Pending) -> Status {
        let socket = or_status!(self.socket_of(fd));
        let Kind::Listening(listener) = socket.kind else {
            return Status::Error(Errno::EINVAL);
        };
        let (nonblocking, timeout) = (socket.nonblocking, socket.receive_timeout_ms);
        let parent = socket.clone();
        let accepted = self.machine.shard.accept(listener);
        self.settle();
        match accepted {
            Some(conn) => {
                let child = parent.accepted(conn, flags & n::SOCK_NONBLOCK != 0);
                Status::Done(self.table.insert(Entry::Socket(Box::new(child))).into())
            }
            None if nonblocking => Status::Error(Errno::EAGAIN),
            None => self.wait(pending, timeout, Errno::EAGAIN),
        }
    }

    /// Blocks, or ends the call with `late` when its time is up. A `timeout_ms` of zero is none.
    pub(super) fn wait(&self, pending: &mut Pending, timeout_ms: u64, late: Errno) -> Status {
        if timeout_ms > 0 && pending.deadline.is_none() {
            let span = usertcp_base::Span::from_millis(timeout_ms);
            pending.deadline = Some(self.machine.now + span);
        }
        pending.begun = true;
        match pending.deadline {
            Some(deadline) if deadline <= self.machine.now => Status::Error(late),
            _ => Status::Blocked,
        }
    }

    /// `connect(2)`; `None` is the address family AF_UNSPEC.
    pub fn connect(&mut self, fd: i32, to: Option<SocketAddr>, pending: &mut Pending) -> Status {
        let socket = or_status!(self.socket_of(fd));
        let Some(to) = to else { return self.disconnect(fd) };
        let nonblocking = socket.nonblocking;
        let timeout = socket.send_timeout_ms;
        let conn = match socket.kind {
            Kind::Listening(_) => return Status::Error(Errno::EISCONN),
            Kind::Fresh => return self.connect_or_defer(fd, to, pending),
            Kind::Connected(conn) => conn,
        };
        let state = self.state(conn);
        if let Some(error) = self.take_error(fd) {
            return Status::Error(error);
        }
        match state {
            StateName::SynSent | StateName::SynReceived if pending.begun && !nonblocking => {
                self.wait(pending, timeout, Errno::EINPROGRESS)
            }
            StateName::SynSent | StateName::SynReceived => Status::Error(Errno::EALREADY),
            StateName::Closed => Status::Error(Errno::ECONNABORTED),
            _ if pending.begun || self.is_told_connected(fd) => Status::Done(0),
            _ => Status::Error(Errno::EISCONN),
        }
    }

    /// The first `connect` after one that did not wait tells of its success, as Linux has it.
    fn is_told_connected(&mut self, fd: i32) -> bool {
        let socket = self.table.socket_mut(fd);
        socket.is_some_and(|socket| core::mem::take(&mut socket.connecting))
    }

    /// What a connection of `fd` to `to` is opened with.
    pub(super) fn destination(
        &mut self,
        fd: i32,
        to: SocketAddr,
    ) -> Result<Connect<AnyController>, Errno> {
        let socket = self.socket_of(fd)?;
        let bound = socket.bound.map(|bound| (bound.ip(), bound.port()));
        let port = bound.map(|(_, port)| port).filter(|port| *port != 0);
        let port = port.unwrap_or_else(|| {
            self.ports = self.ports % 20_000 + 1;
            FIRST_PORT + self.ports - 1
        });
        let socket = self.socket_of(fd)?;
        Ok(Connect {
            remote: to.ip(),
            remote_port: to.port(),
            local: bound.map(|(ip, _)| ip).filter(|ip| !ip.is_unspecified()),
            local_port: Some(port),
            profile: profile(socket),
        })
    }

    /// The socket becomes the connection that was opened.
    pub(super) fn connected_to(
        &mut self,
        fd: i32,
        opened: Result<ConnId, ConnectError>,
    ) -> Result<(), Errno> {
        let conn = opened.map_err(|error| match error {
            // A script's stack has one shard: nothing is elsewhere.
            ConnectError::InUse | ConnectError::Elsewhere(_) => Errno::EADDRNOTAVAIL,
            ConnectError::Local => Errno::ENETUNREACH,
            ConnectError::Remote => Errno::EINVAL,
            ConnectError::Limit => Errno::ENOBUFS,
        })?;
        if let Some(socket) = self.table.socket_mut(fd) {
            socket.kind = Kind::Connected(conn);
            socket.told = false;
            socket.connecting = socket.nonblocking;
        }
        self.settle();
        Ok(())
    }

    pub(super) fn begin_connect(
        &mut self,
        fd: i32,
        to: SocketAddr,
        pending: &mut Pending,
    ) -> Status {
        let socket = or_status!(self.socket_of(fd));
        let (nonblocking, timeout) = (socket.nonblocking, socket.send_timeout_ms);
        let connect = or_status!(self.destination(fd, to));
        let opened = self.machine.shard.connect(self.machine.now, &connect);
        or_status!(self.connected_to(fd, opened));
        if nonblocking {
            return Status::Error(Errno::EINPROGRESS);
        }
        self.wait(pending, timeout, Errno::EINPROGRESS)
    }

    /// `connect` to AF_UNSPEC: the connection is reset, or the listener gone, and the socket is
    /// as new.
    fn disconnect(&mut self, fd: i32) -> Status {
        let Some(socket) = self.table.socket_mut(fd) else { return Status::Error(Errno::EBADF) };
        let kind = core::mem::replace(&mut socket.kind, Kind::Fresh);
        socket.told = false;
        (socket.read_shut, socket.write_shut) = (false, false);
        let now = self.machine.now;
        match kind {
            Kind::Fresh => {}
            Kind::Listening(listener) => self.machine.shard.close_listener(now, listener),
            Kind::Connected(conn) => self.machine.shard.abort(now, conn),
        }
        self.settle();
        Status::Done(0)
    }

    /// `close(2)`.
    pub fn close(&mut self, fd: i32) -> Status {
        let Some(entry) = self.table.remove(fd) else { return Status::Error(Errno::EBADF) };
        self.fast_open.forget(fd);
        let socket = match entry {
            Entry::Socket(socket) => socket,
            Entry::PipeOut(pipe) | Entry::PipeIn(pipe) => {
                self.pipes.close(pipe, matches!(entry, Entry::PipeIn(_)));
                return Status::Done(0);
            }
            Entry::Epoll(_) | Entry::File(_) => return Status::Done(0),
        };
        let now = self.machine.now;
        match socket.kind {
            Kind::Fresh => {}
            Kind::Listening(listener) => self.machine.shard.close_listener(now, listener),
            Kind::Connected(conn) if socket.linger_zero => self.machine.shard.abort(now, conn),
            Kind::Connected(conn) => {
                // A connection that ended by itself may have no record any more: closed either way.
                let _ = self.machine.shard.close(now, conn);
            }
        }
        self.settle();
        Status::Done(0)
    }

    /// `shutdown(2)`.
    pub fn shutdown(&mut self, fd: i32, how: i64) -> Status {
        let socket = or_status!(self.socket_of(fd));
        if !(n::SHUT_RD..=n::SHUT_RDWR).contains(&how) {
            return Status::Error(Errno::EINVAL);
        }
        let conn = match socket.kind {
            Kind::Connected(conn) => conn,
            Kind::Fresh => return Status::Error(Errno::ENOTCONN),
            Kind::Listening(_) => {
                return Status::Missing("`shutdown` of a listener".to_string());
            }
        };
        if self.state(conn) == StateName::Closed {
            return Status::Error(Errno::ENOTCONN);
        }
        let Some(socket) = self.table.socket_mut(fd) else { return Status::Error(Errno::EBADF) };
        socket.read_shut |= how != n::SHUT_WR;
        socket.write_shut |= how != n::SHUT_RD;
        if how != n::SHUT_WR {
            // One that is over reads no more anyway.
            let _ = self.machine.shard.shutdown_read(self.machine.now, conn);
        }
        let done = if how == n::SHUT_RD {
            Ok(())
        } else {
            self.machine.shard.shutdown_write(self.machine.now, conn)
        };
        self.settle();
        if done.is_ok() { Status::Done(0) } else { Status::Error(Errno::ENOTCONN) }
    }

    /// `fcntl(2)`.
    pub fn fcntl(&mut self, fd: i32, command: i64, argument: i64) -> Status {
        let Some(entry) = self.table.entry_mut(fd) else { return Status::Error(Errno::EBADF) };
        let Entry::Socket(socket) = entry else {
            return Status::Missing("`fcntl` of a descriptor that is no socket".to_string());
        };
        match command {
            n::F_GETFL => {
                let flag = if socket.nonblocking { n::O_NONBLOCK } else { 0 };
                Status::Done(n::O_RDWR | flag)
            }
            n::F_SETFL => {
                socket.nonblocking = argument & n::O_NONBLOCK != 0;
                Status::Done(0)
            }
            _ => Status::Missing(format!("command {command} of `fcntl`")),
        }
    }

    /// `ioctl(2)` with an integer result; the value goes where the third argument points to.
    pub fn ioctl(&mut self, fd: i32, request: i64) -> Result<i32, Status> {
        let socket = self.socket_of(fd).map_err(Status::Error)?;
        let octets = match (request, socket.kind) {
            (n::SIOCINQ | n::SIOCOUTQ | n::SIOCOUTQNSD, Kind::Listening(_)) => {
                return Err(Status::Error(Errno::EINVAL));
            }
            (n::SIOCINQ, Kind::Connected(conn)) => self.queued_to_read(conn),
            (n::SIOCOUTQ, Kind::Connected(conn)) => self.send_queue(conn).0,
            (n::SIOCOUTQNSD, Kind::Connected(conn)) => self.send_queue(conn).1,
            (n::SIOCINQ | n::SIOCOUTQ | n::SIOCOUTQNSD, Kind::Fresh) => 0,
            _ => return Err(Status::Missing(format!("`ioctl` {request:#x}"))),
        };
        Ok(i32::try_from(octets).unwrap_or(i32::MAX))
    }
}
