//! A shard that is not one: connections of a stack to itself, without packets.
//!
//! For tests of what lies above a shard. It keeps to the same promises and makes the most of
//! their limits: little room, events as seldom as they may come.

use crate::engine::{Arrival, ConnInfo, Decision, Engine, FirstData, Gate, ListenerInfo, Read};
use crate::engine::{Departure, ShardEvent, Turn};
use crate::native::{ConnectOptions, ListenAt, ListenOptions};
use crate::rates::loans::SharedRate;
use crate::rates::purse::Purse;
use crate::sockets::error;
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use usertcp_base::observe::CloseReason;
use usertcp_base::{ConnId, Counters, Instant, ListenerId, Rate, RateGroupId, SharedKey};
use usertcp_frame::{Chain, FramePool, FrameSlice, PoolConfig};
use usertcp_stack::{AuthInfo, AuthKey, KeyError, KeyHandle, RateGroupInfo};
use usertcp_tcp::{Settings, StateName, WriteEnd};

/// Octets that may wait at a receiver.
pub(crate) const ROOM: usize = 48 << 10;

struct Conn {
    peer: ConnId,
    ends: (SocketAddr, SocketAddr),
    settings: Settings,
    received: Chain,
    held: bool,
    shut: bool,
    peer_shut: bool,
    wants_room: bool,
    ended: Option<CloseReason>,
    token: u32,
}

/// What a device has.
pub(crate) struct Burst {
    /// Packets of it.
    pub(crate) received: usize,
    /// What its packets bring about.
    pub(crate) events: Vec<ShardEvent>,
    /// A budget was used up by it.
    pub(crate) more: bool,
    /// The device knows of more behind it.
    pub(crate) waits: bool,
}

/// What was asked of the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Asked {
    /// To receive; there were so many packets.
    Receive(usize),
    /// To send.
    Flush,
    /// To hear that what was flushed with this moment is at the device.
    TellLag(Instant),
    /// To leave sending to its caller's sleep.
    DeferSends,
    /// Not to wait for that sleep.
    SendOff,
    /// By the handler: this event it was told of.
    Told(ShardEvent),
}

/// The machine.
pub(crate) struct Fake {
    /// What it receives one after another, once something is put here.
    pub(crate) bursts: VecDeque<Burst>,
    /// What it was asked, in that order.
    pub(crate) asked: Rc<RefCell<Vec<Asked>>>,
    /// Packets that it says each flush sent.
    pub(crate) sends: usize,
    waits: bool,
    conns: HashMap<ConnId, Conn>,
    listeners: HashMap<ListenerId, (u16, VecDeque<ConnId>)>,
    events: VecDeque<ShardEvent>,
    next: u32,
    counters: Counters,
    pool: FramePool,
}

impl Fake {
    pub(crate) fn new(octets: usize) -> Fake {
        Fake {
            bursts: VecDeque::new(),
            asked: Rc::default(),
            sends: 0,
            waits: false,
            conns: HashMap::new(),
            listeners: HashMap::new(),
            events: VecDeque::new(),
            next: 0,
            counters: Counters::default(),
            pool: FramePool::new(&PoolConfig { octets, reserve_small: 264 }),
        }
    }

