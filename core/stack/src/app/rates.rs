//! Rates that connections share, as the application sets them.
//!
//! Owns: groups by handle, who joins them, the rates of listeners and of the shard.
//! Must not know: how a rate is kept.
//! Implements: no RFC; DESIGN §6.2.
//!
//! What a connection sends is released at the least of what its congestion controller, its own limit
//! (`Settings::rate_limit`), the group it joined, the listener that accepted it and the shard allow;
//! [`usertcp_tcp::Info::limiter`] says which of them that is. A limit counts the octets of packets that carry data
//! or FIN, from the IP header on, whatever is retransmitted included; bare acknowledgements neither
//! count nor wait. What waits, waits in the send queue: its room is all a writer gets.
//!
//! Every rate is one shard's. A stack of several shards divides a rate among them, as they need it
//! ([`crate::lend`], `usertcp::RateGroup`).

use crate::anchor::Body;
use crate::app::ConnError;
use crate::rates::{RateError, RateGroupInfo};
use crate::shard::Shard;
use alloc::collections::BTreeSet;
use usertcp_base::{ConnId, Instant, Limiter, ListenerId, Observer, Rate, RateGroupId};
use usertcp_cc::CongestionController;
use usertcp_tcp::Tcb;

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// The stream's own limit, from now on: also for what waits at present.
    pub fn set_rate(&mut self, now: Instant, id: ConnId, rate: Rate) -> Result<(), ConnError> {
        self.set_option(now, id, |settings| settings.rate_limit = rate)
    }

    /// A rate that connections may share by [`Shard::join_rate_group`].
    pub fn create_rate_group(
        &mut self,
        now: Instant,
        rate: Rate,
    ) -> Result<RateGroupId, RateError> {
        self.common.unusual = true;
        self.rates.create(now, rate, Limiter::GroupRate)
    }

    /// Changes a group's rate from now on: also for what waits at present.
    pub fn set_rate_group(
        &mut self,
        now: Instant,
        group: RateGroupId,
        rate: Rate,
    ) -> Result<(), RateError> {
        self.rates.set_rate(now, group, rate)?;
        self.ask_who_waits();
        Ok(())
    }

    /// Takes a group away. Its members are under its rate no more.
    pub fn remove_rate_group(&mut self, group: RateGroupId) -> Result<(), RateError> {
        self.rates.remove(group)?;
        self.ask_who_waits();
        Ok(())
    }

    /// A group's figures.
    pub fn rate_group_info(&self, group: RateGroupId) -> Result<RateGroupInfo, RateError> {
        self.rates.info(group)
    }

    /// The connection shares the group's rate from now on, and leaves the group it was in;
    /// [`RateGroupId::NONE`] for none. Of the members that have something to send each gets its weight's part
    /// (zero counts as one); what one does not use is the others'.
    pub fn join_rate_group(
        &mut self,
        now: Instant,
        id: ConnId,
        group: RateGroupId,
        weight: u16,
    ) -> Result<(), ConnError> {
        if group != RateGroupId::NONE && !self.rates.exists(group) {
            return Err(ConnError::Stale);
        }
        self.set_option(now, id, |settings| {
            settings.shares.group = group;
            settings.shares.weight = weight.max(1);
        })
    }

    /// What all connections that this listener accepts may send together, from now on; those it has accepted
    /// too. Of more than 32 listeners that never had a rate at one time the further ones name none to what
    /// they accept: their first rate counts for later accepts.
    pub fn set_listener_rate(
        &mut self,
        now: Instant,
        listener: ListenerId,
        rate: Rate,
    ) -> Result<(), RateError> {
        self.common.unusual = true;
        let birth = self.listeners.get_mut(listener).ok_or(RateError::Stale)?.settings_mut();
        let mut settings = *birth.settings;
        let name = settings.shares.listener;
        if name != RateGroupId::NONE {
            self.rates.set_named(now, name, rate, Limiter::ListenerRate)?;
            self.ask_who_waits();
            return Ok(());
        }
        settings.shares.listener = self.rates.create(now, rate, Limiter::ListenerRate)?;
        birth.settings = self.common.shelf.share(&settings);
        Ok(())
    }

    /// The figures of a listener's rate; stale if none was set.
    pub fn listener_rate_info(&self, listener: ListenerId) -> Result<RateGroupInfo, RateError> {
        let listener = self.listeners.get(listener).ok_or(RateError::Stale)?;
        self.rates.info(listener.settings().settings.shares.listener)
    }

    /// What all connections of the shard may send together, from now on.
    pub fn set_shard_rate(&mut self, now: Instant, rate: Rate) {
        if self.rates.shard_rate() != rate {
            self.common.unusual = true;
            self.rates.set_shard_rate(now, rate);
            self.ask_who_waits();
        }
    }

    /// What all connections of the shard may send together.
    pub fn shard_rate(&self) -> Rate {
        self.rates.shard_rate()
    }

    /// The figures of the shard's rate; stale if none was ever set.
    pub fn shard_rate_info(&self) -> Result<RateGroupInfo, RateError> {
        self.rates.shard_info()
    }

    /// A rate has changed: whoever waits for one is asked again, with the next transmission. So much work
    /// is a change, and no more: a few nanoseconds for each that waits.
    fn ask_who_waits(&mut self) {
        for index in self.rates.waiting() {
            if let Some((id, anchor)) = self.table.anchors.with_id_mut(index) {
                self.transmit.push(id, anchor);
            }
        }
    }

    /// A listener is closed. Its rate stays as long as anything that it accepted is there, and some time longer: whoever
    /// uses such rates is looked for now and then, with one look at all connections.
    pub(crate) fn remove_unused_rates(&mut self) {
        if !self.rates.has_many_orphans() {
            return;
        }
        let mut used = BTreeSet::new();
        for (_, anchor) in self.table.anchors.iter() {
            let settings = match &anchor.body {
                Body::Parked(parked) => Some(self.table.moulds.settings(parked)),
                body => body.hot().and_then(|hot| self.table.hot.at(hot)).map(Tcb::settings),
            };
            used.extend(settings.map(|settings| settings.shares.listener));
        }
        self.rates.remove_orphans(|id| used.contains(id));
    }

    /// What a connection was promised goes back.
    pub(crate) fn leave_rates(&mut self, id: ConnId) {
        if !self.rates.is_empty()
            && let Some(hot) = self.table.anchors.get(id).and_then(|anchor| anchor.body.hot())
        {
            self.rates.leave(hot);
        }
    }
}
