//! The engine that is one: a shard and its device queue.
//!
//! Owns: the shard's answers and refusals in the terms of `std::io`. Must not know: threads.

use crate::engine::{Arrival, ConnInfo, Decision, Engine, FirstData, Gate, ListenerInfo, Read};
use crate::engine::{Departure, ShardEvent, Turn};
use crate::native::{ConnectOptions, ListenAt, ListenOptions};
use crate::rates::loans::{Loans, SharedRate};
use crate::rates::purse::Purse;
use crate::runtime::mesh::Port;
use crate::sockets::error;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use usertcp_base::{ConnId, Counters, Instant, ListenerId, Observer, Rate, RateGroupId, SharedKey};
use usertcp_cc::CongestionController;
use usertcp_device::Queue;
use usertcp_frame::{Chain, FramePool, FrameSlice};
use usertcp_stack::{
    AuthInfo, AuthKey, ConnError, Connect, ConnectError, KeyError, KeyHandle, Listen, ListenError,
    Profile, RateError, RateGroupInfo, Refused, Shard,
};
use usertcp_tcp::{Settings, WriteEnd};

/// A shard, its queue, and what its connections start with.
pub(crate) struct Machine<C, O, Q> {
    pub(crate) shard: Shard<C, O>,
    pub(crate) queue: Q,
    /// The way to the other shards of the stack; `None`: it has one.
    pub(crate) port: Option<Port>,
    /// Its parts of shared rates; `None`: it is the only one.
    pub(crate) loans: Option<Loans>,
    pub(crate) profile: Profile<C>,
}

impl<C: CongestionController, O: Observer, Q: Queue> Machine<C, O, Q> {
    fn profile(&self, settings: Option<Settings>) -> Profile<C> {
        let mut settings = settings.unwrap_or(self.profile.settings);
        // They may be those of a stream that a listener accepted.
        settings.shares.listener = RateGroupId::NONE;
        Profile { settings, ..self.profile }
    }

    fn forget_loan(&mut self, what: SharedRate) {
        if let Some(loans) = &mut self.loans {
            loans.forget(what);
        }
    }

    fn destination(&self, remote: SocketAddr, options: &ConnectOptions) -> Connect<C> {
        Connect {
            remote: remote.ip(),
            remote_port: remote.port(),
            local: options.local_address,
            local_port: options.local_port,
            profile: self.profile(options.settings),
        }
    }
}

/// With the local port asked for, the connection would belong to another shard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Elsewhere {
    pub(crate) shard: u16,
}

impl std::fmt::Display for Elsewhere {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "with that local port the connection belongs to shard {}", self.shard)
    }
}

impl std::error::Error for Elsewhere {}

impl Elsewhere {
    /// Whether that is what `error` says.
    pub(crate) fn of(error: &io::Error) -> Option<Elsewhere> {
        error.get_ref()?.downcast_ref().copied()
    }
}

fn not_connected(refusal: ConnectError) -> io::Error {
    match refusal {
        ConnectError::Remote => {
            refused(ErrorKind::InvalidInput, "nobody can be at that address and port")
        }
        ConnectError::Local => {
            refused(ErrorKind::AddrNotAvailable, "no address of the stack reaches there")
        }
        ConnectError::InUse => refused(ErrorKind::AddrInUse, "no local port is free"),
        ConnectError::Elsewhere(shard) => {
            io::Error::new(ErrorKind::AddrNotAvailable, Elsewhere { shard })
        }
        ConnectError::Limit => {
            refused(ErrorKind::OutOfMemory, "the stack has as many connections as it may")
        }
    }
}

impl<C: CongestionController, O: Observer, Q: Queue> Engine for Machine<C, O, Q> {
    fn turn(&mut self, now: Instant) -> Turn {
        let Arrival { more, received } = self.receive(now);
        let Departure { more: more_to_send, device_full, sent } = self.flush(now);
        let next = self.next_deadline();
        Turn { next, more: more | more_to_send, device_full, received, sent }
    }
    fn receive(&mut self, now: Instant) -> Arrival {
        let Some(port) = &mut self.port else { return self.shard.receive(now, &mut self.queue) };
        let taken = port.take(now, &mut self.shard);
        let arrival = self.shard.receive(now, &mut self.queue);
        port.give(now, &mut self.shard);
        Arrival { more: arrival.more | taken.more, received: arrival.received + taken.packets }
    }
    fn flush(&mut self, now: Instant) -> Departure {
        if let Some(loans) = &mut self.loans
            && loans.is_due(now)
        {
            loans.look(now, &mut self.shard);
        }
        self.shard.flush(now, &mut self.queue)
    }
    fn tell_lag(&mut self, flushed: Instant, now: Instant) {
        self.shard.tell_lag(flushed, now);
    }
    fn next_deadline(&self) -> Option<Instant> {
        let loans = self.loans.as_ref().and_then(|loans| loans.next());
        self.shard.next_deadline().into_iter().chain(loans).min()
    }
    fn poll_event(&mut self) -> Option<ShardEvent> {
        self.shard.poll_event()
    }
    fn wait_handle(&self) -> Option<i32> {
        self.queue.wait_handle().map(|handle| handle.0)
    }
    fn has_waiting(&self) -> bool {
        self.queue.has_waiting()
    }
    fn device_is_gone(&self) -> bool {
        self.queue.is_gone()
    }
    fn defer_sends(&mut self) {
        self.queue.defer_sends();
    }
    fn send_off(&mut self) {
        self.queue.send_off();
    }

