//! One shard's parts of the rates that its stack shares.
//!
//! Owns: when the shard looks at what others said, and what it does then. Must not know: what a rate
//! is for.
//!
//! A shard that is at work looks every few milliseconds, in a turn that it has anyway; it wakes for that only while
//! one of its parts holds somebody back. Who sleeps with more than it needs is rung for by who needs it.

use crate::rates::purse::{Nudges, Purse};
use std::sync::Arc;
use usertcp_base::{Instant, ListenerId, Observer, Rate, RateGroupId, Span};
use usertcp_cc::CongestionController;
use usertcp_stack::lend::{Demand, Loan, Step, has_too_much};
use usertcp_stack::{RateError, RateGroupInfo, Shard};

/// How often a shard looks.
const INTERVAL: Span = Span::from_millis(5);
/// How soon after a look it may be asked for another.
const BREATH: Span = Span::from_millis(1);
/// Rates visited in one look; of more each has its turn.
const LOOKS: usize = 256;

/// A rate that several shards may share.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SharedRate {
    /// Of a group.
    Group(RateGroupId),
    /// Of what a listener accepted.
    Listener(ListenerId),
    /// Of everything.
    Shard,
}

impl SharedRate {
    /// Its figures in `shard`.
    pub(crate) fn info<C, O>(self, shard: &Shard<C, O>) -> Result<RateGroupInfo, RateError>
    where
        C: CongestionController,
        O: Observer,
    {
        match self {
            SharedRate::Group(group) => shard.rate_group_info(group),
            SharedRate::Listener(listener) => shard.listener_rate_info(listener),
            SharedRate::Shard => shard.shard_rate_info(),
        }
    }

    /// Changes it in `shard`.
    pub(crate) fn set<C, O>(
        self,
        now: Instant,
        shard: &mut Shard<C, O>,
        rate: Rate,
    ) -> Result<(), RateError>
    where
        C: CongestionController,
        O: Observer,
    {
        match self {
            SharedRate::Group(group) => shard.set_rate_group(now, group, rate)?,
            SharedRate::Listener(listener) => shard.set_listener_rate(now, listener, rate)?,
            SharedRate::Shard => shard.set_shard_rate(now, rate),
        }
        Ok(())
    }
}

/// All parts of one shard.
pub(crate) struct Loans {
    index: usize,
    nudges: Arc<Nudges>,
    all: Vec<Entry>,
    /// Who is looked at first.
    turn: usize,
    looked: Instant,
    /// Somebody is held back by a part.
    hungry: bool,
    said: Vec<Demand>,
}

struct Entry {
    what: SharedRate,
    purse: Arc<Purse>,
    loan: Loan,
    gone: bool,
}

impl Loans {
    /// Of the shard at `index`.
    pub(crate) fn new(index: usize, nudges: Arc<Nudges>) -> Loans {
        Loans {
            index,
            nudges,
            all: Vec::new(),
            turn: 0,
            looked: Instant::ZERO,
            hungry: false,
            said: Vec::new(),
        }
    }

    /// A part of `purse` from now on; the shard's rate.
    pub(crate) fn add(
        &mut self,
        now: Instant,
        what: SharedRate,
        purse: Arc<Purse>,
        info: &RateGroupInfo,
    ) -> Rate {
        self.forget(what);
        let loan = Loan::new(now, purse.total(), purse.shards(), info);
        let held = loan.held();
        purse.say(now, self.index, Demand { wanted: held, weight: 0, held });
        let rate = loan.rate();
        self.all.push(Entry { what, purse, loan, gone: false });
        rate
    }

    /// The part's rate was set.
    pub(crate) fn join(&self, what: SharedRate) {
        if let Some(entry) = self.all.iter().find(|entry| entry.what == what) {
            entry.purse.join();
        }
    }

    /// The rate is the shard's own from now on. What it had of it nobody has any more.
    pub(crate) fn forget(&mut self, what: SharedRate) {
        self.all.retain(|entry| entry.what != what);
    }

    /// The whole of a rate that is shared.
    pub(crate) fn total(&self, what: SharedRate) -> Option<Rate> {
        let entry = self.all.iter().find(|entry| entry.what == what)?;
        Some(Rate::from_octets_per_second(entry.purse.total()))
    }

    /// Whether it is time to look.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let since = now.since(self.looked);
        !self.all.is_empty()
            && (since >= INTERVAL || since >= BREATH && self.nudges.is_asked(self.index))
    }

    /// When to look at the latest.
    pub(crate) fn next(&self) -> Option<Instant> {
        if self.all.is_empty() {
            None
        } else if self.nudges.is_asked(self.index) {
            Some(self.looked + BREATH)
        } else {
            self.hungry.then(|| self.looked + INTERVAL)
        }
    }

    /// Says what the shard's parts were used for, and gives and takes.
    pub(crate) fn look<C, O>(&mut self, now: Instant, shard: &mut Shard<C, O>)
    where
        C: CongestionController,
        O: Observer,
    {
        self.nudges.heard(self.index);
        (self.looked, self.hungry) = (now, false);
        let Loans { index, nudges, all, turn, hungry, said, .. } = self;
        let count = all.len();
        let visited = count.min(LOOKS);
        let mut any_gone = false;
        for step in 0..visited {
            let at = (*turn + step) % count;
            let Some(entry) = all.get_mut(at) else { break };
            let Ok(info) = entry.what.info(shard) else {
                entry.gone = true;
                any_gone = true;
                continue;
            };
            *hungry |= info.waiting_weight > 0;
            entry.look(now, *index, &info, said, shard);
            if info.waiting_weight > 0 && entry.purse.is_whole() {
                let total = entry.purse.total();
                let others = (0..said.len()).filter(|other| other != index);
                let rich = others.filter(|other| has_too_much(total, said, *other));
                rich.for_each(|other| nudges.ask(other));
            }
        }
        *turn = if count > visited { (*turn + visited) % count } else { 0 };
        if any_gone {
            self.all.retain(|entry| !entry.gone);
        }
    }
}

impl Entry {
    fn look<C, O>(
        &mut self,
        now: Instant,
        index: usize,
        info: &RateGroupInfo,
        said: &mut Vec<Demand>,
        shard: &mut Shard<C, O>,
    ) where
        C: CongestionController,
        O: Observer,
    {
        let Entry { what, purse, loan, gone } = self;
        purse.say(now, index, loan.demand(now, info));
        purse.listen(now, said);
        if !purse.is_whole() {
            return;
        }
        match loan.step(said, index) {
            Step::Keep => {}
            Step::Give(octets) => {
                // The order is what keeps the sum: first slower here, then faster elsewhere.
                *gone = what.set(now, shard, loan.rate()).is_err();
                purse.give(octets);
            }
            Step::Take(most) => {
                let taken = purse.take(most);
                if taken > 0 {
                    loan.receive(taken);
                    *gone = what.set(now, shard, loan.rate()).is_err();
                }
            }
        }
    }
}
