//! The native face: a handler on the stack's own thread, told events.
//!
//! Owns: the [`Handler`] trait and what a handler may do ([`Context`]).
//! Must not know: sockets, futures. No task and no lock per connection: this is the face for a
//! million idle streams.

use crate::engine::ShardEvent;
use crate::engine::{ConnInfo, Decision, Engine, Gate, ListenerInfo, Read};
use crate::engine::{FastOpenListen, FirstData};
use crate::lots::{Lots, Swept};
use std::io;
use std::net::{IpAddr, SocketAddr};
use usertcp_base::{ConnId, Counters, Instant, ListenerId, Rate, RateGroupId, SharedKey, Span};
use usertcp_frame::{Chain, FramePool, FrameSlice};
use usertcp_stack::{AuthInfo, AuthKey, KeyError, KeyHandle, RateGroupInfo};
use usertcp_tcp::{Settings, WriteEnd};

/// A program on the stack's thread.
///
/// Its methods must not block: while one runs, no packet is looked at.
pub trait Handler: 'static {
    /// The stack runs. The place to listen and to connect.
    fn on_start(&mut self, context: &mut Context<'_>) {
        let _ = context;
    }
    /// Something happened to a connection.
    fn on_event(&mut self, context: &mut Context<'_>, event: ShardEvent);
    /// [`Stack::wake`](crate::Stack::wake) was called, or the moment asked for with
    /// [`Context::wake_after`] has come. Several calls may be answered by one.
    fn on_wake(&mut self, context: &mut Context<'_>) {
        let _ = context;
    }
    /// All events of one turn have been given.
    fn on_turn(&mut self, context: &mut Context<'_>) {
        let _ = context;
    }
    /// The stack is being shut down: the place to close what should be closed in good order.
    /// Events still come, until all connections are over or the linger time has passed; what is
    /// left then is reset. Without a method of its own a handler's connections are sent FIN.
    fn on_stop(&mut self, context: &mut Context<'_>) {
        context.shutdown_all();
    }
}

/// Where to listen. The most specific listener that fits gets the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ListenAt {
    /// One of the stack's addresses; `None`: any.
    pub address: Option<IpAddr>,
    /// A port; zero: one that is free, which [`Context::listener_info`] tells; `None`: every port.
    /// A connection tells by its local address where it was going.
    pub port: Option<u16>,
}

impl ListenAt {
    /// A port of all addresses.
    pub const fn port(port: u16) -> ListenAt {
        ListenAt { address: None, port: Some(port) }
    }
}

impl From<SocketAddr> for ListenAt {
    /// The unspecified address (`0.0.0.0`, `[::]`) stands for any, of either family.
    fn from(address: SocketAddr) -> ListenAt {
        let ip = address.ip();
        ListenAt { address: (!ip.is_unspecified()).then_some(ip), port: Some(address.port()) }
    }
}

/// How to listen.
#[derive(Clone, Copy, Debug)]
pub struct ListenOptions {
    /// Connections that may wait to be accepted. Beyond it the last step of a handshake is
    /// ignored, and the peer tries again.
    pub backlog: u32,
    /// What accepted connections start with; `None`: the stack's defaults.
    pub settings: Option<Settings>,
    /// Accept data on SYNs (TCP Fast Open, RFC 7413): such a connection is accepted, can be read and
    /// written, before its handshake is complete. The data may be delivered twice, in two
    /// connections, if the network repeats a SYN: for requests that may be repeated only. `None`:
    /// off.
    pub fast_open: Option<FastOpenListen>,
    /// What all accepted connections may send together: octets per second of packets that carry data
    /// or FIN, from the IP header on. Of a [`TcpListener`](crate::TcpListener) of several shards each
    /// has what it needs of it. `None`: no bound.
    pub shared_rate: Option<Rate>,
}

impl Default for ListenOptions {
    fn default() -> Self {
        ListenOptions { backlog: 1024, settings: None, fast_open: None, shared_rate: None }
    }
}

