//! LISTEN and OPEN.
//!
//! Owns: bindings, accepting, active opens, the choice of ports and addresses.
//! Must not know: how a handshake proceeds.
//! Implements: RFC 9293 §3.9.1.1, §3.10.1; MUST-41 to MUST-46.

use crate::anchor::{Body, Owner, waits_at};
use crate::app::ListenerInfo;
use crate::config::{Birth, Connect, ConnectError, Listen, ListenError, Profile};
use crate::fast_open::Attempt;
use crate::isn::Numbers;
use crate::lifecycle::FIRST_LOOK;
use crate::listener::Binding;
use crate::net;
use crate::ports::Destination;
use crate::shard::Shard;
use crate::table::Vacancy;
use crate::usual::Ends;
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::net::IpAddr;
use usertcp_base::{ConnId, FlowKey, Instant, ListenerId, LocalIndex, Observer, RateGroupId};
use usertcp_cc::CongestionController;
use usertcp_frame::Chain;
use usertcp_tcp::{Handshake, Settings};

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// Listens.
    pub fn listen(&mut self, listen: &Listen<C>) -> Result<ListenerId, ListenError> {
        let local = match listen.local {
            Some(address) => Some(self.ip.local_index(address).ok_or(ListenError::NotOurs)?),
            None => None,
        };
        let port = match listen.port {
            Some(0) => Some(self.choose_listen_port(local).ok_or(ListenError::InUse)?),
            port => port,
        };
        let binding = Binding { local, port };
        if self.listeners.is_bound(binding) {
            return Err(ListenError::InUse);
        }
        // What it accepts names its rate before it has one. A name that is not its own says nothing here.
        let mut settings = listen.profile.settings;
        settings.shares.listener = self.rates.name().unwrap_or(RateGroupId::NONE);
        let profile = Profile { settings, ..listen.profile };
        let birth = Birth::of(&profile, &mut self.common.shelf);
        self.listeners.bind(binding, listen.backlog, birth).ok_or(ListenError::InUse)
    }

    /// A port that no listener has and no connection uses: nobody is surprised by a listener.
    fn choose_listen_port(&mut self, local: Option<LocalIndex>) -> Option<u16> {
        let to = Destination { local: local.unwrap_or_default(), ..Destination::default() };
        let listeners = &self.listeners;
        // One look at all connections, however many ports are tried.
        let mut used = BTreeSet::new();
        for (_, anchor) in self.table.anchors.iter() {
            used.insert(anchor.local_port());
        }
        self.ports.choose(&to, &mut self.common.prng, |port| {
            listeners.uses_port(to.local, port) || used.contains(&port)
        })
    }

    /// Where a listener listens, and how many wait there.
    pub fn listener_info(&self, listener: ListenerId) -> Option<ListenerInfo> {
        let listener = self.listeners.get(listener)?;
        let Binding { local, port } = listener.binding();
        Some(ListenerInfo {
            local: local.and_then(|local| self.ip.local(local)),
            port,
            waiting: listener.waiting(),
            half_open: listener.embryos(),
        })
    }

    /// Listens no more. Connections that were not accepted are reset; half-open ones are forgotten.
    pub fn close_listener(&mut self, now: Instant, listener: ListenerId) {
        let half_open = self.listeners.get(listener).map_or(0, |listener| listener.embryos());
        if let Some(listener) = self.listeners.get(listener) {
            self.rates.forget_name(listener.settings().settings.shares.listener);
        }
        let Some(queue) = self.listeners.unbind(listener) else { return };
        for id in queue {
            if waits_at(&self.table.anchors, id, listener) {
                self.abort(now, id);
            }
        }
        if half_open > 0 {
            self.forget_half_open(listener);
        }
        self.remove_unused_rates();
    }

    fn forget_half_open(&mut self, listener: ListenerId) {
        let anchors = self.table.anchors.iter();
        let half_open = anchors.filter(|(_, anchor)| anchor.body.is_half_open_at(listener));
        for id in half_open.map(|(id, _)| id).collect::<Vec<_>>() {
            self.discard(id);
        }
    }

    /// The connection that has waited longest at `listener`.
    pub fn accept(&mut self, listener: ListenerId) -> Option<ConnId> {
        let anchors = &mut self.table.anchors;
        self.listeners.get_mut(listener)?.accept(|id| {
            let anchor = anchors.get_mut(id).filter(|anchor| anchor.waits_at(listener));
            anchor.map(|anchor| anchor.set_owner(Owner::APPLICATION)).is_some()
        })
    }

    /// Begins an active open; [`crate::ShardEvent::Connected`] or `Closed` follows.
    pub fn connect(&mut self, now: Instant, to: &Connect<C>) -> Result<ConnId, ConnectError> {
        let to_free = self.choose_flow(to)?;
        self.open(now, to_free, to, None, 0)
    }

    /// The same for a flow of [`Shard::choose_flow`], with what `attempt` says and `syn_octets` of its data on the SYN.
    #[inline(always)] // twice, with and without data on the SYN
    pub(crate) fn open(
        &mut self,
        now: Instant,
        (flow, vacancy): (FlowKey, Vacancy),
        to: &Connect<C>,
        attempt: Option<Box<Attempt>>,
        syn_octets: u16,
    ) -> Result<ConnId, ConnectError> {
        if !self.table.has_room() {
            return Err(ConnectError::Limit);
        }
        let birth = Birth::of(&to.profile, &mut self.common.shelf);
        let ends = self.ip.ends_v4(&flow);
        match ends.filter(|_| attempt.is_none() && self.auth.is_idle()) {
            Some(ends) => self.open_plainly(now, (flow, vacancy), birth, ends),
            None => self.open_any(now, (flow, vacancy), birth, attempt, syn_octets),
        }
    }

    /// The same by IPv4 between two `ends`, ours first, where nothing is signed and nothing comes with the SYN.
    #[inline(always)] // in one place
    fn open_plainly(
        &mut self,
        now: Instant,
        (flow, vacancy): (FlowKey, Vacancy),
        birth: Birth<C>,
        ends: ([u8; 4], [u8; 4]),
    ) -> Result<ConnId, ConnectError> {
        let numbers = Numbers::of_v4(&self.secrets, ends.1, &flow, now);
        let numbers = (numbers.initial_sequence, numbers.timestamp_offset);
        let greeting = self.greetings.of(&birth.settings, &self.ip, &self.common.limits);
        let syn = greeting.syn(now, numbers);
        let head = (birth.settings.dscp, birth.settings.hop_limit);
        let (kept, opening) =
            self.table.add_opening(now, greeting.handshake(), birth).ok_or(ConnectError::Limit)?;
        opening.handshake.begin(now, numbers);
        let id = self.record_opening(now, &flow, vacancy, kept)?;
        match syn {
            Some(syn) => self.send_usual_syn(now, &flow, ends, &syn, head),
            None => self.send_first_syn(now, &flow, kept, 0),
        }
        Ok(id)
    }

    #[inline(never)]
    fn open_any(
        &mut self,
        now: Instant,
        (flow, vacancy): (FlowKey, Vacancy),
        birth: Birth<C>,
        attempt: Option<Box<Attempt>>,
        syn_octets: u16,
    ) -> Result<ConnId, ConnectError> {
        let handshake = self.offered(now, &flow, &birth.settings, syn_octets);
        let (kept, opening) =
            self.table.add_opening(now, &handshake, birth).ok_or(ConnectError::Limit)?;
        opening.attempt = attempt;
        let id = self.record_opening(now, &flow, vacancy, kept)?;
        self.send_first_syn(now, &flow, kept, syn_octets);
        Ok(id)
    }

    /// Makes a record for an active open that begins.
    #[inline(always)] // twice
    fn record_opening(
        &mut self,
        now: Instant,
        flow: &FlowKey,
        vacancy: Vacancy,
        kept: u32,
    ) -> Result<ConnId, ConnectError> {
        self.make_room_for_record(now);
        let Some((id, anchor)) = self.table.insert_handshake(flow, vacancy, now + FIRST_LOOK)
        else {
            self.table.openings.discard(kept);
            return Err(ConnectError::InUse);
        };
        anchor.body = Body::Opening(kept);
        anchor.set_owner(Owner::APPLICATION);
        let counters = &mut self.common.counters;
        counters.active_opens = counters.active_opens.wrapping_add(1);
        Ok(id)
    }

    /// A handshake that begins, with `syn_octets` of data on its SYN.
    #[inline(never)]
    fn offered(
        &self,
        now: Instant,
        flow: &FlowKey,
        settings: &Settings,
        syn_octets: u16,
    ) -> Handshake {
        let numbers = Numbers::of(&self.secrets, flow, now);
        let (iss, offset) = (numbers.initial_sequence, numbers.timestamp_offset);
        let offer = self.offer(settings, flow, &self.path_facts(flow));
        Handshake::active(now, iss, offset, &offer).with_syn_octets(syn_octets)
    }

    /// Sends the SYN of an active open, whatever it says and carries.
    #[inline(never)]
    fn send_first_syn(&mut self, now: Instant, flow: &FlowKey, opening: u32, syn_octets: u16) {
        let Some(opening) = self.table.openings.at(opening) else { return };
        let mut syn = opening.handshake.synchronise(now, &opening.birth.settings);
        let attempt = opening.attempt.as_deref();
        syn.options.fast_open = attempt.and_then(|attempt| attempt.option);
        let payload = match attempt {
            Some(attempt) => attempt.queue.slice(0, usize::from(syn_octets)),
            None => Chain::new(),
        };
        self.send_at_once(now, flow, &syn, payload);
    }

    /// The flow of an active open, which has no record.
    #[inline(always)] // twice, with and without data on the SYN
    pub(crate) fn choose_flow(
        &mut self,
        to: &Connect<C>,
    ) -> Result<(FlowKey, Vacancy), ConnectError> {
        if to.remote_port == 0 {
            return Err(ConnectError::Remote);
        }
        let Ends { remote, local } = match self.last_local.towards {
            // Addresses stay what they are.
            Some((last, ends)) if last == (to.remote, to.local) => ends,
            _ => self.find_ends(to)?,
        };
        if self.link.as_ref().is_some_and(|link| !link.reaches(to.remote)) {
            return Err(ConnectError::Local);
        }
        let local_port = to.local_port.unwrap_or(0);
        let flow = FlowKey { remote, local, remote_port: to.remote_port, local_port };
        if to.local_port.is_none() {
            return self.choose_port(&flow).ok_or(ConnectError::InUse);
        }
        if let Some(owner) = self.owner_elsewhere(&flow) {
            return Err(ConnectError::Elsewhere(owner));
        }
        match self.table.seek(&flow) {
            Err(vacancy) if local_port != 0 => Ok((flow, vacancy)),
            _ => Err(ConnectError::InUse),
        }
    }

    /// The addresses of both ends of an active open.
    #[inline(never)]
    fn find_ends(&mut self, to: &Connect<C>) -> Result<Ends, ConnectError> {
        if !net::is_unicast(to.remote) || self.is_broadcast(to.remote) {
            return Err(ConnectError::Remote);
        }
        let local = match to.local {
            Some(address) if address.is_ipv4() == to.remote.is_ipv4() => {
                self.ip.local_index(address)
            }
            Some(_) => None,
            // MUST-44.
            None => self.ip.source_for(to.remote),
        };
        let local = local.ok_or(ConnectError::Local)?;
        let ends = Ends { remote: usertcp_ip::remote_address(to.remote), local };
        self.last_local.towards = Some(((to.remote, to.local), ends));
        Ok(ends)
    }

    fn is_broadcast(&self, address: IpAddr) -> bool {
        matches!(address, IpAddr::V4(address) if self.broadcasts.contains(&address))
    }

    /// The flow with a port of ours that it is free with.
    #[inline(always)] // in one place
    fn choose_port(&mut self, flow: &FlowKey) -> Option<(FlowKey, Vacancy)> {
        let FlowKey { remote, local, remote_port, .. } = *flow;
        let (table, listeners) = (&self.table, &self.listeners);
        // Of several shards, the one whose flow it is must open it: its answers go there.
        let seat = self.seat.and_then(|seat| Some((seat, self.ip.local(local)?)));
        let elsewhere = |port| {
            seat.is_some_and(|(seat, local)| {
                let remote = usertcp_ip::ip_address(remote);
                seat.owner(remote, remote_port, local, port) != seat.index
            })
        };
        let mut vacancy = None;
        let peer = usertcp_ip::ip_address(remote);
        let to = Destination { local, remote, remote_port };
        let local_port = self.ports.choose(&to, &mut self.common.prng, |port| {
            if elsewhere(port) || listeners.uses_port(local, port) {
                return true;
            }
            let flow = FlowKey { local_port: port, ..*flow };
            let sought = match peer {
                IpAddr::V4(peer) => table.seek_v4(peer.octets(), local, flow.ports()),
                IpAddr::V6(_) => table.seek(&flow),
            };
            vacancy = sought.err();
            vacancy.is_none()
        })?;
        Some((FlowKey { local_port, ..*flow }, vacancy?))
    }
}
