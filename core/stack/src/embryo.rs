//! Passive opens: from a SYN to a connection that waits to be accepted.
//!
//! Owns: half-open records of listeners, and cookies in their place.
//! Must not know: which segment a handshake takes (`tcp`), who may have a record (`admission`).
//! Implements: RFC 9293 §3.10.7.2 (E-5), RFC 4987 (4987-1 to -3), E-31, AT-1, AT-39, AT-42, BG-4.

use crate::admission::{self, Admitted};
use crate::anchor::{Body, Owner, waits_at};
use crate::config::Birth;
use crate::cookies;
use crate::fast_open::SynAnswer;
use crate::isn::Numbers;
use crate::lifecycle::{FIRST_LOOK, First, LastStep, Newborn, Start};
use crate::listener::Gate;
use crate::net;
use crate::shard::Shard;
use crate::usual::{Flow, Read, as_segment};
use usertcp_base::{ConnId, DropReason, FlowKey, Instant, ListenerId, Observer, Scale, Seq};
use usertcp_cc::CongestionController;
use usertcp_frame::Chain;
use usertcp_tcp::{
    AccurateStart, Agreed, AgreedTimestamps, EcnAgreed, EcnLevel, Env, Handshake, HandshakeOutcome,
    Offer, Opening, PathFacts, Reply, Segment, Tcb, asked_ecn, timestamp_clock,
};
use usertcp_wire::tcp::{Cookie, Flags};