/// How to connect.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnectOptions {
    /// The local address; `None`: the one that suits.
    pub local_address: Option<IpAddr>,
    /// The local port; `None`: one that is free. Of several shards, it decides which one's the connection is:
    /// [`TcpStream::connect_with`](crate::TcpStream::connect_with) goes there, [`Context::connect`] fails
    /// elsewhere.
    pub local_port: Option<u16>,
    /// What the connection starts with; `None`: the stack's defaults.
    pub settings: Option<Settings>,
}

/// What a handler may do. It lives for one call of the handler.
///
/// In a stack of several shards it is one shard's: its connections, listeners, keys, counters and pool
/// are that shard's, and nothing of another can be reached through it.
///
/// A connection is named by its [`ConnId`], from [`Context::accept`] or [`Context::connect`] until
/// [`Context::close`] or [`Context::abort`]; both are due even after
/// [`ShardEvent::Closed`], because what was received can be read until then. What a handler knows of
/// each it finds by a number of its own, [`Context::token`], or by `conn.slot`, a small number that is
/// unique among connections that exist.
pub struct Context<'a> {
    pub(crate) engine: &'a mut dyn Engine,
    pub(crate) now: Instant,
    pub(crate) state: &'a mut ContextState,
}

/// What outlives one context.
#[derive(Debug, Default)]
pub(crate) struct ContextState {
    /// When the handler wants to be woken.
    pub(crate) wake_at: Option<Instant>,
    /// Tokens are the sockets' own: by them they find what belongs to a connection.
    pub(crate) of_sockets: bool,
    /// The handler did something that may want a turn.
    pub(crate) acted: bool,
}

/// The connection of `engine` that comes next after `after` among those that the application holds.
pub(crate) fn next_held(engine: &dyn Engine, after: Option<ConnId>) -> Option<ConnId> {
    let mut at = engine.next_connection(after);
    while let Some(conn) = at {
        if engine.token(conn).is_some() {
            return at;
        }
        at = engine.next_connection(at);
    }
    None
}

