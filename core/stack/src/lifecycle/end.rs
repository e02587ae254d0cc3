//! The ways a record goes away.
//!
//! Owns: what remains of a connection that is over, who is told, what others learn from it, and what it leaves.
//! Must not know: why it is over.
//! Implements: RFC 9293 §3.6 (what remains of a connection).

use crate::anchor::{Anchor, Body, Owner};
use crate::shard::Shard;
use crate::usual::pack_acknowledgement;
use alloc::boxed::Box;
use usertcp_base::observe::CloseReason;
use usertcp_base::{ConnId, DropReason, Instant, Limits, Observer};
use usertcp_cc::CongestionController;
use usertcp_tcp::{Ended, LastWord, Reply, TimeWait};

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// A connection is over.
    #[inline(always)] // mostly without a reset
    pub(crate) fn end(
        &mut self,
        now: Instant,
        id: ConnId,
        ended: Ended,
        reset: Option<Box<Reply>>,
    ) {
        if reset.is_some() || !self.end_quietly(now, id, ended) {
            self.end_any(now, id, ended, reset);
        }
    }

    /// The same of a connection that nobody holds, that has nothing to send, and of which there is nothing to be told
    /// or learnt, as it is with nearly all. False: nothing has changed.
    #[inline(never)] // a call has to do with an end once in a connection's life
    fn end_quietly(&mut self, now: Instant, id: ConnId, ended: Ended) -> bool {
        self.end_here(now, id, ended)
    }

    /// A connection is over by the last segment there is of it.
    #[inline(always)] // in one place
    pub(crate) fn end_by_last(&mut self, now: Instant, id: ConnId, ended: Ended) {
        if !self.end_here(now, id, ended) {
            self.end_any(now, id, ended, None);
        }
    }

    #[inline(always)] // twice: where ends are all there is, and everywhere else
    fn end_here(&mut self, now: Instant, id: ConnId, ended: Ended) -> bool {
        let listed = !self.rates.is_empty()
            || !self.starved.is_empty()
            || self.transmit.has_others_than_fresh();
        let Some(anchor) = self.table.anchors.get_mut(id) else { return true };
        let Body::Hot(hot, _) = anchor.body else { return false };
        let Some(tcb) = self.table.hot.at_mut(hot) else { return false };
        if listed || !anchor.is_forgotten() || tcb.has_host_facts() {
            return false;
        }
        self.common.note_end(now, id, ended.reason());
        if !ended.waits() {
            self.table.remove(id);
            return true;
        }
        let until = end_of_time_wait(now, &self.common.limits);
        if self.auth.is_idle()
            && let Some(ends) = anchor.ends_v4(&self.ip)
            && let Some(record) = tcb.usual_time_wait(now, ended)
        {
            let owed = record.usual_acknowledgement(now);
            anchor.body = Body::TimeWait(record, until.into());
            let evicted = self.table.begin_time_wait(id, Some(hot), until);
            self.common.unusual = true;
            if let Some(segment) = owed {
                let packet = pack_acknowledgement(&mut self.common, &ends, &segment);
                self.push_or_count(now, packet);
            }
            self.note_eviction(now, evicted);
        } else {
            let (record, word) = tcb.time_wait(&mut self.common.env(now, id), ended);
            self.send_last_word(now, id, word);
            self.enter_time_wait(now, id, record);
        }
        true
    }

    /// The end of any.
    #[inline(never)]
    fn end_any(&mut self, now: Instant, id: ConnId, ended: Ended, reset: Option<Box<Reply>>) {
        let Some(anchor) = self.table.anchors.get(id) else { return };
        let (owner, hot) = (anchor.owner(), anchor.body.hot());
        let reason = ended.reason();
        if let Body::Early(..) = anchor.body {
            self.leave_early(now, id, reason == CloseReason::Reset);
        }
        if !self.rates.is_empty() {
            self.leave_rates(id);
        }
        self.transmit.remove(id, &mut self.table.anchors);
        if !self.starved.is_empty() {
            self.starved.remove(id.slot);
        }
        self.common.note_end(now, id, reason);
        if let Some(reset) = reset
            && let Some(flow) = self.table.flow(id)
        {
            self.send_reply(now, &flow, &reset);
        }
        let time_wait = match hot {
            Some(hot) => self.last_words(now, id, hot, ended),
            None => None,
        };
        if let Owner::Application(_) = owner {
            return self.end_held(now, id, reason, time_wait);
        }
        self.leave_queue(owner);
        self.events.forget(id, &mut self.table.anchors);
        match time_wait {
            Some(record) => self.enter_time_wait(now, id, record),
            None => self.table.remove(id),
        }
    }

    /// What others learn from a connection that ended, and the TIME-WAIT record that remains of it, if one does.
    /// What that owes at birth is sent.
    #[inline(always)] // of one end
    fn last_words(&mut self, now: Instant, id: ConnId, hot: u32, ended: Ended) -> Option<TimeWait> {
        let facts = self.table.hot.at(hot)?.host_facts();
        if let Some(facts) = facts {
            self.hosts.learn(now, &self.table.flow(id)?, &facts);
        }
        if !ended.waits() {
            return None;
        }
        let tcb = self.table.hot.at_mut(hot)?;
        let (record, word) = tcb.time_wait(&mut self.common.env(now, id), ended);
        self.send_last_word(now, id, word);
        Some(record)
    }

    fn send_last_word(&mut self, now: Instant, id: ConnId, word: LastWord) {
        match word {
            LastWord::Nothing => {}
            LastWord::Usual(segment) => self.send_last(now, id, &segment),
            LastWord::Any(reply) => {
                if let Some(flow) = self.table.flow(id) {
                    self.send_reply(now, &flow, &reply);
                }
            }
        }
    }

    /// The application still holds the handle: it may read what is left, and must be told. A
    /// TIME-WAIT record is then one of its own.
    fn end_held(
        &mut self,
        now: Instant,
        id: ConnId,
        reason: CloseReason,
        time_wait: Option<TimeWait>,
    ) {
        let Some(flow) = self.table.flow(id) else { return };
        self.table.retire(id);
        let hot = match self.table.anchors.get(id) {
            Some(Anchor { body: Body::Hot(hot, _), .. }) => Some(*hot),
            _ => None,
        };
        self.table.set_body(id, Body::Ended(reason, hot));
        self.events.close(id, reason);
        let Some(record) = time_wait else { return };
        // Until its own body is set, this one holds nothing.
        match self.table.insert(&flow, Owner::Nobody, Body::Ended(reason, None)) {
            Ok((remains, evicted)) => {
                self.note_eviction(now, evicted);
                self.enter_time_wait(now, remains, record);
            }
            Err(_) => self.common.drop_packet(None, now, DropReason::TimeWaitEvicted),
        }
    }

    #[inline(always)] // what it is given is large
    fn enter_time_wait(&mut self, now: Instant, id: ConnId, record: TimeWait) {
        let until = end_of_time_wait(now, &self.common.limits);
        let evicted = self.table.enter_time_wait(id, record, until);
        self.common.unusual = true;
        self.note_eviction(now, evicted);
    }

    pub(crate) fn note_eviction(&mut self, now: Instant, evicted: Option<ConnId>) {
        if evicted.is_some() {
            self.common.drop_packet(evicted, now, DropReason::TimeWaitEvicted);
        }
    }

    pub(crate) fn leave_queue(&mut self, owner: Owner) {
        if let Owner::Listener(listener) = owner
            && let Some(listener) = self.listeners.get_mut(listener)
        {
            listener.forget();
        }
    }

    /// Removes a record and whatever refers to it, silently.
    pub(crate) fn discard(&mut self, id: ConnId) {
        self.leave_rates(id);
        self.transmit.remove(id, &mut self.table.anchors);
        self.starved.remove(id.slot);
        self.events.forget(id, &mut self.table.anchors);
        let Some(flow) = self.table.anchors.flow(id) else { return };
        let Some(anchor) = self.table.anchors.get(id) else { return };
        let owner = anchor.owner();
        match anchor.body {
            Body::Embryo(_, listener) | Body::Asked(_, listener) => {
                self.listeners.remove_embryo(listener, &flow.remote);
            }
            Body::Early(early, _) => {
                if let Some(listener) = self.table.early.at(early).map(|early| early.listener) {
                    self.listeners.remove_embryo(listener, &flow.remote);
                    if let Some(pending) =
                        self.listeners.get_mut(listener).and_then(|all| all.fast_open())
                    {
                        pending.remove();
                    }
                }
            }
            _ => {}
        }
        self.table.remove(id);
        self.leave_queue(owner);
    }
}

/// When a TIME-WAIT record goes that begins now.
fn end_of_time_wait(now: Instant, limits: &Limits) -> Instant {
    now + limits.msl + limits.msl
}
