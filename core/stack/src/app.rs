//! What an application does with listeners and connections.
//!
//! Owns: the calls of RFC 9293 §3.9.1 on handles.
//! Must not know: descriptors, tasks, threads.
//! Implements: RFC 9293 §3.9.1 (OPEN, SEND, RECEIVE, CLOSE, ABORT, STATUS), §3.10.1-6; MUST-41 to
//! MUST-46, E-27, E-28.
//!
//! Waiting is not an error: a call that cannot go on says so in its result, and an event follows when
//! it can. After each of these calls the shard is to be polled, as after an arrival.

use crate::anchor::{Anchor, Body, Opening, Owner};
use crate::config::{Connect, ConnectError, Listen, ListenError};
use crate::isn;
use crate::listener::Binding;
use crate::net;
use crate::ports::Destination;
use crate::shard::Shard;
use alloc::boxed::Box;
use core::net::{IpAddr, SocketAddr};
use usertcp_base::observe::CloseReason;
use usertcp_base::{ConnId, FlowKey, Instant, ListenerId, LocalIndex, Observer};
use usertcp_cc::CongestionController;
use usertcp_frame::{Chain, FrameSlice};
use usertcp_tcp::{
    Effects, Handshake, HandshakePhase, Info, Offer, ReadOutcome, Settings, StateName, Tcb, Then,
};

/// Why a call on a connection fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConnError {
    /// There is no such connection, or no more.
    Stale,
    /// Our sending side is closed already.
    SendClosed,
    /// The connection is over.
    Ended(CloseReason),
}

/// What a read finds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Read<T> {
    /// Data.
    Data(T),
    /// None yet; [`crate::ShardEvent::Readable`] follows.
    Nothing,
    /// The peer has sent its last octet, and it was read.
    End,
}

/// Frames that were not taken.
#[derive(Debug)]
pub struct Refused {
    /// They.
    pub octets: Chain,
    /// Why; `None`: there is no room, and [`crate::ShardEvent::Writable`] follows.
    pub error: Option<ConnError>,
}