/// What both ways of answering a SYN need.
struct Answer<C> {
    birth: Birth<C>,
    path: PathFacts,
    offer: Offer,
    numbers: Numbers,
}

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// A SYN for a listener. `above`: the number of an old connection of the same flow, which the
    /// new one's must exceed.
    pub(crate) fn handle_syn(
        &mut self,
        now: Instant,
        flow: &FlowKey,
        listener: ListenerId,
        syn: &mut Segment,
        above: Option<Seq>,
    ) {
        let Some(answers) = self.listeners.get(listener) else { return };
        let (full, gate) = (answers.is_full(), answers.gate());
        // Accounted for before the decision, and taken back when it is not for a record.
        let record = self.listeners.add_embryo(listener, &flow.remote);
        let admitted = admission::on_syn(full, record, self.table.has_free_for_embryo());
        if record.is_ok() && admitted != Admitted::Record {
            self.listeners.remove_embryo(listener, &flow.remote);
        }
        match admitted {
            Admitted::Record if gate == Gate::Ask => self.ask(now, flow, listener, syn),
            // Whom nobody decided on gets no cookie either.
            Admitted::Cookie if gate == Gate::Ask => {
                self.common.drop_packet(None, now, DropReason::EmbryoLimit);
            }
            // A cookie would forget the peer's number, which the keys are made from (RFC 5925 §7.8).
            Admitted::Cookie if self.is_protected(flow) => {
                self.common.drop_packet(None, now, DropReason::EmbryoLimit);
            }
            Admitted::Record => self.open_passive(now, flow, listener, syn, above),
            Admitted::Cookie => self.send_cookie(now, flow, listener, syn),
            Admitted::Refused(reason) => self.common.drop_packet(None, now, reason),
        }
    }

    /// A SYN that has room among the half-open: an embryo, or a connection at once.
    fn open_passive(
        &mut self,
        now: Instant,
        flow: &FlowKey,
        listener: ListenerId,
        syn: &mut Segment,
        above: Option<Seq>,
    ) {
        match self.fast_open_answer(now, flow, listener, syn) {
            SynAnswer::Ordinary => self.open_embryo(now, flow, listener, syn, above, None),
            SynAnswer::WithCookie(cookie) => {
                self.open_embryo(now, flow, listener, syn, above, Some(cookie));
            }
            SynAnswer::Accept(cookie) => {
                self.open_early(now, flow, listener, syn, above, cookie);
            }
        }
    }

    fn answer(&self, now: Instant, flow: &FlowKey, listener: ListenerId) -> Option<Answer<C>> {
        let birth = self.listeners.get(listener)?.settings().clone();
        let path = self.path_facts(flow);
        let offer = self.offer(&birth.settings, flow, &path);
        let numbers = Numbers::of(&self.secrets, flow, now);
        Some(Answer { birth, path, offer, numbers })
    }

    fn open_embryo(
        &mut self,
        now: Instant,
        flow: &FlowKey,
        listener: ListenerId,
        syn: &Segment,
        above: Option<Seq>,
        cookie: Option<Cookie>,
    ) {
        let begun = self.begin_passive(now, flow, listener, syn, above);
        let Some((handshake, mut reply)) = begun else { return };
        // Not kept: the SYN-ACK is sent again without it (RFC 7413 §4.2.1).
        reply.options.fast_open = cookie;
        let vacancy = self.table.vacancy(flow);
        self.make_room_for_record(now);
        match self.table.insert_handshake(flow, vacancy, now + FIRST_LOOK) {
            Some((_, anchor)) => {
                anchor.body = Body::Embryo(handshake, listener);
                self.send_reply(now, flow, &reply);
            }
            None => self.forget_embryo(now, listener, flow),
        }
    }

    /// There was no room for a half-open record after all.
    #[cold]
    pub(crate) fn forget_embryo(&mut self, now: Instant, listener: ListenerId, flow: &FlowKey) {
        self.listeners.remove_embryo(listener, &flow.remote);
        self.common.drop_packet(None, now, DropReason::ConnectionLimit);
    }

    /// The handshake that a SYN begins, and its SYN-ACK.
    pub(crate) fn begin_passive(
        &self,
        now: Instant,
        flow: &FlowKey,
        listener: ListenerId,
        syn: &Segment,
        above: Option<Seq>,
    ) -> Option<(Handshake, Reply)> {
        // As `answer`, in parts: none of them is kept.
        let settings = &self.listeners.get(listener)?.settings().settings;
        let path = self.path_facts(flow);
        let offer = self.offer(settings, flow, &path);
        let numbers = Numbers::of(&self.secrets, flow, now);
        let (iss, offset) = (numbers.initial_above(above), numbers.timestamp_offset);
        let limits = &self.common.limits;
        let handshake = Handshake::passive(now, syn, iss, offset, &offer, &path, limits);
        let reply = handshake.synchronise(now, settings);
        Some((handshake, reply))
    }

    /// Answers a SYN and keeps nothing.
    #[inline(never)]
    pub(crate) fn send_cookie(
        &mut self,
        now: Instant,
        flow: &FlowKey,
        listener: ListenerId,
        syn: &mut Segment,
    ) {
        let Some(answer) = self.answer(now, flow, listener) else { return };
        let ecn = asked_ecn(syn.header.flags, &answer.offer);
        let options = &mut syn.options;
        let stamped = answer.offer.timestamps && options.timestamps.is_some();
        if !stamped {
            // Without timestamps there is nowhere to keep these.
            options.scale = None;
            options.sack_permitted = false;
            if ecn == EcnLevel::Classic {
                syn.header.flags = syn.header.flags.without(Flags::ECE | Flags::CWR);
            }
        }
        let scale = options.scale.filter(|_| answer.offer.window_scaling);
        let offered = cookies::Offer {
            mss_octets: options.mss.unwrap_or(answer.path.default_mss_octets),
            accurate_ecn: ecn == EcnLevel::Accurate,
            with_timestamps: stamped.then_some(cookies::WithTimestamps {
                scale: scale.map(Scale::clamped),
                sack_permitted: options.sack_permitted && answer.offer.sack,
                ecn: ecn == EcnLevel::Classic,
            }),
        };
        let clock = timestamp_clock(now, answer.numbers.timestamp_offset);
        let issued = self.cookies.issue(now, flow, syn.header.seq, &offered, clock);
        let handshake = Handshake::passive(
            now,
            syn,
            issued.seq,
            answer.numbers.timestamp_offset,
            &answer.offer,
            &answer.path,
            &self.common.limits,
        );
        let mut reply = handshake.synchronise(now, &answer.birth.settings);
        if let (Some(timestamps), Some(value)) = (&mut reply.options.timestamps, issued.timestamp) {
            timestamps.value = value;
        }
        let counters = &mut self.common.counters;
        counters.cookies_out = counters.cookies_out.wrapping_add(1);
        self.send_reply(now, flow, &reply);
    }

    /// An acknowledgement at a listener: opens a connection if it brings a cookie of ours. Else the
    /// reason to reset it.
    pub(crate) fn redeem_cookie(
        &mut self,
        now: Instant,
        flow: &FlowKey,
        listener: ListenerId,
        segment: &mut Segment,
    ) -> Option<DropReason> {
        if !self.cookies.active(now) {
            return Some(DropReason::NoConnection);
        }
        let timestamps = segment.options.timestamps;
        let presented = cookies::Presented {
            seq: segment.header.seq,
            ack: segment.header.ack,
            echo: timestamps.map(|timestamps| timestamps.echo),
        };
        let level = self.listeners.get(listener)?.settings().settings.ecn.accepts();
        let accurate = level == EcnLevel::Accurate;
        let Some(offered) = self.cookies.redeem(now, flow, &presented, accurate) else {
            return Some(DropReason::CookieInvalid);
        };
        let answer = self.answer(now, flow, listener)?;
        let with = offered.with_timestamps;
        let peer_scale = with.and_then(|with| with.scale);
        let agreed = Agreed {
            iss: segment.header.ack - 1,
            irs: segment.header.seq - 1,
            peer_mss_octets: offered.mss_octets.max(self.common.limits.smallest_mss_octets),
            send_scale: peer_scale.unwrap_or(Scale::NONE),
            receive_scale: if peer_scale.is_some() { answer.offer.scale } else { Scale::NONE },
            sack: with.is_some_and(|with| with.sack_permitted),
            timestamps: timestamps.map(|timestamps| AgreedTimestamps {
                offset: answer.numbers.timestamp_offset,
                recent: timestamps.value,
            }),
            ecn: match with {
                _ if offered.accurate_ecn => {
                    EcnAgreed::Accurate(AccurateStart::of_third_segment(segment))
                }
                Some(with) if with.ecn && level != EcnLevel::Nothing => EcnAgreed::Both,
                _ => EcnAgreed::Off,
            },
            peer_window_octets: segment.header.window.0,
            own_window_octets: answer.offer.window_octets,
        };
        let mut opening = Opening {
            agreed,
            active: false,
            rtt: None,
            lost: false,
            owes_ack: false,
            syn_octets_acked: 0,
        };
        let start = Start { opening: &mut opening, birth: answer.birth, path: answer.path };
        self.open_by_cookie(now, flow, listener, start, segment);
        None
    }

    fn open_by_cookie(
        &mut self,
        now: Instant,
        flow: &FlowKey,
        listener: ListenerId,
        start: Start<'_, C>,
        segment: &mut Segment,
    ) {
        if let Err(reason) = self.room_behind(now, listener) {
            return self.common.drop_packet(None, now, reason);
        }
        // The body is replaced at once; until then it holds no TCB.
        let body = Body::Ended(usertcp_base::observe::CloseReason::Limit, None);
        match self.table.insert(flow, Owner::Nobody, body) {
            Ok((id, evicted)) => {
                self.note_eviction(now, evicted);
                let counters = &mut self.common.counters;
                counters.cookies_accepted = counters.cookies_accepted.wrapping_add(1);
                self.establish_passive(now, id, flow, listener, start, segment);
            }
            Err(_) => self.common.drop_packet(None, now, DropReason::ConnectionLimit),
        }
    }

    /// Whether a connection that completes now has a place: in the accept queue and among the hot.
    pub(crate) fn room_behind(
        &mut self,
        now: Instant,
        listener: ListenerId,
    ) -> Result<(), DropReason> {
        match self.listeners.get(listener) {
            None => return Err(DropReason::ListenRefused),
            Some(listener) if listener.is_full() => return Err(DropReason::BacklogFull),
            Some(_) => {}
        }
        match self.make_room_for_tcb(now) {
            true => Ok(()),
            false => Err(DropReason::ConnectionLimit),
        }
    }

    /// A segment for a half-open record.
    pub(crate) fn deliver_embryo(
        &mut self,
        now: Instant,
        id: ConnId,
        flow: &FlowKey,
        segment: &mut Segment,
    ) {
        let Some(anchor) = self.table.anchors.get(id) else { return };
        let Body::Embryo(_, listener) = &anchor.body else { return };
        let listener = *listener;
        let Some(birth) = self.listeners.get(listener).map(|listener| listener.settings().clone())
        else {
            return self.discard(id);
        };
        let path = self.path_facts(flow);
        let Some(anchor) = self.table.anchors.get_mut(id) else { return };
        let Body::Embryo(handshake, _) = &mut anchor.body else { return };
        let limits = &self.common.limits;
        let outcome = handshake.handle_segment(now, segment, &birth.settings, &path, limits);
        match outcome {
            HandshakeOutcome::Ignored(reason) => self.common.drop_packet(Some(id), now, reason),
            HandshakeOutcome::Reply(reply) => self.send_reply(now, flow, &reply),
            HandshakeOutcome::Challenge(reply, reason) => {
                self.challenge(now, id, flow, &reply, reason);
            }
            HandshakeOutcome::Reset(reply) => {
                let counters = &mut self.common.counters;
                counters.resets_out = counters.resets_out.wrapping_add(1);
                self.send_reply(now, flow, &reply);
                self.discard(id);
            }
            HandshakeOutcome::Refused | HandshakeOutcome::Forgotten => {
                let counters = &mut self.common.counters;
                counters.resets_in = counters.resets_in.wrapping_add(1);
                self.discard(id);
            }
            // AT-42: without a place behind it the last acknowledgement is dropped, the record
            // stays, and the peer sends again.
            HandshakeOutcome::Established(mut opening) => match self.room_behind(now, listener) {
                Err(reason) => self.common.drop_packet(Some(id), now, reason),
                Ok(()) => {
                    self.listeners.remove_embryo(listener, &flow.remote);
                    let start = Start { opening: &mut opening, birth, path };
                    self.establish_passive(now, id, flow, listener, start, segment);
                }
            },
        }
    }

    /// A segment of the usual shape, its payload behind its headers, for a flow whose half-open record is found at
    /// once: it takes the last acknowledgement of a handshake where nothing about it is out of the ordinary. False:
    /// nothing has changed.
    #[inline(never)] // of two places
    pub(crate) fn complete_passive(
        &mut self,
        now: Instant,
        read: &Read,
        octets: &mut Chain,
        header_octets: usize,
    ) -> bool {
        self.complete(now, &read.flow, read, octets, header_octets)
    }

    /// The same where `looked` is how the flow is looked for.
    #[inline(always)] // twice: of a short packet by IPv4, and of all others
    pub(crate) fn complete(
        &mut self,
        now: Instant,
        looked: &impl Flow,
        read: &Read,
        octets: &mut Chain,
        header_octets: usize,
    ) -> bool {
        let (flow, segment) = (&read.flow, &read.header);
        let Some((id, handshake, listener)) = looked.find_embryo(&mut self.table) else {
            return false;
        };
        let Some(answers) = self.listeners.get(listener) else { return false };
        let Some(shaken) = handshake.handle_usual(segment) else { return false };
        let (full, birth) = (answers.is_full(), answers.settings().clone());
        self.common.count_in_octets(segment.wire_segments, octets.len() - header_octets);
        if full || !self.make_room_for_tcb(now) {
            let reason = if full { DropReason::BacklogFull } else { DropReason::ConnectionLimit };
            self.common.drop_packet(Some(id), now, reason);
            return true;
        }
        self.count_passive_open();
        let anchors = &self.table.anchors;
        let lives = |id| waits_at(anchors, id, listener);
        let queued = self.listeners.complete(listener, &flow.remote, id, lives);
        debug_assert!(queued, "there was room");
        debug_assert!(self.auth.is_idle(), "it is of the usual shape");
        let newborn = Newborn { active: false, birth, path: net::path_facts(&self.ip, flow) };
        let owner = Owner::Listener(listener);
        self.give_birth(
            now,
            id,
            flow,
            owner,
            newborn,
            |tcb, env, Birth { settings, controller }, path| {
                tcb.begin_usual(env, &shaken, settings, path, controller);
                match tcb.take_first(env, segment, octets, header_octets) {
                    Some(usual) => First::Usual(usual),
                    None => take_last_step(tcb, env, read, octets, header_octets),
                }
            },
        );
        true
    }

    /// Establishes `id`, for which there is room, and puts it into the accept queue.
    fn establish_passive(
        &mut self,
        now: Instant,
        id: ConnId,
        flow: &FlowKey,
        listener: ListenerId,
        start: Start<'_, C>,
        segment: &mut Segment,
    ) {
        self.queue_for_accept(id, listener);
        let last = LastStep { segment, written: Chain::new() };
        self.establish(now, id, flow, Owner::Listener(listener), start, last);
    }

    /// Puts `id` into the accept queue, where there is room.
    fn queue_for_accept(&mut self, id: ConnId, listener: ListenerId) {
        self.count_passive_open();
        let anchors = &self.table.anchors;
        let queued = self
            .listeners
            .get_mut(listener)
            .is_some_and(|queue| queue.push(id, |id| waits_at(anchors, id, listener)));
        debug_assert!(queued, "there was room");
    }

    fn count_passive_open(&mut self) {
        let counters = &mut self.common.counters;
        counters.passive_opens = counters.passive_opens.wrapping_add(1);
    }
}

/// Gives a new connection the segment that completed its handshake, where that is not one of the shortest kind.
#[inline(never)]
fn take_last_step<C: CongestionController, O: Observer>(
    tcb: &mut Tcb<C>,
    env: &mut Env<'_, O>,
    read: &Read,
    octets: &mut Chain,
    header_octets: usize,
) -> First {
    if let Some(usual) = tcb.handle_usual(env, &read.header, octets, header_octets) {
        return First::Usual(usual);
    }
    octets.advance(header_octets);
    let mut segment = as_segment(&read.flow, &read.header, core::mem::take(octets));
    First::Any(tcb.handle_segment(env, &mut segment))
}
