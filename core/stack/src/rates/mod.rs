//! Rates that connections share: groups, listeners, the shard (DESIGN §6.2).
//!
//! Owns: the groups, and what each connection that waits for one was promised.
//! Must not know: segments, why a connection sends, how it waits.
//! Implements: no RFC. The idea that a limit is a time of release, not a queue, is Carousel's (Saeed and
//! others, SIGCOMM 2017).
//!
//! No connection stands in a queue for a rate, and nothing is dropped by one: the connection waits in the wheel, by
//! its one deadline, with its data in its send queue. Who finds a rate taken is given a *ticket*: a
//! position on the rate's clock, and the octets it may send from there on. Who asks again comes after
//! everybody who asked before: shares are the sizes of tickets, which are by weight, and who asks for
//! nothing leaves everything to the others. A ticket is sent in releases, at the rate: the group is
//! never ahead of its rate by more than one of them, and one more after an idle time.
//!
//! Of several rates the narrowest is asked first, and a ticket for the next one is taken when the one
//! before is due, so nobody holds a place it cannot use yet.

mod group;
pub mod lend;

use alloc::vec::Vec;
use group::Group;
use usertcp_base::{Instant, Limiter, Rate, RateGroupId};
use usertcp_tcp::{Ceiling, Lags, Shares};

/// Rates one connection can be under: its group's, its listener's, the shard's.
const STAGES: usize = 3;
/// Groups of a shard at most.
const GROUPS: usize = u16::MAX as usize;
/// Names without a rate at most. Each makes the settings of who has it unlike all others', which are shared
/// by equals.
const NAMES: usize = 32;

/// A promise to one connection.
#[derive(Clone, Copy, Debug, Default)]
struct Ticket {
    /// It may send when the rate comes here.
    position: u64,
    /// Octets. When they are used up it still counts as one who waits, until it asks for more or says
    /// that it has nothing to send; what it sent beyond them is taken off the next ticket.
    left: i32,
    /// Zero: there is no ticket.
    weight: u16,
    /// The group.
    slot: u16,
}

impl Ticket {
    /// Whether there is a ticket of this group.
    fn is_of(&self, slot: u16) -> bool {
        self.weight > 0 && self.slot == slot
    }
    /// Whether it lets anything out.
    fn holds(&self, slot: u16) -> bool {
        self.is_of(slot) && self.left > 0
    }
}

/// The promises to one connection, and its record.
#[derive(Clone, Copy, Debug, Default)]
struct Member {
    tickets: [Ticket; STAGES],
    index: u32,
}

/// A place for a group.
#[derive(Clone, Debug)]
struct Place {
    generation: u16,
    /// Somebody names it who has no rate yet.
    named: bool,
    group: Option<Group>,
}

impl Place {
    const FREE: Place = Place { generation: 0, named: false, group: None };
}

/// All groups, and who waits for them.
#[derive(Debug)]
pub(crate) struct Rates {
    /// Place 0 is the shard's.
    places: Vec<Place>,
    /// By TCB. As long as the highest that ever had a rate to share.
    members: Vec<Member>,
    packet_octets: u32,
    /// How many there are.
    groups: u32,
    /// Names of listeners that are closed, whose rates stay for what they accepted.
    orphans: Vec<RateGroupId>,
    /// How many of these were in use when all of them were looked at.
    orphans_used: usize,
}

/// Why there is no group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RateError {
    /// There is no such group, or no more.
    Stale,
    /// There are 65,534 already.
    Limit,
}

/// A group's figures.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RateGroupInfo {
    /// Its rate.
    pub rate: Rate,
    /// Octets of packets that left under it, headers from IP on included.
    pub octets: u64,
    /// Weights of the connections that wait for it at present, summed up.
    pub waiting_weight: u64,
}

impl Rates {
    pub(crate) fn new(packet_octets: u32) -> Rates {
        let (places, members, orphans) = (Vec::new(), Vec::new(), Vec::new());
        Rates { places, members, packet_octets, groups: 0, orphans, orphans_used: 0 }
    }

    /// The same, with a rate of the shard's, if it has one.
    pub(crate) fn open(rate: &Rate, packet_octets: u32, now: Instant) -> Rates {
        let mut rates = Rates::new(packet_octets);
        if !rate.is_unlimited() {
            rates.set_shard_rate(now, *rate);
        }
        rates
    }

