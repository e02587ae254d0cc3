//! The neighbour cache.
//!
//! Owns: what is known of the stations of the link, the states of that knowledge, packets that wait
//! for it, its timers and its bounds.
//! Must not know: how stations are asked (ARP or neighbour discovery), which of them is on the way
//! to a destination.
//! Implements: RFC 4861 §7.2.2 (packets wait, the oldest makes room), §7.3.2 (states), §7.3.3
//! (when they change), for IPv4 as well; RFC 1122 §2.3.2.1 (one request per second, unicast polls)
//! and §2.3.2.2.
//!
//! Simplified: nothing above confirms that a neighbour is reachable (RFC 4861 §7.3.1 allows TCP to),
//! so that one in use is asked again, by unicast, about every half minute.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::net::IpAddr;
use usertcp_base::{Instant, Limits, Prng, Span};
use usertcp_frame::Packet;
use usertcp_wire::ethernet::{self, HEADER_OCTETS, Header, Kind, Mac};

use crate::remote_address;

/// RETRANS_TIMER: between two solicitations of one neighbour (RFC 4861 §10).
pub(super) const RETRANSMIT: Span = Span::from_secs(1);
/// MAX_MULTICAST_SOLICIT and MAX_UNICAST_SOLICIT.
pub(super) const SOLICITATIONS: u8 = 3;
/// DELAY_FIRST_PROBE_TIME: how long an old address is used before it is asked whether it is right.
pub(super) const DELAY: Span = Span::from_secs(5);
/// REACHABLE_TIME: its base; the time itself is half of it to one and a half (RFC 4861 §6.3.2).
pub(super) const REACHABLE: Span = Span::from_secs(30);
/// Places that remember where a destination was found.
const MEMOS: usize = 64;

/// How much is known of a neighbour (RFC 4861 §7.3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reachability {
    /// It is being asked for; nothing is known.
    Incomplete,
    /// It answered not long ago.
    Reachable,
    /// It was known once; nobody has used it since.
    Stale,
    /// As stale, and in use: it will be asked soon.
    Delay,
    /// It is being asked whether it is still there.
    Probe,
}

/// One station.
#[derive(Debug)]
struct Entry {
    key: u128,
    address: IpAddr,
    /// Our address that asks for it.
    source: IpAddr,
    state: Reachability,
    /// `Reachable`: the end of it. `Stale`: not used. Otherwise when the next step is due.
    until: Instant,
    /// Solicitations sent in this state.
    sent: u8,
    /// What goes in front of a packet for it. Its address on the link is zero while incomplete.
    header: [u8; HEADER_OCTETS],
    waiting: VecDeque<Packet>,
    /// When it was last used or, when it never was, learnt.
    touched: Instant,
    /// We had something to send to it.
    wanted: bool,
}

/// Where a destination was found last.
#[derive(Clone, Copy, Debug)]
struct Memo {
    destination: u128,
    neighbour: u128,
    slot: u32,
}

/// What a station said of an address, and how much that weighs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Claim {
    /// It answers, maybe us (RFC 4861 §7.2.5). Nothing is learnt of strangers.
    Answer { mac: Option<Mac>, solicited: bool, overrides: bool },
    /// It asks for an address of ours, and says where it is itself (RFC 4861 §7.2.3).
    Asks { mac: Mac, overrides: bool },
}

/// What is to be done now.
#[derive(Debug)]
pub(super) enum Due {
    /// Ask for `address`: all, or the one station that had it.
    Solicit { address: IpAddr, source: IpAddr, at: Option<Mac> },
    /// It did not answer. Packets that waited for it.
    Failed(VecDeque<Packet>),
}

/// What a search began with.
#[derive(Debug, Default)]
pub(super) struct Begun {
    /// Ask for the neighbour.
    pub(super) solicit: bool,
    /// A packet that had waited and made room.
    pub(super) replaced: Option<Packet>,
    /// Packets of a search that made room for this one.
    pub(super) abandoned: VecDeque<Packet>,
}

