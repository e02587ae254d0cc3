//! Rates that the streams of a stack share.
//!
//! Owns: [`RateGroup`], and how a rate comes to the shards; what becomes of it there: `loans`, `purse`.
//! Must not know: how a rate is kept (`usertcp_stack`).
//!
//! A stream is released at the least of what its congestion controller, its own limit, its group, its
//! listener and its shard allow; its [`info`](crate::TcpStream::info) names the one that holds it. Of a shared rate of a
//! stack with several shards each has a part, which changes hands within some tens of milliseconds as streams come to
//! send at one shard and fall silent at another: by the weights of those that wait, and never more in sum than the whole.
//!
//! A change of a rate comes to the shards in two rounds: first all are lowered to what they may keep, then each has its
//! part of the new one.

pub(crate) mod loans;
pub(crate) mod purse;

use crate::native::Context;
use crate::rates::loans::SharedRate;
use crate::rates::purse::Purse;
use crate::sockets::TcpStream;
use crate::stack::Stack;
use std::io;
use std::sync::Arc;
use usertcp_base::{Rate, RateGroupId};
use usertcp_stack::RateGroupInfo;

/// A shard's part of a rate.
pub(crate) fn part(rate: Rate, shards: usize) -> Rate {
    if rate.is_unlimited() {
        return rate;
    }
    Rate::from_octets_per_second(rate.octets_per_second() / shards.max(1) as u64)
}

/// What the shards share of a rate; `None`: nothing is to be shared.
pub(crate) fn purse_of(rate: Rate, shards: usize) -> Option<Arc<Purse>> {
    let shares = shards > 1 && !rate.is_unlimited();
    shares.then(|| Arc::new(Purse::new(rate.octets_per_second(), shards)))
}

/// The first round of a change: no shard has more than it may keep.
pub(crate) fn hold(context: &mut Context<'_>, what: SharedRate, most: Rate) -> io::Result<()> {
    context.state.acted = true;
    context.engine.hold_rate(context.now, what, most)
}

/// The second: each has its part of the purse, or without one `rate`.
pub(crate) fn fund(
    context: &mut Context<'_>,
    what: SharedRate,
    rate: Rate,
    purse: Option<Arc<Purse>>,
) -> io::Result<()> {
    context.state.acted = true;
    context.engine.fund_rate(context.now, what, rate, purse)
}

/// As callers say it: `None` for no bound.
pub(crate) fn rate_of(octets_per_second: Option<u64>) -> Rate {
    octets_per_second.map_or(Rate::UNLIMITED, Rate::from_octets_per_second)
}

/// A rate that streams share: a tenant's, a customer's, a kind of traffic's. Made by
/// [`Stack::create_rate_group`]; joined by [`TcpStream::join_rate_group`].
///
/// It counts octets of packets that carry data or FIN, from the IP header on, whatever is retransmitted
/// included. Of the members that have something to send each gets the part its weight is of theirs; what one does not use
/// is the others'. Dropping the handle leaves the group as it is.
#[derive(Clone, Debug)]
pub struct RateGroup {
    stack: Stack,
    /// One for each shard.
    ids: Vec<RateGroupId>,
}

impl RateGroup {
    fn rates(&self) -> Vec<SharedRate> {
        self.ids.iter().copied().map(SharedRate::Group).collect()
    }

    /// Changes the rate from now on, also for what waits at present. `None`: no bound.
    ///
    /// # Errors
    /// `NotFound` when it was removed; `ConnectionAborted` when the stack was shut down.
    pub async fn set_rate(&self, octets_per_second: Option<u64>) -> io::Result<()> {
        self.stack.share(&self.rates(), rate_of(octets_per_second)).await
    }

    /// Its rate, the octets that left under it, and the weights of the members that wait; all shards'
    /// together.
    ///
    /// # Errors
    /// As [`RateGroup::set_rate`].
    pub async fn info(&self) -> io::Result<RateGroupInfo> {
        let mut sum: Option<RateGroupInfo> = None;
        let mut whole: Option<Rate> = None;
        for (index, id) in self.ids.iter().copied().enumerate() {
            let asked = self.stack.run_on(index, move |shard| {
                let whole = shard.engine.funded_rate(SharedRate::Group(id));
                shard.rate_group_info(id).map(|info| (info, whole))
            });
            let (info, of) =
                asked.await?.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
            whole = whole.or(of);
            sum = Some(match sum {
                None => info,
                Some(sum) => add(sum, info),
            });
        }
        let sum = sum.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(RateGroupInfo { rate: whole.unwrap_or(sum.rate), ..sum })
    }