    /// Whether there is any rate to share.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.groups == 0
    }

    /// The rate of everything the shard sends.
    pub(crate) fn shard_rate(&self) -> Rate {
        let place = self.places.first();
        place.and_then(|place| place.group.as_ref()).map_or(Rate::UNLIMITED, Group::rate)
    }

    pub(crate) fn set_shard_rate(&mut self, now: Instant, rate: Rate) {
        self.make_shard_place();
        let packet_octets = self.packet_octets;
        let Some(place) = self.places.first_mut() else { return };
        match &mut place.group {
            Some(group) => group.set_rate(now, rate),
            none => {
                *none = Some(Group::new(now, rate, Limiter::ShardRate, packet_octets));
                self.groups += 1;
            }
        }
    }

    fn make_shard_place(&mut self) {
        if self.places.is_empty() {
            self.places.push(Place::FREE);
        }
    }

    /// A new group.
    pub(crate) fn create(
        &mut self,
        now: Instant,
        rate: Rate,
        limiter: Limiter,
    ) -> Result<RateGroupId, RateError> {
        let group = Group::new(now, rate, limiter, self.packet_octets);
        let id = self.free_place()?;
        self.place(id).ok_or(RateError::Limit)?.group = Some(group);
        self.groups += 1;
        Ok(id)
    }

    fn free_place(&mut self) -> Result<RateGroupId, RateError> {
        self.make_shard_place();
        let is_free = |place: &Place| place.group.is_none() && !place.named;
        let slot = match self.places.iter().skip(1).position(is_free) {
            Some(position) => position + 1,
            None if self.places.len() < GROUPS => {
                self.places.push(Place::FREE);
                self.places.len() - 1
            }
            None => return Err(RateError::Limit),
        };
        let place = self.places.get(slot).ok_or(RateError::Limit)?;
        Ok(RateGroupId { slot: slot as u16, generation: place.generation })
    }

    /// A name for a rate that may be [`set`](Rates::set_named) once. `None`: there are as many as there may be.
    pub(crate) fn name(&mut self) -> Option<RateGroupId> {
        if self.places.iter().filter(|place| place.named).count() >= NAMES {
            return None;
        }
        let id = self.free_place().ok()?;
        self.place(id)?.named = true;
        Some(id)
    }

    /// The rate of a name: the group is made, or changed.
    pub(crate) fn set_named(
        &mut self,
        now: Instant,
        id: RateGroupId,
        rate: Rate,
        limiter: Limiter,
    ) -> Result<(), RateError> {
        let packet_octets = self.packet_octets;
        let place = self.place(id).ok_or(RateError::Stale)?;
        if core::mem::take(&mut place.named) {
            place.group = Some(Group::new(now, rate, limiter, packet_octets));
            self.groups += 1;
            return Ok(());
        }
        self.set_rate(now, id, rate)
    }

    /// A name is not needed any more. If it has a rate, that stays for who has the name.
    pub(crate) fn forget_name(&mut self, id: RateGroupId) {
        let Some(place) = self.place(id) else { return };
        if core::mem::take(&mut place.named) {
            place.generation = place.generation.wrapping_add(1);
        } else if place.group.is_some() {
            self.orphans.push(id);
        }
    }

    /// Whether so many rates of closed listeners are there that it pays to look who uses them: half of them nobody may use.
    pub(crate) fn has_many_orphans(&self) -> bool {
        self.orphans.len() > self.orphans_used * 2
    }

    /// Takes those away that nobody uses.
    pub(crate) fn remove_orphans(&mut self, is_used: impl Fn(&RateGroupId) -> bool) {
        let mut orphans = core::mem::take(&mut self.orphans);
        orphans.retain(|id| is_used(id) || self.remove(*id).is_err());
        self.orphans_used = orphans.len();
        self.orphans = orphans;
    }

    fn place(&mut self, id: RateGroupId) -> Option<&mut Place> {
        let place = self.places.get_mut(usize::from(id.slot))?;
        (id.slot > 0 && place.generation == id.generation).then_some(place)
    }

    pub(crate) fn exists(&self, id: RateGroupId) -> bool {
        self.info(id).is_ok()
    }

    pub(crate) fn set_rate(
        &mut self,
        now: Instant,
        id: RateGroupId,
        rate: Rate,
    ) -> Result<(), RateError> {
        let group =
            self.place(id).and_then(|place| place.group.as_mut()).ok_or(RateError::Stale)?;
        group.set_rate(now, rate);
        Ok(())
    }

    /// The figures of the shard's rate; stale if it has none.
    pub(crate) fn shard_info(&self) -> Result<RateGroupInfo, RateError> {
        let group = self.places.first().and_then(|place| place.group.as_ref());
        group.map(Group::info).ok_or(RateError::Stale)
    }

    /// Takes a group away: its members are under its rate no more.
    pub(crate) fn remove(&mut self, id: RateGroupId) -> Result<(), RateError> {
        let place = self.place(id).ok_or(RateError::Stale)?;
        place.group.take().ok_or(RateError::Stale)?;
        place.generation = place.generation.wrapping_add(1);
        self.groups -= 1;
        for ticket in self.members.iter_mut().flat_map(|member| &mut member.tickets) {
            if ticket.slot == id.slot {
                // It still waits, but to nobody's account.
                *ticket = Ticket { slot: NOBODY.slot, left: 0, ..*ticket };
            }
        }
        Ok(())
    }

    pub(crate) fn info(&self, id: RateGroupId) -> Result<RateGroupInfo, RateError> {
        let place = self.places.get(usize::from(id.slot)).filter(|_| id.slot > 0);
        let place = place.filter(|place| place.generation == id.generation);
        let group = place.and_then(|place| place.group.as_ref()).ok_or(RateError::Stale)?;
        Ok(group.info())
    }

    /// What the rates of a connection say of its next release. Nothing is promised by that. `lags`: what left before and
    /// came late to the device.
    pub(crate) fn ceiling(
        &mut self,
        now: Instant,
        hot: u32,
        shares: &Shares,
        lags: &Lags,
    ) -> Option<Ceiling> {
        let tickets = self.members.get(hot as usize).map(|member| member.tickets);
        let tickets = tickets.unwrap_or_default();
        let mut found: Option<Ceiling> = None;
        for (ticket, (id, weight)) in tickets.iter().zip(stages(shares)) {
            let Some((group, slot)) = group_of(&mut self.places, id) else { continue };
            if group.rate().is_unlimited() {
                continue;
            }
            group.look_back(lags);
            let (position, octets) = if ticket.holds(slot) {
                (ticket.position, ticket.left.unsigned_abs())
            } else if group.is_free(now) {
                (0, u32::MAX)
            } else {
                let part = group.part(weight, ticket.is_of(slot));
                (group.next(now), part.saturating_sub(owed(ticket, slot)))
            };
            if position > group.position(now) {
                let release = group.moment(position);
                return Some(Ceiling { release, octets: 0, limiter: group.limiter });
            }
            let octets = octets.min(group.release());
            if found.is_none_or(|other| octets < other.octets) {
                found = Some(Ceiling { release: Instant::ZERO, octets, limiter: group.limiter });
            }
        }
        found
    }

    /// A connection waits for the rate of `limiter`, as its ceiling said: it gets a ticket, if it has
    /// none. Tickets for rates it is not under any more, or would ask later, go back.
    pub(crate) fn wait(
        &mut self,
        now: Instant,
        (hot, index): (u32, u32),
        shares: &Shares,
        limiter: Limiter,
    ) {
        let Rates { places, members, .. } = self;
        let Some(member) = member_at(members, hot, index) else { return };
        let mut most = i32::MAX;
        let mut found = false;
        for (ticket, (id, weight)) in member.tickets.iter_mut().zip(stages(shares)) {
            let here = group_of(places, id);
            let slot = here.as_ref().map(|(_, slot)| *slot);
            if found || (ticket.weight > 0 && slot != Some(ticket.slot)) {
                give_back(places, ticket);
            }
            let Some((group, slot)) = group_of(places, id) else { continue };
            if !found && group.limiter == limiter {
                found = true;
                if !ticket.holds(slot) {
                    issue(group, ticket, (slot, weight), now, most);
                }
            } else if ticket.holds(slot) {
                most = most.min(ticket.left);
            }
        }
    }

    /// Octets of a connection's packets left.
    pub(crate) fn charge(
        &mut self,
        now: Instant,
        (hot, index): (u32, u32),
        shares: &Shares,
        octets: u32,
    ) {
        let due = self.due(hot, shares);
        let Rates { places, members, .. } = self;
        let mut most = i32::MAX;
        for (stage, (id, weight)) in stages(shares).into_iter().enumerate() {
            let Some((group, slot)) = group_of(places, id) else { continue };
            group.octets = group.octets.wrapping_add(u64::from(octets));
            if group.rate().is_unlimited() {
                continue;
            }
            let held = members.get(hot as usize).and_then(|member| member.tickets.get(stage));
            let holds = held.is_some_and(|ticket| ticket.holds(slot));
            if !holds && group.is_free(now) {
                group.take(now, octets);
                continue;
            }
            let Some(member) = member_at(members, hot, index) else { return };
            let Some(ticket) = member.tickets.get_mut(stage) else { return };
            if !holds {
                issue(group, ticket, (slot, weight), now, most);
            }
            let late = match due {
                None => group.position(now).saturating_sub(ticket.position),
                Some(due) => group.octets_in(now.since(due)),
            };
            group.keep(now, late);
            ticket.position = ticket.position.saturating_add(u64::from(octets));
            ticket.left = ticket.left.saturating_sub(i32::try_from(octets).unwrap_or(i32::MAX));
            group.overdraw(ticket.left.min(0).unsigned_abs());
            if ticket.left > 0 {
                most = most.min(ticket.left);
            }
        }
    }

    /// When the last of several tickets came due: what is waited for another rate is not late. `None`: there are not
    /// several.
    fn due(&mut self, hot: u32, shares: &Shares) -> Option<Instant> {
        let Rates { places, members, groups, .. } = self;
        if *groups < 2 {
            return None;
        }
        let tickets = &members.get(hot as usize)?.tickets;
        let held = |(ticket, (id, _)): (&Ticket, _)| {
            let (group, slot) = group_of(places, id)?;
            ticket.holds(slot).then(|| group.moment(ticket.position))
        };
        let moments = tickets.iter().zip(stages(shares)).filter_map(held);
        let (count, last) =
            moments.fold((0, Instant::ZERO), |(count, last), at| (count + 1, last.max(at)));
        (count > 1).then_some(last)
    }

    /// A connection has nothing to send at present that rates would let go, or is over: what it was
    /// promised goes back.
    pub(crate) fn leave(&mut self, hot: u32) {
        let Some(member) = self.members.get_mut(hot as usize) else { return };
        for ticket in &mut member.tickets {
            give_back(&mut self.places, ticket);
        }
    }

    /// The highest of the rates that a connection is under: who is late by its release cannot make up for it.
    pub(crate) fn highest(&self, shares: &Shares) -> Option<Rate> {
        let rate = |(id, _): (Option<RateGroupId>, u16)| {
            let place = self.places.get(usize::from(id.map_or(0, |id| id.slot)))?;
            let named = id.is_none_or(|id| id.generation == place.generation);
            place.group.as_ref().filter(|_| named).map(Group::rate)
        };
        stages(shares).into_iter().filter_map(rate).filter(|rate| !rate.is_unlimited()).max()
    }

    /// The records of connections that wait: they are to be asked again after a change of a rate.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = u32> {
        let waits = |member: &&Member| member.tickets.iter().any(|ticket| ticket.weight > 0);
        self.members.iter().filter(waits).map(|member| member.index)
    }
}