/// A connection as its application sees it.
#[derive(Clone, Copy, Debug)]
pub struct ConnInfo {
    /// Our end.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
    /// The RFC's state.
    pub state: StateName,
    /// Its figures, while it has a TCB.
    pub figures: Option<Info>,
}

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// Listens.
    pub fn listen(&mut self, listen: &Listen<C>) -> Result<ListenerId, ListenError> {
        let local = match listen.local {
            Some(address) => Some(self.ip.local_index(address).ok_or(ListenError::NotOurs)?),
            None => None,
        };
        if listen.port == Some(0) {
            return Err(ListenError::Port);
        }
        let binding = Binding { local, port: listen.port };
        self.listeners.bind(binding, listen.backlog, listen.profile).ok_or(ListenError::InUse)
    }

    /// Listens no more. Connections that were not accepted are reset; half-open ones are forgotten.
    pub fn close_listener(&mut self, now: Instant, listener: ListenerId) {
        let Some(queue) = self.listeners.unbind(listener) else { return };
        for id in queue {
            if self.waits_at(id, listener) {
                self.abort(now, id);
            }
        }
        let of_listener = |anchor: &Anchor<C>| matches!(&anchor.body, Body::Embryo(_, other) if *other == listener);
        let embryos = self.table.anchors.iter();
        let embryos = embryos.filter(|(_, anchor)| of_listener(anchor)).map(|(id, _)| id);
        for id in embryos.collect::<alloc::vec::Vec<_>>() {
            self.discard(id);
        }
    }

    fn waits_at(&self, id: ConnId, listener: ListenerId) -> bool {
        self.table.anchors.get(id).is_some_and(|anchor| anchor.owner == Owner::Listener(listener))
    }

    /// The connection that has waited longest at `listener`.
    pub fn accept(&mut self, listener: ListenerId) -> Option<ConnId> {
        let anchors = &self.table.anchors;
        let waits = |id: ConnId| {
            anchors.get(id).is_some_and(|anchor| anchor.owner == Owner::Listener(listener))
        };
        let id = self.listeners.get_mut(listener)?.accept(waits)?;
        self.table.anchors.get_mut(id)?.owner = Owner::Application;
        Some(id)
    }

    /// Begins an active open; [`crate::ShardEvent::Connected`] or `Closed` follows.
    pub fn connect(&mut self, now: Instant, to: &Connect<C>) -> Result<ConnId, ConnectError> {
        let flow = self.choose_flow(to)?;
        if !self.table.has_room() {
            return Err(ConnectError::Limit);
        }
        let settings = &to.profile.settings;
        let path = self.path_facts(&flow);
        let offer = Offer::new(settings, &self.common.limits, &path);
        let iss = isn::initial_sequence(&self.secrets, &flow, now);
        let offset = isn::timestamp_offset(&self.secrets, &flow);
        let handshake = Handshake::active(now, iss, offset, &offer);
        let syn = handshake.synchronise(now, settings);
        let opening = Opening { handshake, profile: to.profile, closed: false };
        let body = Body::Opening(Box::new(opening));
        let (id, evicted) =
            self.table.insert(&flow, Owner::Application, body).map_err(|_| ConnectError::InUse)?;
        self.note_eviction(now, evicted);
        let counters = &mut self.common.counters;
        counters.active_opens = counters.active_opens.wrapping_add(1);
        self.send_reply(now, &flow, &syn);
        self.rearm(now, id);
        Ok(id)
    }

    fn choose_flow(&mut self, to: &Connect<C>) -> Result<FlowKey, ConnectError> {
        if to.remote_port == 0 || !net::is_unicast(to.remote) || self.is_broadcast(to.remote) {
            return Err(ConnectError::Remote);
        }
        let local = match to.local {
            Some(address) if address.is_ipv4() == to.remote.is_ipv4() => {
                self.ip.local_index(address)
            }
            Some(_) => None,
            None => self.ip.source_for(to.remote),
        };
        let local = local.ok_or(ConnectError::Local)?;
        let remote = usertcp_ip::remote_address(to.remote);
        let flow = |local_port| FlowKey { remote, local, remote_port: to.remote_port, local_port };
        if let Some(port) = to.local_port {
            let taken = port == 0 || self.table.find(&flow(port)).is_some();
            return if taken { Err(ConnectError::InUse) } else { Ok(flow(port)) };
        }
        self.choose_port(local, &flow(0)).map(flow).ok_or(ConnectError::InUse)
    }

    fn is_broadcast(&self, address: IpAddr) -> bool {
        matches!(address, IpAddr::V4(address) if self.broadcasts.contains(&address))
    }

    fn choose_port(&mut self, local: LocalIndex, flow: &FlowKey) -> Option<u16> {
        let to = Destination { local, remote: flow.remote, remote_port: flow.remote_port };
        let (table, listeners) = (&self.table, &self.listeners);
        self.ports.choose(&to, &mut self.common.prng, |port| {
            listeners.uses_port(local, port)
                || table.find(&FlowKey { local_port: port, ..*flow }).is_some()
        })
    }

    /// Copies octets into the send queue; how many were taken. Fewer than all:
    /// [`crate::ShardEvent::Writable`] follows; while opening, `Connected` does.
    pub fn write(&mut self, now: Instant, id: ConnId, octets: &[u8]) -> Result<usize, ConnError> {
        let Some(hot) = self.writable(id)? else { return Ok(0) };
        let Some(tcb) = self.table.hot.at_mut(hot) else { return Ok(0) };
        let taken = tcb.write(&mut self.common.env(now, id), octets);
        if taken > 0 {
            self.wake(now, id);
        } else if !is_send_open(tcb, now) {
            return Err(ConnError::SendClosed);
        }
        Ok(taken)
    }

    /// Appends frames the application filled, without a copy: all of them, or none and they come
    /// back.
    pub fn write_chain(&mut self, now: Instant, id: ConnId, octets: Chain) -> Result<(), Refused> {
        let hot = match self.writable(id) {
            Ok(Some(hot)) => hot,
            Ok(None) => return Err(Refused { octets, error: None }),
            Err(error) => return Err(Refused { octets, error: Some(error) }),
        };
        if let Some(tcb) = self.table.hot.at_mut(hot) {
            match tcb.write_chain(&mut self.common.env(now, id), octets) {
                Ok(()) => self.wake(now, id),
                Err(octets) => {
                    let error = (!is_send_open(tcb, now)).then_some(ConnError::SendClosed);
                    return Err(Refused { octets, error });
                }
            }
        }
        Ok(())
    }

    /// Octets that a write would take now.
    pub fn send_room(&self, id: ConnId) -> Result<u32, ConnError> {
        let hot = self.writable(id)?.and_then(|hot| self.table.hot.at(hot));
        Ok(hot.map_or(0, |tcb| tcb.send_room(&self.common.limits, &self.common.pool)))
    }

    /// The TCB to write to; `None` while the connection is being opened.
    fn writable(&self, id: ConnId) -> Result<Option<u32>, ConnError> {
        match &self.held(id)?.body {
            Body::Hot(hot) => Ok(Some(*hot)),
            Body::Opening(opening) if opening.closed => Err(ConnError::SendClosed),
            Body::Ended(reason, _) => Err(ConnError::Ended(*reason)),
            _ => Ok(None),
        }
    }

    /// A record the application may act on.
    fn held(&self, id: ConnId) -> Result<&Anchor<C>, ConnError> {
        match self.table.anchors.get(id) {
            Some(anchor) if anchor.owner != Owner::Nobody => Ok(anchor),
            _ => Err(ConnError::Stale),
        }
    }

    /// The connection may have something to send, and another deadline.
    fn wake(&mut self, now: Instant, id: ConnId) {
        self.transmit.push(id.slot);
        self.rearm(now, id);
    }

    /// Copies received octets out: the one copy a foreign buffer costs.
    pub fn read(
        &mut self,
        now: Instant,
        id: ConnId,
        out: &mut [u8],
    ) -> Result<Read<usize>, ConnError> {
        let Some(hot) = self.readable(id)? else { return Ok(Read::Nothing) };
        let Some(tcb) = self.table.hot.at_mut(hot) else { return Ok(Read::Nothing) };
        let (outcome, effects) = tcb.read(&mut self.common.env(now, id), out);
        let found = match outcome {
            ReadOutcome::Octets(octets) => Read::Data(octets),
            ReadOutcome::Nothing => Read::Nothing,
            ReadOutcome::End => Read::End,
        };
        self.after_read(now, id, found, effects)
    }

    /// Takes received octets as they lie in their frame.
    pub fn read_slice(&mut self, now: Instant, id: ConnId) -> Result<Read<FrameSlice>, ConnError> {
        let Some(hot) = self.readable(id)? else { return Ok(Read::Nothing) };
        let Some(tcb) = self.table.hot.at_mut(hot) else { return Ok(Read::Nothing) };
        let (outcome, effects) = tcb.read_slice(&mut self.common.env(now, id));
        let found = match outcome {
            Ok(slice) => Read::Data(slice),
            Err(ReadOutcome::End) => Read::End,
            Err(_) => Read::Nothing,
        };
        self.after_read(now, id, found, effects)
    }

    /// The TCB to read from; `None` while the connection is being opened.
    fn readable(&self, id: ConnId) -> Result<Option<u32>, ConnError> {
        match &self.held(id)?.body {
            Body::Hot(hot) | Body::Ended(_, Some(hot)) => Ok(Some(*hot)),
            Body::Ended(reason, None) => Err(ConnError::Ended(*reason)),
            _ => Ok(None),
        }
    }

    fn after_read<T>(
        &mut self,
        now: Instant,
        id: ConnId,
        found: Read<T>,
        effects: Effects,
    ) -> Result<Read<T>, ConnError> {
        if let Some(Body::Ended(reason, _)) = self.table.anchors.get(id).map(|anchor| &anchor.body)
        {
            // What an ended connection's TCB still brings about reaches nobody.
            return match found {
                Read::Nothing => Err(ConnError::Ended(*reason)),
                found => Ok(found),
            };
        }
        if effects.transmit || effects.ended.is_some() {
            self.apply(now, id, effects);
        }
        Ok(found)
    }

    /// Closes our sending side: data that is queued, then FIN. The peer may go on sending.
    pub fn shutdown_write(&mut self, now: Instant, id: ConnId) -> Result<(), ConnError> {
        let anchor = self.held(id)?;
        match &anchor.body {
            Body::Hot(_) => {
                self.close_sending(now, id);
                Ok(())
            }
            Body::Ended(reason, _) => Err(ConnError::Ended(*reason)),
            _ => {
                self.close_opening(now, id, false);
                Ok(())
            }
        }
    }

    pub(crate) fn close_sending(&mut self, now: Instant, id: ConnId) {
        let Some(Body::Hot(hot)) = self.table.anchors.get(id).map(|anchor| &anchor.body) else {
            return;
        };
        let Some(tcb) = self.table.hot.at_mut(*hot) else { return };
        let effects = tcb.shutdown_write(&mut self.common.env(now, id));
        self.transmit.push(id.slot);
        self.apply(now, id, effects);
    }

    /// Lets go of the connection. What was written is still delivered, then FIN; what was received
    /// and not read makes it a reset (MUST-16 of RFC 1122 §4.2.2.13, now SHLD-3).
    pub fn close(&mut self, now: Instant, id: ConnId) -> Result<(), ConnError> {
        let anchor = self.held(id)?;
        match &anchor.body {
            Body::Hot(_) => {
                self.detach(id);
                self.let_go(now, id);
            }
            Body::Opening(_) => self.close_opening(now, id, true),
            _ => self.discard(id),
        }
        Ok(())
    }

    /// Closes a connection that nobody holds any more.
    pub(crate) fn let_go(&mut self, now: Instant, id: ConnId) {
        let Some(Body::Hot(hot)) = self.table.anchors.get(id).map(|anchor| &anchor.body) else {
            return;
        };
        let Some(tcb) = self.table.hot.at_mut(*hot) else { return };
        let effects = tcb.close(&mut self.common.env(now, id));
        self.transmit.push(id.slot);
        self.apply(now, id, effects);
    }

    /// Nobody is to be told anything more.
    fn detach(&mut self, id: ConnId) {
        let Some(anchor) = self.table.anchors.get_mut(id) else { return };
        let owner = core::mem::replace(&mut anchor.owner, Owner::Nobody);
        self.events.forget(id.slot);
        self.leave_queue(owner);
    }

    /// RFC 9293 §3.10.4: in SYN-SENT the record goes; in SYN-RECEIVED the FIN waits for the end of
    /// the handshake.
    fn close_opening(&mut self, now: Instant, id: ConnId, let_go: bool) {
        let Some(anchor) = self.table.anchors.get_mut(id) else { return };
        let Body::Opening(opening) = &mut anchor.body else { return };
        match opening.handshake.phase() {
            HandshakePhase::SynReceived => {
                opening.closed = true;
                if let_go {
                    self.detach(id);
                }
            }
            HandshakePhase::SynSent => {
                self.note_end(now, id, CloseReason::Aborted);
                if !let_go {
                    self.events.close(id, CloseReason::Aborted);
                }
                self.discard(id);
            }
        }
    }

    /// Ends the connection at once: a reset, no data, no TIME-WAIT (E-28). The handle is stale then.
    pub fn abort(&mut self, now: Instant, id: ConnId) {
        if self.held(id).is_err() {
            return;
        }
        if let Some(anchor) = self.table.anchors.get(id)
            && let Body::Hot(hot) = anchor.body
            && let Some(tcb) = self.table.hot.at_mut(hot)
        {
            let flow = anchor.flow;
            let effects = tcb.abort(&mut self.common.env(now, id));
            if let Some(ended) = effects.ended
                && let Then::Reset(reply) = ended.then
            {
                self.send_reply(now, &flow, &reply);
            }
            self.note_end(now, id, CloseReason::Aborted);
        }
        self.discard(id);
    }

    /// The settings of a connection.
    pub fn settings(&self, id: ConnId) -> Result<Settings, ConnError> {
        match &self.held(id)?.body {
            Body::Hot(hot) | Body::Ended(_, Some(hot)) => {
                self.table.hot.at(*hot).map(|tcb| *tcb.settings()).ok_or(ConnError::Stale)
            }
            Body::Opening(opening) => Ok(opening.profile.settings),
            Body::Ended(reason, None) => Err(ConnError::Ended(*reason)),
            Body::Embryo(..) | Body::TimeWait(..) => Err(ConnError::Stale),
        }
    }

    /// Changes the settings of a connection. They count from now on.
    pub fn set_option(
        &mut self,
        now: Instant,
        id: ConnId,
        change: impl FnOnce(&mut Settings),
    ) -> Result<(), ConnError> {
        let mut settings = self.settings(id)?;
        change(&mut settings);
        let Some(anchor) = self.table.anchors.get_mut(id) else { return Err(ConnError::Stale) };
        match &mut anchor.body {
            Body::Hot(hot) => {
                let hot = *hot;
                if let Some(tcb) = self.table.hot.at_mut(hot) {
                    let effects = tcb.set_settings(&mut self.common.env(now, id), settings);
                    self.transmit.push(id.slot);
                    self.apply(now, id, effects);
                }
            }
            Body::Opening(opening) => opening.profile.settings = settings,
            _ => {}
        }
        Ok(())
    }

    /// Ends, state and figures of a connection.
    pub fn info(&self, now: Instant, id: ConnId) -> Result<ConnInfo, ConnError> {
        let anchor = self.table.anchors.get(id).ok_or(ConnError::Stale)?;
        let (state, figures) = match &anchor.body {
            Body::Hot(hot) => match self.table.hot.at(*hot) {
                Some(tcb) => {
                    let figures = tcb.info(now);
                    (figures.state, Some(figures))
                }
                None => (StateName::Closed, None),
            },
            Body::Embryo(..) => (StateName::SynReceived, None),
            Body::Opening(opening) => match opening.handshake.phase() {
                HandshakePhase::SynSent => (StateName::SynSent, None),
                HandshakePhase::SynReceived => (StateName::SynReceived, None),
            },
            Body::TimeWait(..) => (StateName::TimeWait, None),
            Body::Ended(..) => (StateName::Closed, None),
        };
        let (local, remote) = self.endpoints(&anchor.flow);
        Ok(ConnInfo { local, remote, state, figures })
    }

    fn endpoints(&self, flow: &FlowKey) -> (SocketAddr, SocketAddr) {
        let remote = usertcp_ip::ip_address(flow.remote);
        let unspecified = match remote {
            IpAddr::V4(_) => core::net::Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => core::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        let local = self.ip.local(flow.local).unwrap_or(unspecified);
        (SocketAddr::new(local, flow.local_port), SocketAddr::new(remote, flow.remote_port))
    }

    /// All connections, in any state.
    pub fn connections(&self) -> impl Iterator<Item = ConnId> + '_ {
        self.table.anchors.iter().map(|(id, _)| id)
    }
}

/// Whether our sending side is open; asked only when a write took nothing.
fn is_send_open<C: CongestionController>(tcb: &Tcb<C>, now: Instant) -> bool {
    matches!(tcb.info(now).state, StateName::Established | StateName::CloseWait)
}