    /// Takes it away: its members are under its rate no more.
    ///
    /// # Errors
    /// As [`RateGroup::set_rate`].
    pub async fn remove(self) -> io::Result<()> {
        for (index, id) in self.ids.iter().copied().enumerate() {
            self.stack.run_on(index, move |shard| shard.remove_rate_group(id)).await??;
        }
        Ok(())
    }
}

fn add(one: RateGroupInfo, other: RateGroupInfo) -> RateGroupInfo {
    let rate = match one.rate.is_unlimited() || other.rate.is_unlimited() {
        true => Rate::UNLIMITED,
        false => Rate::from_octets_per_second(
            one.rate.octets_per_second().saturating_add(other.rate.octets_per_second()),
        ),
    };
    RateGroupInfo {
        rate,
        octets: one.octets.wrapping_add(other.octets),
        waiting_weight: one.waiting_weight + other.waiting_weight,
    }
}

impl Stack {
    /// What `rates` are one of, a shard each, is `rate` from now on.
    async fn share(&self, rates: &[SharedRate], rate: Rate) -> io::Result<()> {
        let most = part(rate, rates.len());
        for (index, what) in rates.iter().copied().enumerate().filter(|_| rates.len() > 1) {
            self.run_on(index, move |shard| hold(shard, what, most)).await??;
        }
        let purse = purse_of(rate, rates.len());
        for (index, what) in rates.iter().copied().enumerate() {
            let purse = purse.clone();
            self.run_on(index, move |shard| fund(shard, what, rate, purse)).await??;
        }
        Ok(())
    }

    /// A rate that streams may share, in octets per second; of several shards each has what it needs of it.
    ///
    /// # Errors
    /// `OutOfMemory` when there are 65,534 already; `ConnectionAborted` when the stack was shut down.
    pub async fn create_rate_group(&self, octets_per_second: u64) -> io::Result<RateGroup> {
        let whole = Rate::from_octets_per_second(octets_per_second);
        let rate = part(whole, self.shards());
        let made = self.run_each(move |shard| shard.create_rate_group(rate)).await?;
        let ids = made.into_iter().collect::<io::Result<Vec<_>>>()?;
        let group = RateGroup { stack: self.clone(), ids };
        if self.shards() > 1 {
            self.share(&group.rates(), whole).await?;
        }
        Ok(group)
    }

    /// What all connections of the stack may send together from now on; of several shards each has what it
    /// needs of it. `None`: no bound. [`Builder::total_rate_limit`](crate::Builder::total_rate_limit)
    /// sets it from the start.
    ///
    /// # Errors
    /// `ConnectionAborted` when the stack was shut down.
    pub async fn set_total_rate_limit(&self, octets_per_second: Option<u64>) -> io::Result<()> {
        let rates = vec![SharedRate::Shard; self.shards()];
        self.share(&rates, rate_of(octets_per_second)).await
    }
}

impl TcpStream {
    /// Shares the group's rate from now on, by `weight` among the members that have something to send (zero counts
    /// as one), and leaves the group it was in.
    ///
    /// # Errors
    /// `InvalidInput` when the group is another stack's.
    pub fn join_rate_group(&self, group: &RateGroup, weight: u16) -> io::Result<()> {
        let shard = group.stack.shard_of(self.hub());
        let id = shard.and_then(|shard| group.ids.get(shard)).copied().ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "the group is another stack's")
        })?;
        self.set_settings(|settings| {
            (settings.shares.group, settings.shares.weight) = (id, weight.max(1));
        })
    }

    /// Is under no group's rate from now on.
    ///
    /// # Errors
    /// The connection's end, if it is over.
    pub fn leave_rate_group(&self) -> io::Result<()> {
        self.set_settings(|settings| settings.shares.group = RateGroupId::NONE)
    }
}

#[cfg(test)]
mod tests;