    fn listen(
        &mut self,
        now: Instant,
        at: ListenAt,
        options: &ListenOptions,
    ) -> io::Result<ListenerId> {
        let listen = Listen {
            local: at.address,
            port: at.port,
            backlog: options.backlog,
            profile: self.profile(options.settings),
        };
        let listener = self.shard.listen(&listen).map_err(|refusal| match refusal {
            ListenError::InUse => refused(ErrorKind::AddrInUse, "another listener has the port"),
            ListenError::NotOurs => {
                refused(ErrorKind::AddrNotAvailable, "the address is not the stack's")
            }
        })?;
        self.shard.set_fast_open(listener, options.fast_open);
        if let Some(rate) = options.shared_rate {
            self.shard.set_listener_rate(now, listener, rate).map_err(no_rate)?;
        }
        Ok(listener)
    }
    fn unlisten(&mut self, now: Instant, listener: ListenerId) {
        self.shard.close_listener(now, listener);
    }
    fn listener_info(&self, listener: ListenerId) -> Option<ListenerInfo> {
        self.shard.listener_info(listener)
    }
    fn set_gate(&mut self, listener: ListenerId, gate: Gate) {
        self.shard.set_gate(listener, gate);
    }
    fn decide(&mut self, now: Instant, conn: ConnId, decision: Decision) -> io::Result<()> {
        self.shard.decide(now, conn, decision).map_err(failed)
    }
    fn accept(&mut self, listener: ListenerId) -> Option<ConnId> {
        self.shard.accept(listener)
    }
    fn connect(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        options: &ConnectOptions,
    ) -> io::Result<ConnId> {
        let to = self.destination(remote, options);
        self.shard.connect(now, &to).map_err(not_connected)
    }
    fn connect_with(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        options: &ConnectOptions,
        first: FirstData<'_>,
    ) -> io::Result<(ConnId, usize)> {
        let to = self.destination(remote, options);
        self.shard.connect_with(now, &to, first).map_err(not_connected)
    }
    fn rotate_fast_open_key(&mut self, key: SharedKey) {
        self.shard.rotate_fast_open_key(key);
    }

    fn write(
        &mut self,
        now: Instant,
        conn: ConnId,
        octets: &[u8],
        end: WriteEnd,
    ) -> io::Result<usize> {
        self.shard.write_with(now, conn, octets, end).map_err(failed)
    }
    fn write_chain(&mut self, now: Instant, conn: ConnId, chain: Chain) -> io::Result<Chain> {
        match self.shard.write_chain(now, conn, chain) {
            Ok(()) => Ok(Chain::default()),
            Err(Refused { octets, error: None }) => Ok(octets),
            Err(Refused { error: Some(error), .. }) => Err(failed(error)),
        }
    }
    fn send_room(&self, conn: ConnId) -> usize {
        self.shard.send_room(conn).unwrap_or(0) as usize
    }
    fn read(&mut self, now: Instant, conn: ConnId, out: &mut [u8]) -> io::Result<Read<usize>> {
        self.shard.read(now, conn, out).map_err(failed)
    }
    fn read_slice(&mut self, now: Instant, conn: ConnId) -> io::Result<Read<FrameSlice>> {
        self.shard.read_slice(now, conn).map_err(failed)
    }
    fn readable_octets(&self, conn: ConnId) -> usize {
        self.shard.readable_octets(conn).map_or(0, |(octets, _)| octets as usize)
    }
    fn is_readable(&self, conn: ConnId) -> bool {
        // A handle that is stale makes a read fail.
        self.shard.is_readable(conn).unwrap_or(true)
    }
    fn shutdown_write(&mut self, now: Instant, conn: ConnId) -> io::Result<()> {
        self.shard.shutdown_write(now, conn).map_err(failed)
    }
    fn close(&mut self, now: Instant, conn: ConnId) {
        // A handle that is stale already is what a close leaves.
        let _ = self.shard.close(now, conn);
    }
    fn abort(&mut self, now: Instant, conn: ConnId) {
        self.shard.abort(now, conn);
    }

    fn info(&self, now: Instant, conn: ConnId) -> Option<ConnInfo> {
        self.shard.info(now, conn).ok()
    }
    fn next_connection(&self, after: Option<ConnId>) -> Option<ConnId> {
        self.shard.next_connection(after)
    }
    fn set_token(&mut self, conn: ConnId, token: u32) -> bool {
        self.shard.set_token(conn, token)
    }
    fn token(&self, conn: ConnId) -> Option<u32> {
        self.shard.token(conn)
    }
    fn settings(&self, conn: ConnId) -> Option<Settings> {
        self.shard.settings(conn).ok()
    }
    fn set_settings(&mut self, now: Instant, conn: ConnId, settings: &Settings) -> io::Result<()> {
        self.shard.set_option(now, conn, |current| *current = *settings).map_err(failed)
    }

