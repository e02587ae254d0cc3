//! Fast opens of ours.
//!
//! Owns: what goes with a SYN, and what its answer teaches.
//! Must not know: what a cookie means to the peer.
//! Implements: RFC 7413 §4.1.3, §4.2.1, §4.2.2; 7413-5, 7413-7.
//!
//! Only the first SYN carries the option and data. When it or its answer seems to have been lost for
//! that, when the peer leaves the data unacknowledged, or never answers, Fast Open is not tried
//! there for a while.

use super::cache::Advice;
use crate::anchor::Body;
use crate::config::{Connect, ConnectError};
use crate::shard::Shard;
use alloc::boxed::Box;
use usertcp_base::{ConnId, FlowKey, Instant, Observer};
use usertcp_cc::CongestionController;
use usertcp_frame::{Chain, Class, FramePool};
use usertcp_tcp::{HEADROOM_OCTETS, Opening, Segment};
use usertcp_wire::tcp::{Cookie, HEADER_OCTETS};

/// Room that is left for options on a SYN with data, those of middleboxes included.
const OPTION_OCTETS: u16 = 40;

/// What a connection begins with.
#[derive(Clone, Copy, Debug)]
pub struct FirstData<'a> {
    /// What the application would write first. The data may reach the peer's application twice
    /// (RFC 7413 §6.1).
    pub octets: &'a [u8],
    /// Send it without having a cookie: for networks whose servers accept that.
    pub without_cookie: bool,
}