#[derive(Debug)]
pub(super) struct Neighbours {
    mac: Mac,
    slots: Vec<Option<Entry>>,
    free: Vec<u32>,
    index: BTreeMap<u128, u32>,
    /// Entries that are incomplete, delayed or probed, by when their next step is due.
    timers: BTreeSet<(Instant, u32)>,
    memos: [Memo; MEMOS],
    incomplete: usize,
    most: usize,
    most_incomplete: usize,
    most_waiting: usize,
    prng: Prng,
}

fn key_of(address: IpAddr) -> u128 {
    u128::from_be_bytes(remote_address(address).0)
}

impl Neighbours {
    pub(super) fn new(mac: Mac, limits: &Limits, prng: Prng) -> Neighbours {
        let most = limits.neighbours.max(1) as usize;
        Neighbours {
            mac,
            slots: Vec::new(),
            free: Vec::new(),
            index: BTreeMap::new(),
            timers: BTreeSet::new(),
            memos: [Memo { destination: 0, neighbour: 0, slot: u32::MAX }; MEMOS],
            incomplete: 0,
            most,
            most_incomplete: (limits.neighbours_unresolved.max(1) as usize).min(most),
            most_waiting: usize::from(limits.neighbour_packets.max(1)),
            prng,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn incomplete(&self) -> usize {
        self.incomplete
    }

    pub(super) fn state(&self, address: IpAddr) -> Option<(Reachability, Mac)> {
        let entry = self.entry(self.find(address)?)?;
        Some((entry.state, mac_in(&entry.header)))
    }

    /// Whether an answer about `address` is awaited.
    pub(super) fn is_asked(&self, address: IpAddr) -> bool {
        let state = self.state(address).map(|(state, _)| state);
        matches!(state, Some(Reachability::Incomplete | Reachability::Probe))
    }

    /// The header of packets to `destination`, when its neighbour was used lately and is reachable.
    #[inline]
    pub(super) fn quick(
        &mut self,
        now: Instant,
        destination: u128,
    ) -> Option<&[u8; HEADER_OCTETS]> {
        let memo = self.memos.get(memo_at(destination))?;
        let entry = self.slots.get_mut(memo.slot as usize)?.as_mut()?;
        let known = memo.destination == destination && memo.neighbour == entry.key;
        if !known || entry.state != Reachability::Reachable || now >= entry.until {
            return None;
        }
        entry.touched = now;
        Some(&entry.header)
    }

    /// The same for one that is known in any way; its state follows from being used.
    pub(super) fn header(
        &mut self,
        now: Instant,
        destination: u128,
        neighbour: IpAddr,
    ) -> Option<[u8; HEADER_OCTETS]> {
        let slot = self.find(neighbour)?;
        let entry = self.slots.get_mut(slot as usize)?.as_mut()?;
        let key = entry.key;
        (entry.touched, entry.wanted) = (now, true);
        let header = entry.header;
        match entry.state {
            Reachability::Incomplete => return None,
            Reachability::Reachable if now < entry.until => {}
            Reachability::Reachable | Reachability::Stale => {
                self.enter(slot, Reachability::Delay, now + DELAY);
            }
            Reachability::Delay | Reachability::Probe => {}
        }
        if let Some(memo) = self.memos.get_mut(memo_at(destination)) {
            *memo = Memo { destination, neighbour: key, slot };
        }
        Some(header)
    }

    /// Lets `packet` wait for `neighbour`, of which nothing is known yet.
    pub(super) fn wait(
        &mut self,
        now: Instant,
        neighbour: IpAddr,
        source: IpAddr,
        packet: Packet,
    ) -> Begun {
        let mut begun = Begun::default();
        let slot = match self.find(neighbour) {
            Some(slot) => slot,
            None => {
                if self.incomplete >= self.most_incomplete
                    && let Some(oldest) = self.oldest_search()
                {
                    begun.abandoned = self.remove(oldest);
                }
                begun.abandoned.append(&mut self.make_room());
                begun.solicit = true;
                self.insert(now, neighbour, source, Reachability::Incomplete, [0; 6])
            }
        };
        let most = self.most_waiting;
        if let Some(entry) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) {
            if entry.waiting.len() >= most {
                begun.replaced = entry.waiting.pop_front();
            }
            entry.waiting.push_back(packet);
        }
        begun
    }

    /// Hears a claim. Packets that waited for it.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        address: IpAddr,
        source: IpAddr,
        claim: Claim,
    ) -> Heard {
        let Some(slot) = self.find(address) else {
            let Claim::Asks { mac, .. } = claim else { return Heard::Stranger };
            let lost = self.make_room();
            self.insert(now, address, source, Reachability::Stale, mac);
            return Heard::Learnt { released: VecDeque::new(), lost };
        };
        let Some(entry) = self.entry(slot) else { return Heard::Stranger };
        let asked = matches!(entry.state, Reachability::Incomplete | Reachability::Probe);
        let old = mac_in(&entry.header);
        let (mac, answers, overrides) = match claim {
            // Nobody answers what was not asked.
            Claim::Answer { mac, solicited, overrides } => (mac, solicited && asked, overrides),
            Claim::Asks { mac, overrides } => (Some(mac), false, overrides),
        };
        match (entry.state, mac) {
            (Reachability::Incomplete, None) => return Heard::Nothing,
            (Reachability::Incomplete, Some(mac)) => {
                self.set_mac(slot, mac);
                self.settle(now, slot, answers);
                let released = self.take_waiting(slot);
                return Heard::Learnt { released, lost: VecDeque::new() };
            }
            (state, Some(mac)) if mac != old && !overrides => {
                // §7.2.5 I: doubt, no change.
                if state == Reachability::Reachable {
                    self.settle(now, slot, false);
                }
                return Heard::Nothing;
            }
            (_, Some(mac)) if mac != old => {
                self.set_mac(slot, mac);
                self.settle(now, slot, answers);
            }
            _ if answers => self.settle(now, slot, true),
            _ => return Heard::Nothing,
        }
        Heard::Learnt { released: VecDeque::new(), lost: VecDeque::new() }
    }