/// The rates that a connection is under, the narrowest first, each with its weight there.
fn stages(shares: &Shares) -> [(Option<RateGroupId>, u16); STAGES] {
    let named = |id: RateGroupId| Some(id).filter(|id| id.slot > 0);
    // No name is the shard's.
    [
        (named(shares.group).or(Some(NOBODY)), shares.weight.max(1)),
        (named(shares.listener).or(Some(NOBODY)), 1),
        (None, 1),
    ]
}

/// A handle that no group has: generations of the place of the shard do not count.
const NOBODY: RateGroupId = RateGroupId { slot: u16::MAX, generation: 0 };

/// A group, and its place.
fn group_of(places: &mut [Place], id: Option<RateGroupId>) -> Option<(&mut Group, u16)> {
    let slot = id.map_or(0, |id| id.slot);
    let place = places.get_mut(usize::from(slot))?;
    if id.is_some_and(|id| id.generation != place.generation) {
        return None;
    }
    place.group.as_mut().map(|group| (group, slot))
}

/// The member of a TCB.
fn member_at(members: &mut Vec<Member>, hot: u32, index: u32) -> Option<&mut Member> {
    let at = hot as usize;
    if members.len() <= at {
        members.resize(at + 1, Member::default());
    }
    let member = members.get_mut(at)?;
    member.index = index;
    Some(member)
}