/// How an active open tries whose SYN is not like any other: its answer may teach something.
#[derive(Debug, Default)]
pub(crate) struct Attempt {
    /// What was written and is not acknowledged; the SYN carried the first octets of it.
    pub queue: Chain,
    /// The SYN's option. `None`: it had none, and nothing is learnt from its answer.
    pub option: Option<Cookie>,
}

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// [`Shard::connect`] with data that goes with the SYN if a cookie of the peer is known; else one
    /// is asked for, and the data follows the handshake. How many octets were taken: as for
    /// [`Shard::write`].
    pub fn connect_with(
        &mut self,
        now: Instant,
        to: &Connect<C>,
        first: FirstData<'_>,
    ) -> Result<(ConnId, usize), ConnectError> {
        let (flow, vacancy) = self.choose_flow(to)?;
        let most = self.common.limits.send_buffer_start_octets as usize;
        let wanted = first.octets.get(..first.octets.len().min(most)).unwrap_or(&[]);
        let queue = frames_of(&self.common.pool, wanted);
        let taken = queue.len();
        let (option, room) = self.plan_syn(now, &flow, to, first.without_cookie);
        let syn_octets = u16::try_from(taken).unwrap_or(u16::MAX).min(room);
        let ordinary = option.is_none() && queue.is_empty();
        let attempt = (!ordinary).then(|| Box::new(Attempt { queue, option }));
        let id = self.open(now, (flow, vacancy), to, attempt, syn_octets)?;
        Ok((id, taken))
    }

    /// Octets that would go with a SYN to `to`, if there were so many; `None`: no cookie is known, so
    /// one would be asked for.
    pub fn fast_open_room(
        &mut self,
        now: Instant,
        to: &Connect<C>,
        without_cookie: bool,
    ) -> Option<u16> {
        let local = match to.local {
            Some(address) => self.ip.local_index(address),
            None => self.ip.source_for(to.remote),
        };
        let remote = usertcp_ip::remote_address(to.remote);
        let flow = FlowKey { remote, local: local?, remote_port: to.remote_port, local_port: 0 };
        match self.plan_syn(now, &flow, to, without_cookie) {
            (Some(cookie), 0) if cookie == Cookie::REQUEST => None,
            (_, room) => Some(room),
        }
    }

    /// Option and room for data of a SYN.
    fn plan_syn(
        &mut self,
        now: Instant,
        flow: &FlowKey,
        to: &Connect<C>,
        without_cookie: bool,
    ) -> (Option<Cookie>, u16) {
        if self.is_protected(flow) {
            return (None, 0);
        }
        let path = self.path_facts(flow);
        // Neither more than we would take, nor than the path is thought to carry.
        let carried = path.segment_octets.saturating_sub(HEADER_OCTETS as u16);
        let limit = path.announced_mss(&to.profile.settings).min(carried);
        let room = |mss: u16| mss.min(limit).saturating_sub(OPTION_OCTETS);
        match self.fast_open_cache.advise(now, flow, &self.common.limits) {
            Advice::Pause => (None, 0),
            _ if without_cookie => {
                let known = self.fast_open_cache.mss_octets(flow);
                (None, room(known.unwrap_or(path.default_mss_octets)))
            }
            Advice::Ask => (Some(Cookie::REQUEST), 0),
            Advice::Cookie(cookie, mss) => (Some(cookie), room(mss)),
        }
    }

    /// The answer to a SYN of ours that had the option, or data. Afterwards the attempt's queue is
    /// what remains to be sent.
    pub(crate) fn learn_from_answer(
        &mut self,
        now: Instant,
        id: ConnId,
        flow: &FlowKey,
        answer: &Segment,
        result: &Opening,
    ) -> Chain {
        let body = self.table.anchors.get(id).map(|anchor| &anchor.body);
        let Some(Body::Opening(opening)) = body else { return Chain::new() };
        let Some(opening) = self.table.openings.at_mut(*opening) else { return Chain::new() };
        let (sent, retries) = (opening.handshake.syn_octets(), opening.handshake.retries());
        let attempt = opening.attempt.take().unwrap_or_default();
        let Attempt { mut queue, option } = *attempt;
        let acked = result.syn_octets_acked;
        queue.advance(usize::from(acked));
        if option.is_none() && sent == 0 {
            return queue;
        }
        let limits = &self.common.limits;
        let mss = result.agreed.peer_mss_octets;
        let given = answer.options.fast_open.filter(|cookie| !cookie.octets().is_empty());
        if let Some(cookie) = given
            && option.is_some()
        {
            self.fast_open_cache.learn(now, flow, cookie, mss, limits);
        }
        let counters = &mut self.common.counters;
        let refused = sent > 0 && acked == 0;
        if sent > 0 {
            let count = if refused {
                &mut counters.fast_opens_failed
            } else {
                &mut counters.fast_opens_out
            };
            *count = count.wrapping_add(1);
        }
        // Only the plain SYN after it was answered: the first one, or its answer, was lost.
        let lost = retries > 0 && given.is_none() && acked == 0;
        if lost || refused && given.is_none() {
            self.fast_open_cache.on_failure(now, flow, limits);
        } else {
            self.fast_open_cache.on_success(flow, mss);
        }
        queue
    }

    /// An attempt found nobody at all.
    pub(crate) fn learn_from_silence(&mut self, now: Instant, id: ConnId) {
        let Some(flow) = self.table.anchors.flow(id) else { return };
        let body = self.table.anchors.get(id).map(|anchor| &anchor.body);
        let Some(Body::Opening(opening)) = body else { return };
        let Some(opening) = self.table.openings.at(*opening) else { return };
        let asked = opening.attempt.as_ref().is_some_and(|attempt| attempt.option.is_some());
        if asked || opening.handshake.syn_octets() > 0 {
            self.fast_open_cache.on_failure(now, &flow, &self.common.limits);
        }
    }
}

/// Copies octets into frames: as many as there are frames for.
fn frames_of(pool: &FramePool, octets: &[u8]) -> Chain {
    let mut chain = Chain::new();
    let mut rest = octets;
    while !rest.is_empty() {
        let small = rest.len() + HEADROOM_OCTETS <= FramePool::data_octets(Class::Small);
        let class = if small { Class::Small } else { Class::Full };
        let Some(mut frame) = pool.take(class, HEADROOM_OCTETS) else { break };
        let copied = frame.extend(rest);
        if copied == 0 {
            break;
        }
        chain.push_back(frame.into_slice());
        rest = rest.get(copied..).unwrap_or(&[]);
    }
    chain
}