impl Context<'_> {
    /// The moment of this turn.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Asks for [`Handler::on_wake`] in `span`; the earliest request counts.
    pub fn wake_after(&mut self, span: Span) {
        let at = self.now + span;
        self.state.wake_at = Some(self.state.wake_at.map_or(at, |other| other.min(at)));
    }

    /// Takes back every request to be woken.
    pub(crate) fn sleep_freely(&mut self) {
        self.state.wake_at = None;
    }

    /// Listens.
    ///
    /// # Errors
    /// `AddrInUse`; `AddrNotAvailable` when the address is not the stack's.
    pub fn listen(&mut self, at: ListenAt, options: &ListenOptions) -> io::Result<ListenerId> {
        self.engine.listen(self.now, at, options)
    }

    /// Ends a listener. Connections that waited to be accepted are reset.
    pub fn unlisten(&mut self, listener: ListenerId) {
        self.state.acted = true;
        self.engine.unlisten(self.now, listener);
    }

    /// Where a listener listens, and who waits there.
    pub fn listener_info(&self, listener: ListenerId) -> Option<ListenerInfo> {
        self.engine.listener_info(listener)
    }

    /// Lets the handler decide on each SYN at `listener`, before it is answered:
    /// [`ShardEvent::Asked`] asks, [`Context::decide`] answers.
    pub fn set_gate(&mut self, listener: ListenerId, gate: Gate) {
        self.engine.set_gate(listener, gate);
    }

    /// Decides on a SYN.
    ///
    /// # Errors
    /// `NotConnected` when it is gone.
    pub fn decide(&mut self, conn: ConnId, decision: Decision) -> io::Result<()> {
        self.state.acted = true;
        self.engine.decide(self.now, conn, decision)
    }

    /// The connection that has waited longest at `listener`.
    pub fn accept(&mut self, listener: ListenerId) -> Option<ConnId> {
        self.engine.accept(listener)
    }

    /// Begins to open a connection. [`ShardEvent::Connected`] or [`ShardEvent::Closed`] follows.
    ///
    /// # Errors
    /// `AddrNotAvailable` when no address of the stack reaches there, or when the connection would be another
    /// shard's; `AddrInUse` when no port is free; `InvalidInput` when nobody can be at `remote`; `OutOfMemory` at a limit.
    pub fn connect(&mut self, remote: SocketAddr, options: &ConnectOptions) -> io::Result<ConnId> {
        self.state.acted = true;
        self.engine.connect(self.now, remote, options)
    }

    /// The same with data that goes with the SYN, if the peer gave us a cookie on an earlier occasion
    /// (TCP Fast Open, RFC 7413); else it is asked for one, and the data follows the handshake. How
    /// many octets there was room for: as for [`Context::write`].
    ///
    /// # Errors
    /// As [`Context::connect`].
    pub fn connect_with_data(
        &mut self,
        remote: SocketAddr,
        options: &ConnectOptions,
        first: FirstData<'_>,
    ) -> io::Result<(ConnId, usize)> {
        self.state.acted = true;
        self.engine.connect_with(self.now, remote, options, first)
    }

    /// A new key for the Fast Open cookies of the stack (of several shards, to be given to each:
    /// [`Stack::run_each`](crate::Stack::run_each)). Cookies made with the present one are
    /// good until the next change. Without a call the key is the stack's own secret.
    pub fn rotate_fast_open_key(&mut self, key: SharedKey) {
        self.engine.rotate_fast_open_key(key);
    }

    /// Copies octets to be sent; how many there was room for. After fewer than all,
    /// [`ShardEvent::Writable`] follows when there is room.
    ///
    /// # Errors
    /// `BrokenPipe` when the sending side is closed, `NotConnected` when the connection is over.
    pub fn write(&mut self, conn: ConnId, octets: &[u8]) -> io::Result<usize> {
        self.write_with(conn, octets, WriteEnd::Open)
    }

    /// The same, and what the end of these octets is: the end of a record, which no segment crosses,
    /// or a place more follows at, so that a partial segment waits for it up to 200 ms. If fewer than
    /// all were taken, the end is not yet written; say it again with the rest.
    ///
    /// # Errors
    /// As [`Context::write`].
    pub fn write_with(&mut self, conn: ConnId, octets: &[u8], end: WriteEnd) -> io::Result<usize> {
        self.state.acted = true;
        self.engine.write(self.now, conn, octets, end)
    }

    /// Sends slices without a copy: all of them, even if they are more than there is room for, or,
    /// when there is no room at all, none: they are given back, and [`ShardEvent::Writable`]
    /// follows when there is room.
    ///
    /// # Errors
    /// As [`Context::write`].
    pub fn write_chain(&mut self, conn: ConnId, chain: Chain) -> io::Result<Chain> {
        self.state.acted = true;
        self.engine.write_chain(self.now, conn, chain)
    }

    /// Octets a write would take now.
    pub fn send_room(&self, conn: ConnId) -> usize {
        self.engine.send_room(conn)
    }

    /// Copies out what was received. What is left of a connection that has ended can be read too.
    ///
    /// # Errors
    /// `NotConnected` when there is no such connection.
    pub fn read(&mut self, conn: ConnId, out: &mut [u8]) -> io::Result<Read<usize>> {
        self.state.acted = true;
        self.engine.read(self.now, conn, out)
    }

    /// Takes the next slice of what was received, without a copy.
    ///
    /// # Errors
    /// As [`Context::read`].
    pub fn read_slice(&mut self, conn: ConnId) -> io::Result<Read<FrameSlice>> {
        self.state.acted = true;
        self.engine.read_slice(self.now, conn)
    }

    /// Octets a read would find now.
    pub fn readable_octets(&self, conn: ConnId) -> usize {
        self.engine.readable_octets(conn)
    }

    /// Whether a read would find something: octets, the end, or an error.
    pub fn is_readable(&self, conn: ConnId) -> bool {
        self.engine.is_readable(conn)
    }

    /// Sends FIN after everything written. Reading goes on.
    ///
    /// # Errors
    /// `NotConnected` when there is no such connection.
    pub fn shutdown_write(&mut self, conn: ConnId) -> io::Result<()> {
        self.state.acted = true;
        self.engine.shutdown_write(self.now, conn)
    }

    /// Lets go of a connection in good order: what was written is delivered. With data unread the
    /// peer is sent a reset (RFC 9293 §3.6.1).
    pub fn close(&mut self, conn: ConnId) {
        self.state.acted = true;
        self.engine.close(self.now, conn);
    }

    /// Resets a connection and lets go of it.
    pub fn abort(&mut self, conn: ConnId) {
        self.state.acted = true;
        self.engine.abort(self.now, conn);
    }

    /// What a connection tells about itself.
    pub fn info(&self, conn: ConnId) -> Option<ConnInfo> {
        self.engine.info(self.now, conn)
    }

    /// All connections of the shard, in any state. With many, walk them by
    /// [`Context::next_connection`].
    pub fn connections(&self) -> Vec<ConnId> {
        let first = self.next_connection(None);
        std::iter::successors(first, |conn| self.next_connection(Some(*conn))).collect()
    }

    /// The connection of the shard, in any state, that comes next after `after`; without it, the first.
    /// So all can be visited, a few in each turn, while they come and go.
    pub fn next_connection(&self, after: Option<ConnId>) -> Option<ConnId> {
        self.engine.next_connection(after)
    }

    /// Keeps a number of the handler's own with a connection it holds, from [`Context::accept`] or
    /// [`Context::connect`] until it lets go: the index of what it knows of that connection, or all that it
    /// knows. It lies in the connection's record and costs no memory. False: there is no such connection;
    /// or the stack serves sockets, which need the tokens themselves.
    pub fn set_token(&mut self, conn: ConnId, token: u32) -> bool {
        !self.state.of_sockets && self.engine.set_token(conn, token)
    }

    /// The number given by [`Context::set_token`], zero before; `None`: the handler holds no such
    /// connection. One access to the connection's record, which an event has brought into the cache: no
    /// look-up.
    pub fn token(&self, conn: ConnId) -> Option<u32> {
        self.engine.token(conn)
    }

    /// The sockets' own use of tokens.
    pub(crate) fn mark(&mut self, conn: ConnId, token: u32) {
        self.engine.set_token(conn, token);
    }

    /// The connection that comes next after `after` among those that are held here.
    pub(crate) fn next_held(&self, after: Option<ConnId>) -> Option<ConnId> {
        next_held(&*self.engine, after)
    }

    /// Goes on closing the connections of lots that nobody holds any more.
    pub(crate) fn sweep<T>(&mut self, lots: &mut Lots<T>) -> Swept {
        let swept = lots.sweep(self.now, &mut *self.engine);
        self.state.acted |= swept != Swept::Done;
        swept
    }

    /// Sends FIN on every connection the handler holds, after what was written.
    pub fn shutdown_all(&mut self) {
        let mut last = None;
        while let Some(conn) = self.next_held(last) {
            last = Some(conn);
            // What cannot be closed in good order is over already.
            if self.shutdown_write(conn).is_err() {
                self.abort(conn);
            }
        }
    }

    /// A connection's settings.
    pub fn settings(&self, conn: ConnId) -> Option<Settings> {
        self.engine.settings(conn)
    }

    /// Changes them.
    ///
    /// # Errors
    /// `NotConnected` when there is no such connection.
    pub fn set_settings(&mut self, conn: ConnId, settings: &Settings) -> io::Result<()> {
        self.state.acted = true;
        self.engine.set_settings(self.now, conn, settings)
    }

    /// A rate that connections of this shard may share: octets per second of packets that carry data or
    /// FIN, from the IP header on, whatever is retransmitted included. Of a stack with several shards
    /// each has its own groups: [`Stack::create_rate_group`](crate::Stack::create_rate_group) divides one.
    ///
    /// # Errors
    /// `OutOfMemory`: there are as many groups as there can be.
    pub fn create_rate_group(&mut self, rate: Rate) -> io::Result<RateGroupId> {
        self.engine.create_rate_group(self.now, rate)
    }

    /// Changes a group's rate from now on, also for what waits at present.
    ///
    /// # Errors
    /// `NotFound`: it was removed.
    pub fn set_rate_group(&mut self, group: RateGroupId, rate: Rate) -> io::Result<()> {
        self.state.acted = true;
        self.engine.set_rate_group(self.now, group, rate)
    }

    /// Takes a group away. Its members are under its rate no more.
    ///
    /// # Errors
    /// `NotFound`: it was removed.
    pub fn remove_rate_group(&mut self, group: RateGroupId) -> io::Result<()> {
        self.state.acted = true;
        self.engine.remove_rate_group(group)
    }

    /// A group's figures.
    pub fn rate_group_info(&self, group: RateGroupId) -> Option<RateGroupInfo> {
        self.engine.rate_group_info(group)
    }

    /// The connection shares the group's rate from now on, by its weight among the members that have
    /// something to send; [`RateGroupId::NONE`]: no group's.
    ///
    /// # Errors
    /// `NotConnected` when there is no such connection or group.
    pub fn join_rate_group(
        &mut self,
        conn: ConnId,
        group: RateGroupId,
        weight: u16,
    ) -> io::Result<()> {
        self.state.acted = true;
        self.engine.join_rate_group(self.now, conn, group, weight)
    }

    /// What all connections that this listener accepts may send together, those it has accepted already too
    /// (of more than 32 listeners without a rate not all: see [`TcpListener::set_shared_rate`](crate::TcpListener::set_shared_rate)).
    ///
    /// # Errors
    /// `NotFound`: no such listener.
    pub fn set_listener_rate(&mut self, listener: ListenerId, rate: Rate) -> io::Result<()> {
        self.state.acted = true;
        self.engine.set_listener_rate(self.now, listener, rate)
    }

    /// The figures of a listener's rate, if it was given one.
    pub fn listener_rate_info(&self, listener: ListenerId) -> Option<RateGroupInfo> {
        self.engine.listener_rate_info(listener)
    }

    /// What all connections of this shard may send together.
    pub fn set_shard_rate(&mut self, rate: Rate) {
        self.state.acted = true;
        self.engine.set_shard_rate(self.now, rate);
    }

    /// The same, to be told.
    pub fn shard_rate(&self) -> Rate {
        self.engine.shard_rate()
    }

    /// Adds a key: it protects connections that are opened after this, and for TCP-AO it is a further
    /// key of those that are open.
    ///
    /// # Errors
    /// [`KeyError`]: another key excludes it, or it is not well formed.
    pub fn add_auth_key(&mut self, key: AuthKey) -> Result<KeyHandle, KeyError> {
        self.engine.add_auth_key(key)
    }

    /// Takes a key away.
    ///
    /// # Errors
    /// [`KeyError::InUse`] while a connection needs it; [`KeyError::Unknown`].
    pub fn remove_auth_key(&mut self, key: KeyHandle) -> Result<(), KeyError> {
        self.engine.remove_auth_key(key)
    }

    /// A connection asks its peer to sign with the TCP-AO key that has this `receive_id` here.
    ///
    /// # Errors
    /// [`KeyError::Unknown`] when there is no such key, or the connection has no TCP-AO.
    pub fn ask_for_auth_key(&mut self, conn: ConnId, receive_id: u8) -> Result<(), KeyError> {
        self.state.acted = true;
        self.engine.ask_for_auth_key(conn, receive_id)
    }

    /// What protects a connection; `None`: nothing.
    pub fn auth_info(&self, conn: ConnId) -> Option<AuthInfo> {
        self.engine.auth_info(conn)
    }

    /// What the shard counts.
    pub fn counters(&self) -> &Counters {
        self.engine.counters()
    }

    /// The pool to take frames from.
    pub fn pool(&self) -> &FramePool {
        self.engine.pool()
    }
}
