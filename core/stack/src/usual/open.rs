//! A SYN or SYN-ACK of the usual shape, by IPv4: in, and out.

use crate::anchor::{Body, Owner};
use crate::config::Birth;
use crate::egress::HEADROOM;
use crate::ingress::is_port_pair;
use crate::isn::Numbers;
use crate::lifecycle::{FIRST_LOOK, First, Newborn};
use crate::listener::Gate;
use crate::net;
use crate::shard::Shard;
use crate::usual::checksum_state;
use crate::usual::network::{is_intact, is_unverified, mapped};
use usertcp_base::{ConnId, Ecn, FlowKey, Instant, Observer, Seq};
use usertcp_cc::CongestionController;
use usertcp_frame::{Chain, Offload, Packet};
use usertcp_ip::DEFAULT_TTL;
use usertcp_tcp::{UsualEffects, UsualSyn};
use usertcp_wire::checksum::Running;
use usertcp_wire::syn::{self, SYN_OCTETS, SynHeader};
use usertcp_wire::tcp;
use usertcp_wire::usual::{self, IPV4_OCTETS, IpHeader};

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// Takes `packet` if it is of this shape, and opens a connection for a listener or answers an open of ours in
    /// the most usual way. False: nothing has changed.
    #[inline(never)]
    pub(crate) fn handle_usual_syn(&mut self, now: Instant, packet: &Packet) -> bool {
        let Some(front) = packet.octets.front() else { return false };
        let Some((header, tcp)) = front.split_first_chunk::<IPV4_OCTETS>() else { return false };
        let Some(tcp_header) = tcp.first_chunk::<SYN_OCTETS>() else { return false };
        let Some(read) = syn::read_syn(tcp_header) else { return false };
        let Some(ip) = usual::read_ipv4(header) else { return false };
        let whole = packet.octets.len() == syn::BOTH_V4
            && usize::from(ip.payload_octets) == SYN_OCTETS
            && self.auth.is_idle();
        if !whole {
            return false;
        }
        let Some(local) = self.local_v4(ip.destination) else { return false };
        if is_unverified(packet) {
            let octets = SYN_OCTETS as u32;
            let pseudo = Running::pseudo_v4(ip.source, ip.destination, tcp::PROTOCOL, octets);
            if !is_intact(self.common.checksum, pseudo, tcp, SYN_OCTETS, &packet.octets) {
                return false;
            }
        }
        let (remote_port, local_port) = (read.source_port, read.destination_port);
        let flow = FlowKey { remote: mapped(ip.source), local, remote_port, local_port };
        let syn = usual_syn(&read);
        match syn.ack {
            None => self.open_by_usual(now, &flow, (ip.destination, ip.source), &syn, ip.ecn),
            Some(ack) => self.establish_by_usual(now, &flow, &syn, ack),
        }
    }

    /// A SYN: `Shard::handle_syn` where a half-open record is kept, and there is nothing to decide.
    /// `ends`: both addresses, ours first.
    #[inline(always)] // in one place, as the next
    fn open_by_usual(
        &mut self,
        now: Instant,
        flow: &FlowKey,
        ends: ([u8; 4], [u8; 4]),
        syn: &UsualSyn,
        mark: Ecn,
    ) -> bool {
        if !self.table.has_free_for_embryo() {
            return false;
        }
        let sought = self.table.seek_v4(ends.1, flow.local, flow.ports());
        let above = match sought {
            Ok(old) => match self.reopens(old, syn) {
                None => return false,
                above => above,
            },
            Err(_) if !is_port_pair(flow) || !self.ip.may_be_source(ends.1.into()) => return false,
            Err(_) => None,
        };
        let Some(listener) = self.listeners.find(flow.local, flow.local_port) else { return false };
        let Some(answers) = self.listeners.get(listener) else { return false };
        if answers.is_full() || answers.gate() != Gate::Open {
            return false;
        }
        let settings = &answers.settings().settings;
        let numbers = Numbers::of_v4(&self.secrets, ends.1, flow, now);
        let numbers = (numbers.initial_above(above), numbers.timestamp_offset);
        let greeting = self.greetings.of(settings, &self.ip, &self.common.limits);
        let Some(answer) = greeting.answer(now, numbers, syn) else { return false };
        let (dscp, hop_limit) = (settings.dscp, settings.hop_limit);
        if self.listeners.add_embryo(listener, &flow.remote).is_err() {
            return false;
        }
        self.common.count_in_octets(1, 0);
        let deadline = now + FIRST_LOOK;
        let inserted = match sought {
            Ok(old) => self.table.reopen(old, flow, deadline),
            Err(vacancy) => self.table.insert_handshake(flow, vacancy, deadline),
        };
        let Some((_, anchor)) = inserted else {
            self.forget_embryo(now, listener, flow);
            return true;
        };
        anchor.body = Body::Embryo(*greeting.handshake(), listener);
        if let Body::Embryo(handshake, _) = &mut anchor.body {
            handshake.begin(now, numbers);
            handshake.answer_usual(syn, mark, &self.common.limits);
        }
        self.send_usual_syn(now, flow, ends, &answer, (dscp, hop_limit));
        true
    }

    /// Whether the record of an old connection makes way: the number that the new one's must exceed.
    #[inline(never)]
    fn reopens(&self, old: ConnId, syn: &UsualSyn) -> Option<Seq> {
        match &self.table.anchors.get(old)?.body {
            Body::TimeWait(record, _) => record.reopens_for(syn),
            _ => None,
        }
    }

    /// A SYN-ACK: `Shard::deliver_opening` where it establishes the connection, and the application waits for that
    /// and nothing else.
    #[inline(always)]
    fn establish_by_usual(
        &mut self,
        now: Instant,
        flow: &FlowKey,
        syn: &UsualSyn,
        ack: Seq,
    ) -> bool {
        if !self.table.has_tcb_room() {
            return false;
        }
        let Some((id, anchor)) = self.table.find_noted(flow) else { return false };
        let Body::Opening(opening) = anchor.body else { return false };
        let owner = anchor.owner();
        let Some(opening) = self.table.openings.at_mut(opening) else { return false };
        let ordinary = owner != Owner::Nobody && !opening.closed && opening.attempt.is_none();
        if !ordinary {
            return false;
        }
        let limits = &self.common.limits;
        let shaken = opening.handshake.handle_usual_syn_ack(syn, limits);
        let Some(shaken) = shaken else { return false };
        let birth = opening.birth.clone();
        self.common.count_in_octets(1, 0);
        let newborn = Newborn { active: true, birth, path: net::path_facts_v4(&self.ip) };
        self.give_birth(
            now,
            id,
            flow,
            owner,
            newborn,
            |tcb, env, Birth { settings, controller }, path| {
                tcb.begin_usual(env, &shaken, settings, path, controller);
                tcb.note_usual_syn_ack(syn.seq, ack);
                First::Usual(UsualEffects::NONE)
            },
        );
        true
    }

    /// Sends a SYN or SYN-ACK between two `ends`, ours first.
    #[inline(never)] // of both sides
    pub(crate) fn send_usual_syn(
        &mut self,
        now: Instant,
        flow: &FlowKey,
        ends: ([u8; 4], [u8; 4]),
        syn: &UsualSyn,
        (dscp, hop_limit): (u8, u8),
    ) {
        let packet = self.pack_syn(flow, ends, syn, (dscp, hop_limit));
        self.push_or_count(now, packet);
    }

    #[inline(always)] // as above
    fn pack_syn(
        &mut self,
        flow: &FlowKey,
        (source, destination): ([u8; 4], [u8; 4]),
        syn: &UsualSyn,
        (dscp, hop_limit): (u8, u8),
    ) -> Option<Packet> {
        let mut frame = self.common.pool.take_control(HEADROOM)?;
        let out = frame.widen(IPV4_OCTETS, SYN_OCTETS)?.first_chunk_mut()?;
        let hop_limit = if hop_limit == 0 { DEFAULT_TTL } else { hop_limit };
        let (ecn, payload_octets) = (Ecn::NotCapable, SYN_OCTETS as u16);
        let ip = IpHeader { payload_octets, ecn, dscp, hop_limit, source, destination };
        let offloaded = self.device.checksum_offload;
        let UsualSyn { seq, ack, window, mss_octets: mss, scale, value, echo } = *syn;
        let (source_port, destination_port) = (flow.local_port, flow.remote_port);
        let header =
            SynHeader { source_port, destination_port, seq, ack, window, mss, scale, value, echo };
        syn::write_syn_v4(out, &ip, &header, !offloaded);
        self.common.count_out(0);
        let checksum = checksum_state(offloaded, IPV4_OCTETS as u16);
        let offload = Offload { checksum, gso: None, header_octets: syn::BOTH_V4 as u16 };
        Some(Packet { offload, octets: Chain::from(frame.into_slice()) })
    }
}

#[inline(always)]
fn usual_syn(read: &SynHeader) -> UsualSyn {
    let SynHeader { seq, ack, window, mss: mss_octets, scale, value, echo, .. } = *read;
    UsualSyn { seq, ack, window, mss_octets, scale, value, echo }
}