    fn live(&self) -> usize {
        self.shard.synchronised() as usize
    }
    fn has_tcb_room(&self) -> bool {
        self.shard.has_tcb_room()
    }
    fn add_auth_key(&mut self, key: AuthKey) -> Result<KeyHandle, KeyError> {
        self.shard.add_auth_key(key)
    }
    fn remove_auth_key(&mut self, key: KeyHandle) -> Result<(), KeyError> {
        self.shard.remove_auth_key(key)
    }
    fn ask_for_auth_key(&mut self, conn: ConnId, receive_id: u8) -> Result<(), KeyError> {
        self.shard.ask_for_auth_key(conn, receive_id)
    }
    fn auth_info(&self, conn: ConnId) -> Option<AuthInfo> {
        self.shard.auth_info(conn)
    }
    fn create_rate_group(&mut self, now: Instant, rate: Rate) -> io::Result<RateGroupId> {
        self.shard.create_rate_group(now, rate).map_err(no_rate)
    }
    fn set_rate_group(&mut self, now: Instant, group: RateGroupId, rate: Rate) -> io::Result<()> {
        self.forget_loan(SharedRate::Group(group));
        self.shard.set_rate_group(now, group, rate).map_err(no_rate)
    }
    fn remove_rate_group(&mut self, group: RateGroupId) -> io::Result<()> {
        self.forget_loan(SharedRate::Group(group));
        self.shard.remove_rate_group(group).map_err(no_rate)
    }
    fn rate_group_info(&self, group: RateGroupId) -> Option<RateGroupInfo> {
        self.shard.rate_group_info(group).ok()
    }
    fn join_rate_group(
        &mut self,
        now: Instant,
        conn: ConnId,
        group: RateGroupId,
        weight: u16,
    ) -> io::Result<()> {
        self.shard.join_rate_group(now, conn, group, weight).map_err(failed)
    }
    fn set_listener_rate(
        &mut self,
        now: Instant,
        listener: ListenerId,
        rate: Rate,
    ) -> io::Result<()> {
        self.forget_loan(SharedRate::Listener(listener));
        self.shard.set_listener_rate(now, listener, rate).map_err(no_rate)
    }
    fn listener_rate_info(&self, listener: ListenerId) -> Option<RateGroupInfo> {
        self.shard.listener_rate_info(listener).ok()
    }
    fn set_shard_rate(&mut self, now: Instant, rate: Rate) {
        self.forget_loan(SharedRate::Shard);
        self.shard.set_shard_rate(now, rate);
    }
    fn shard_rate(&self) -> Rate {
        self.shard.shard_rate()
    }
    fn hold_rate(&mut self, now: Instant, what: SharedRate, most: Rate) -> io::Result<()> {
        self.forget_loan(what);
        // No figures: it has no rate yet.
        let present = what.info(&self.shard).map_or(Rate::UNLIMITED, |info| info.rate);
        what.set(now, &mut self.shard, present.min(most)).map_err(no_rate)
    }
    fn fund_rate(
        &mut self,
        now: Instant,
        what: SharedRate,
        rate: Rate,
        purse: Option<Arc<Purse>>,
    ) -> io::Result<()> {
        let (Some(loans), Some(purse)) = (&mut self.loans, purse) else {
            self.forget_loan(what);
            return what.set(now, &mut self.shard, rate).map_err(no_rate);
        };
        let info = what.info(&self.shard).map_err(no_rate)?;
        let part = loans.add(now, what, purse, &info);
        what.set(now, &mut self.shard, part).map_err(no_rate)?;
        loans.join(what);
        Ok(())
    }
    fn funded_rate(&self, what: SharedRate) -> Option<Rate> {
        self.loans.as_ref()?.total(what)
    }

    fn counters(&self) -> &Counters {
        self.shard.counters()
    }
    fn pool(&self) -> &FramePool {
        self.shard.pool()
    }
}

fn no_rate(failure: RateError) -> io::Error {
    match failure {
        RateError::Stale => refused(ErrorKind::NotFound, "no such group or listener any more"),
        RateError::Limit => refused(ErrorKind::OutOfMemory, "as many groups as there can be"),
    }
}

fn refused(kind: ErrorKind, why: &'static str) -> io::Error {
    io::Error::new(kind, why)
}

fn failed(failure: ConnError) -> io::Error {
    match failure {
        ConnError::Stale => error::gone(),
        ConnError::SendClosed => error::shut(),
        ConnError::Ended(reason) => error::ended(reason),
        ConnError::Limit => refused(
            ErrorKind::ResourceBusy,
            "the limit of control blocks (`Limits::hot_connections`) is reached",
        ),
    }
}