/// A ticket for the next free part of the rate, of `most` octets at most.
fn issue(
    group: &mut Group,
    ticket: &mut Ticket,
    (slot, weight): (u16, u16),
    now: Instant,
    most: i32,
) {
    let (owed, counted) = (owed(ticket, slot), ticket.is_of(slot));
    let most = u32::try_from(most).unwrap_or(0);
    let part = group.part(weight, counted).min(most).max(owed.saturating_add(1));
    if !counted {
        group.enter(weight);
    }
    // The clock waited for what was owed, when it was overdrawn.
    let part = part - owed;
    let position = group.promise(now, part);
    let left = i32::try_from(part).unwrap_or(i32::MAX);
    *ticket = Ticket { position, left, weight, slot };
}

/// What was sent beyond the last ticket: the next one is smaller by it.
fn owed(ticket: &Ticket, slot: u16) -> u32 {
    if ticket.is_of(slot) { ticket.left.min(0).unsigned_abs() } else { 0 }
}

/// Takes a ticket back, if there is one, and what is owed.
fn give_back(places: &mut [Place], ticket: &mut Ticket) {
    if ticket.weight == 0 {
        return;
    }
    if let Some(group) = places.get_mut(usize::from(ticket.slot)).and_then(|p| p.group.as_mut()) {
        group.settle(ticket.weight, u32::try_from(ticket.left).unwrap_or(0));
    }
    *ticket = Ticket::default();
}

#[cfg(test)]
mod tests;