    /// The next step that is due.
    pub(super) fn poll_due(&mut self, now: Instant) -> Option<Due> {
        let (at, slot) = *self.timers.first()?;
        if at > now {
            return None;
        }
        let entry = self.slots.get_mut(slot as usize).and_then(Option::as_mut);
        let Some(entry) = entry else {
            // Never: every timer is an entry's.
            self.timers.remove(&(at, slot));
            return Some(Due::Failed(VecDeque::new()));
        };
        let (address, source, mac) = (entry.address, entry.source, mac_in(&entry.header));
        let at = match entry.state {
            Reachability::Incomplete => None,
            _ => Some(mac),
        };
        if entry.state == Reachability::Delay {
            entry.sent = 0;
        } else if entry.sent >= SOLICITATIONS {
            return Some(Due::Failed(self.remove(slot)));
        }
        entry.sent += 1;
        let state = match entry.state {
            Reachability::Incomplete => Reachability::Incomplete,
            _ => Reachability::Probe,
        };
        self.enter(slot, state, now + RETRANSMIT);
        Some(Due::Solicit { address, source, at })
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    fn find(&self, address: IpAddr) -> Option<u32> {
        self.index.get(&key_of(address)).copied()
    }

    #[inline]
    fn entry(&self, slot: u32) -> Option<&Entry> {
        self.slots.get(slot as usize)?.as_ref()
    }

    fn insert(
        &mut self,
        now: Instant,
        address: IpAddr,
        source: IpAddr,
        state: Reachability,
        mac: Mac,
    ) -> u32 {
        let key = key_of(address);
        let kind = if address.is_ipv4() { Kind::Ipv4 } else { Kind::Ipv6 };
        let header = ethernet::emit(&Header { destination: mac, source: self.mac, kind });
        let entry = Entry {
            key,
            address,
            source,
            state: Reachability::Stale,
            until: now,
            sent: 0,
            header,
            waiting: VecDeque::new(),
            touched: now,
            wanted: state == Reachability::Incomplete,
        };
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(None);
                // The bound of the table is 32 bits.
                (self.slots.len() - 1) as u32
            }
        };
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = Some(entry);
        }
        self.index.insert(key, slot);
        if state == Reachability::Incomplete {
            // The first solicitation goes out at once.
            self.incomplete += 1;
            if let Some(entry) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) {
                (entry.state, entry.sent) = (state, 1);
            }
            self.enter(slot, state, now + RETRANSMIT);
        }
        slot
    }

    /// Puts an entry into a state that ends, or whose next step is due, at `until`.
    fn enter(&mut self, slot: u32, state: Reachability, until: Instant) {
        let Some(entry) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) else {
            return;
        };
        self.timers.remove(&(entry.until, slot));
        if entry.state == Reachability::Incomplete && state != Reachability::Incomplete {
            self.incomplete = self.incomplete.saturating_sub(1);
        }
        (entry.state, entry.until) = (state, until);
        // The others are looked at when they are used.
        if !matches!(state, Reachability::Reachable | Reachability::Stale) {
            self.timers.insert((until, slot));
        }
    }

    /// The address is known: from its own answer to us, or only from what it says.
    fn settle(&mut self, now: Instant, slot: u32, answered: bool) {
        if answered {
            let half = REACHABLE.as_micros() / 2;
            let time = Span::from_micros(half.saturating_add(self.prng.below(2 * half)));
            self.enter(slot, Reachability::Reachable, now + time);
        } else {
            self.enter(slot, Reachability::Stale, now);
        }
    }

    fn set_mac(&mut self, slot: u32, mac: Mac) {
        if let Some(entry) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) {
            entry.header[..6].copy_from_slice(&mac);
        }
    }

    fn take_waiting(&mut self, slot: u32) -> VecDeque<Packet> {
        let entry = self.slots.get_mut(slot as usize).and_then(Option::as_mut);
        entry.map(|entry| core::mem::take(&mut entry.waiting)).unwrap_or_default()
    }

    /// Forgets an entry. What waited for it.
    fn remove(&mut self, slot: u32) -> VecDeque<Packet> {
        let Some(entry) = self.slots.get_mut(slot as usize).and_then(Option::take) else {
            return VecDeque::new();
        };
        self.timers.remove(&(entry.until, slot));
        self.index.remove(&entry.key);
        self.free.push(slot);
        if entry.state == Reachability::Incomplete {
            self.incomplete = self.incomplete.saturating_sub(1);
        }
        entry.waiting
    }

    /// Forgets the least useful entry of a full table: one that nobody here ever wanted, then the
    /// one not used for longest. So strangers who introduce themselves push out each other, and not
    /// those we talk to.
    fn make_room(&mut self) -> VecDeque<Packet> {
        if self.index.len() < self.most {
            return VecDeque::new();
        }
        let worth = |entry: &Entry| (entry.wanted, entry.touched);
        let worst = self.occupied().min_by_key(|(_, entry)| worth(entry)).map(|(slot, _)| slot);
        worst.map(|slot| self.remove(slot)).unwrap_or_default()
    }

    /// The search that began first.
    fn oldest_search(&self) -> Option<u32> {
        let searches = self.occupied().filter(|(_, entry)| entry.state == Reachability::Incomplete);
        searches.min_by_key(|(_, entry)| entry.touched).map(|(slot, _)| slot)
    }

    fn occupied(&self) -> impl Iterator<Item = (u32, &Entry)> {
        (0u32..).zip(&self.slots).filter_map(|(slot, entry)| Some((slot, entry.as_ref()?)))
    }
}

/// What a claim changed.
#[derive(Debug)]
pub(super) enum Heard {
    /// It is of nobody we know, and no reason to know it.
    Stranger,
    /// Nothing.
    Nothing,
    /// Something, and that freed packets: some to send, some lost with who made room.
    Learnt { released: VecDeque<Packet>, lost: VecDeque<Packet> },
}

fn mac_in(header: &[u8; HEADER_OCTETS]) -> Mac {
    let [a, b, c, d, e, f, ..] = *header;
    [a, b, c, d, e, f]
}

#[inline]
fn memo_at(destination: u128) -> usize {
    let folded = (destination ^ destination >> 64) as u64;
    ((folded ^ folded >> 32).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58) as usize % MEMOS
}