    fn conn(&mut self, conn: ConnId) -> io::Result<&mut Conn> {
        self.conns.get_mut(&conn).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn make(&mut self, ends: (SocketAddr, SocketAddr), peer: ConnId, held: bool) -> ConnId {
        let conn = ConnId { slot: self.next % 7 + self.next / 7 * 7, generation: 1 };
        self.next += 1;
        let (received, settings) = (Chain::default(), Settings::default());
        let (shut, peer_shut, wants_room, ended, token) = (false, false, false, None, 0);
        let new = Conn {
            peer,
            ends,
            settings,
            received,
            held,
            shut,
            peer_shut,
            wants_room,
            ended,
            token,
        };
        self.conns.insert(conn, new);
        conn
    }

    fn end(&mut self, conn: ConnId, reason: CloseReason) {
        let Some(state) = self.conns.get_mut(&conn) else { return };
        if state.ended.replace(reason).is_some() {
            return;
        }
        self.counters.closes += 1;
        if state.held {
            self.events.push_back(ShardEvent::Closed { conn, reason });
        } else {
            self.conns.remove(&conn);
        }
    }

    fn fin(&mut self, conn: ConnId) {
        let Ok(state) = self.conn(conn) else { return };
        if std::mem::replace(&mut state.shut, true) {
            return;
        }
        let (peer, both) = (state.peer, state.peer_shut);
        if let Ok(other) = self.conn(peer) {
            other.peer_shut = true;
            self.events.push_back(ShardEvent::Readable(peer));
            self.events.push_back(ShardEvent::PeerClosed(peer));
        }
        if both {
            self.end(conn, CloseReason::Normal);
            self.end(peer, CloseReason::Normal);
        }
    }
}

impl Engine for Fake {
    fn turn(&mut self, _: Instant) -> Turn {
        self.pool.reclaim();
        self.counters.packets_in += 1;
        let waiting: Vec<_> =
            self.conns.iter().filter(|(_, s)| s.wants_room).map(|(conn, _)| *conn).collect();
        for conn in waiting {
            if self.send_room(conn) > 0 {
                self.conns.entry(conn).and_modify(|state| state.wants_room = false);
                self.events.push_back(ShardEvent::Writable(conn));
            }
        }
        Turn { next: None, more: false, device_full: false, received: 0, sent: 0 }
    }
    fn receive(&mut self, now: Instant) -> Arrival {
        let more = self.turn(now).more;
        let burst = self.bursts.pop_front();
        let Burst { received, events, more, waits } =
            burst.unwrap_or(Burst { received: 0, events: Vec::new(), more, waits: false });
        self.asked.borrow_mut().push(Asked::Receive(received));
        self.events.extend(events);
        self.waits = waits;
        Arrival { more, received }
    }
    fn flush(&mut self, now: Instant) -> Departure {
        self.asked.borrow_mut().push(Asked::Flush);
        let Turn { more, device_full, .. } = self.turn(now);
        Departure { more, device_full, sent: self.sends }
    }
    fn tell_lag(&mut self, flushed: Instant, now: Instant) {
        assert!(now >= flushed);
        self.asked.borrow_mut().push(Asked::TellLag(flushed));
    }
    fn next_deadline(&self) -> Option<Instant> {
        None
    }
    fn poll_event(&mut self) -> Option<ShardEvent> {
        self.events.pop_front()
    }
    fn wait_handle(&self) -> Option<i32> {
        None
    }
    fn has_waiting(&self) -> bool {
        self.waits
    }
    fn device_is_gone(&self) -> bool {
        false
    }
    fn defer_sends(&mut self) {
        self.asked.borrow_mut().push(Asked::DeferSends);
    }
    fn send_off(&mut self) {
        self.asked.borrow_mut().push(Asked::SendOff);
    }
    fn listen(&mut self, _: Instant, at: ListenAt, _: &ListenOptions) -> io::Result<ListenerId> {
        let port = at.port.unwrap_or(0);
        if self.listeners.values().any(|(other, _)| *other == port) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        self.next += 1;
        self.listeners.insert(ListenerId(self.next), (port, VecDeque::new()));
        Ok(ListenerId(self.next))
    }
    fn unlisten(&mut self, now: Instant, listener: ListenerId) {
        for conn in self.listeners.remove(&listener).unwrap_or_default().1 {
            self.abort(now, conn);
        }
    }
    fn listener_info(&self, listener: ListenerId) -> Option<ListenerInfo> {
        let (port, queue) = self.listeners.get(&listener)?;
        let waiting = queue.len() as u32;
        Some(ListenerInfo { local: None, port: Some(*port), waiting, half_open: 0 })
    }
    fn set_gate(&mut self, _: ListenerId, _: Gate) {}
    fn decide(&mut self, _: Instant, _: ConnId, _: Decision) -> io::Result<()> {
        Ok(())
    }
    fn accept(&mut self, listener: ListenerId) -> Option<ConnId> {
        let conn = self.listeners.get_mut(&listener)?.1.pop_front()?;
        self.conns.get_mut(&conn)?.held = true;
        Some(conn)
    }
    fn connect(
        &mut self,
        _: Instant,
        remote: SocketAddr,
        _: &ConnectOptions,
    ) -> io::Result<ConnId> {
        let local = SocketAddr::new(remote.ip(), 1);
        let nobody = ConnId { slot: u32::MAX, generation: 0 };
        let conn = self.make((local, remote), nobody, true);
        let found = self.listeners.iter().find(|(_, (port, _))| *port == remote.port());
        let Some(listener) = found.map(|(listener, _)| *listener) else {
            self.end(conn, CloseReason::Refused);
            return Ok(conn);
        };
        let other = self.make((remote, local), conn, false);
        self.conn(conn)?.peer = other;
        if let Some((_, queue)) = self.listeners.get_mut(&listener) {
            queue.push_back(other);
        }
        self.events.push_back(ShardEvent::Accepted { listener, conn: other });
        self.events.push_back(ShardEvent::Connected(conn));
        Ok(conn)
    }
    fn connect_with(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        options: &ConnectOptions,
        _: FirstData<'_>,
    ) -> io::Result<(ConnId, usize)> {
        self.connect(now, remote, options).map(|conn| (conn, 0))
    }
    fn rotate_fast_open_key(&mut self, _: SharedKey) {}
    fn write(&mut self, _: Instant, conn: ConnId, octets: &[u8], _: WriteEnd) -> io::Result<usize> {
        if let Some(reason) = self.conn(conn)?.ended {
            return Err(error::ended(reason));
        }
        if octets.is_empty() {
            return Ok(0);
        }
        assert_eq!(self.send_room(conn), 0, "sockets write chains");
        self.conn(conn)?.wants_room = true;
        Ok(0)
    }
    fn write_chain(&mut self, _: Instant, conn: ConnId, chain: Chain) -> io::Result<Chain> {
        let room = self.send_room(conn);
        let state = self.conn(conn)?;
        if state.shut || state.ended.is_some() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if room == 0 {
            state.wants_room = true;
            return Ok(chain);
        }
        let peer = state.peer;
        if let Ok(other) = self.conn(peer) {
            other.received.append(chain);
            self.events.push_back(ShardEvent::Readable(peer));
        }
        Ok(Chain::default())
    }
    fn send_room(&self, conn: ConnId) -> usize {
        let peer = self.conns.get(&conn).and_then(|state| self.conns.get(&state.peer));
        // Like a connection: little while memory is short.
        let most = if self.pool.is_tight() { 2000 } else { ROOM };
        peer.map_or(0, |peer| most.saturating_sub(peer.received.len()))
    }
    fn read(&mut self, _: Instant, _: ConnId, _: &mut [u8]) -> io::Result<Read<usize>> {
        unreachable!("sockets read slices")
    }
    fn read_slice(&mut self, _: Instant, conn: ConnId) -> io::Result<Read<FrameSlice>> {
        let state = self.conn(conn)?;
        let (peer, left) = (state.peer, state.received.len());
        let Some(slice) = state.received.pop_front() else {
            return Ok(if state.peer_shut { Read::End } else { Read::Nothing });
        };
        if let Ok(other) = self.conn(peer)
            && other.wants_room
            && left - slice.len() < ROOM * 2 / 3
        {
            other.wants_room = false;
            self.events.push_back(ShardEvent::Writable(peer));
        }
        Ok(Read::Data(slice))
    }
    fn readable_octets(&self, conn: ConnId) -> usize {
        self.conns.get(&conn).map_or(0, |state| state.received.len())
    }
    fn is_readable(&self, conn: ConnId) -> bool {
        let state = self.conns.get(&conn);
        state.is_none_or(|state| !state.received.is_empty() || state.peer_shut)
    }
    fn shutdown_write(&mut self, _: Instant, conn: ConnId) -> io::Result<()> {
        self.conn(conn)?;
        self.fin(conn);
        Ok(())
    }
    fn close(&mut self, now: Instant, conn: ConnId) {
        let Ok(state) = self.conn(conn) else { return };
        if !state.received.is_empty() && state.ended.is_none() {
            return self.abort(now, conn);
        }
        state.held = false;
        if state.ended.is_some() {
            self.conns.remove(&conn);
        } else {
            self.fin(conn);
        }
    }
    fn abort(&mut self, _: Instant, conn: ConnId) {
        let Some(state) = self.conns.remove(&conn) else { return };
        if state.ended.is_none() {
            self.end(state.peer, CloseReason::Reset);
        }
    }
    fn info(&self, _: Instant, conn: ConnId) -> Option<ConnInfo> {
        let state = self.conns.get(&conn)?;
        let (local, remote) = state.ends;
        let over = state.ended.is_some();
        let state = if over { StateName::Closed } else { StateName::Established };
        Some(ConnInfo { local, remote, state, figures: None })
    }
    fn next_connection(&self, after: Option<ConnId>) -> Option<ConnId> {
        self.conns.keys().copied().filter(|conn| after.is_none_or(|after| *conn > after)).min()
    }
    fn set_token(&mut self, conn: ConnId, token: u32) -> bool {
        let held = self.conns.get_mut(&conn).filter(|state| state.held);
        held.map(|state| state.token = token).is_some()
    }
    fn token(&self, conn: ConnId) -> Option<u32> {
        self.conns.get(&conn).filter(|state| state.held).map(|state| state.token)
    }
    fn settings(&self, conn: ConnId) -> Option<Settings> {
        self.conns.get(&conn).map(|state| state.settings)
    }
    fn set_settings(&mut self, _: Instant, conn: ConnId, settings: &Settings) -> io::Result<()> {
        self.conn(conn)?.settings = *settings;
        Ok(())
    }
    fn create_rate_group(&mut self, _: Instant, _: Rate) -> io::Result<RateGroupId> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn set_rate_group(&mut self, _: Instant, _: RateGroupId, _: Rate) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn remove_rate_group(&mut self, _: RateGroupId) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn rate_group_info(&self, _: RateGroupId) -> Option<RateGroupInfo> {
        None
    }
    fn join_rate_group(&mut self, _: Instant, _: ConnId, _: RateGroupId, _: u16) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn set_listener_rate(&mut self, _: Instant, _: ListenerId, _: Rate) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn listener_rate_info(&self, _: ListenerId) -> Option<RateGroupInfo> {
        None
    }
    fn set_shard_rate(&mut self, _: Instant, _: Rate) {}
    fn shard_rate(&self) -> Rate {
        Rate::UNLIMITED
    }
    fn hold_rate(&mut self, _: Instant, _: SharedRate, _: Rate) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn fund_rate(
        &mut self,
        _: Instant,
        _: SharedRate,
        _: Rate,
        _: Option<std::sync::Arc<Purse>>,
    ) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn funded_rate(&self, _: SharedRate) -> Option<Rate> {
        None
    }
    fn live(&self) -> usize {
        self.conns.values().filter(|state| state.ended.is_none()).count()
    }
    fn has_tcb_room(&self) -> bool {
        true
    }
    fn add_auth_key(&mut self, _: AuthKey) -> Result<KeyHandle, KeyError> {
        Err(KeyError::Unknown)
    }
    fn remove_auth_key(&mut self, _: KeyHandle) -> Result<(), KeyError> {
        Err(KeyError::Unknown)
    }
    fn ask_for_auth_key(&mut self, _: ConnId, _: u8) -> Result<(), KeyError> {
        Err(KeyError::Unknown)
    }
    fn auth_info(&self, _: ConnId) -> Option<AuthInfo> {
        None
    }
    fn counters(&self) -> &Counters {
        &self.counters
    }
    fn pool(&self) -> &FramePool {
        &self.pool
    }
}
