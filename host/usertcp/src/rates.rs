//! Rates that the streams of a stack share.
//!
//! Owns: [`RateGroup`], and the division of a rate among shards.
//! Must not know: how a rate is kept (`usertcp_stack`).
//!
//! A stream is released at the least of what its congestion controller, its own limit, its group, its
//! listener and its shard allow; its [`info`](crate::TcpStream::info) names the one that holds it. A shared rate of a
//! stack with several shards is divided **evenly**: each shard's streams have their shard's part and no more, so the whole is
//! never exceeded, and is not reached when the streams that have something to send are unevenly spread.

use crate::sockets::TcpStream;
use crate::stack::Stack;
use std::io;
use usertcp_base::{Rate, RateGroupId};
use usertcp_stack::RateGroupInfo;

/// A shard's part of a rate.
pub(crate) fn part(rate: Rate, shards: usize) -> Rate {
    if rate.is_unlimited() {
        return rate;
    }
    Rate::from_octets_per_second(rate.octets_per_second() / shards.max(1) as u64)
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
    /// Changes the rate from now on, also for what waits at present. `None`: no bound.
    ///
    /// # Errors
    /// `NotFound` when it was removed; `ConnectionAborted` when the stack was shut down.
    pub async fn set_rate(&self, octets_per_second: Option<u64>) -> io::Result<()> {
        let rate = part(rate_of(octets_per_second), self.ids.len());
        for (index, id) in self.ids.iter().copied().enumerate() {
            self.stack.run_on(index, move |shard| shard.set_rate_group(id, rate)).await??;
        }
        Ok(())
    }

    /// Its rate, the octets that left under it, and the weights of the members that wait; all shards'
    /// together.
    ///
    /// # Errors
    /// As [`RateGroup::set_rate`].
    pub async fn info(&self) -> io::Result<RateGroupInfo> {
        let mut sum: Option<RateGroupInfo> = None;
        for (index, id) in self.ids.iter().copied().enumerate() {
            let info = self.stack.run_on(index, move |shard| shard.rate_group_info(id)).await?;
            let info = info.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
            sum = Some(match sum {
                None => info,
                Some(sum) => add(sum, info),
            });
        }
        sum.ok_or_else(|| io::ErrorKind::NotFound.into())
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
    /// A rate that streams may share, in octets per second; with several shards each has an even part of it.
    ///
    /// # Errors
    /// `OutOfMemory` when there are 65,534 already; `ConnectionAborted` when the stack was shut down.
    pub async fn create_rate_group(&self, octets_per_second: u64) -> io::Result<RateGroup> {
        let rate = part(Rate::from_octets_per_second(octets_per_second), self.shards());
        let made = self.run_each(move |shard| shard.create_rate_group(rate)).await?;
        let ids = made.into_iter().collect::<io::Result<Vec<_>>>()?;
        Ok(RateGroup { stack: self.clone(), ids })
    }

    /// What all connections of the stack may send together from now on; with several shards each has an
    /// even part of it. `None`: no bound. [`Builder::total_rate_limit`](crate::Builder::total_rate_limit)
    /// sets it from the start.
    ///
    /// # Errors
    /// `ConnectionAborted` when the stack was shut down.
    pub async fn set_total_rate_limit(&self, octets_per_second: Option<u64>) -> io::Result<()> {
        let rate = part(rate_of(octets_per_second), self.shards());
        self.run_each(move |shard| shard.set_shard_rate(rate)).await.map(drop)
    }
}

impl TcpStream {
    /// Shares the group's rate from now on, by `weight` among the members that have something to send (zero counts
    /// as one), and leaves the group it was in.
    ///
    /// # Errors
    /// `InvalidInput` when the group is another stack's; the connection's end, if it is over.
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
