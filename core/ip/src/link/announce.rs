//! Our own addresses, told to the link.
//!
//! Owns: when they are probed and announced at start, and when one is defended.
//! Must not know: how (`arp`, `ndp`).
//! Implements: RFC 5227 §2.1.1, §2.3 and §2.4 (c), RFC 4862 §5.4.2, RFC 4861 §7.2.6; all of it without
//! waiting: an address is used from the start, as its owner configured it. A station that has it
//! already answers the probe; then it is not announced, and the conflict is counted.

use alloc::vec::Vec;
use core::net::IpAddr;
use usertcp_base::{Instant, LocalIndex, Span};
use usertcp_frame::FramePool;

use super::Link;

/// From the probe of an address to its announcement.
const WAIT: Span = Span::from_secs(1);
/// Between two steps.
const STEP: Span = Span::from_millis(10);
/// Addresses per step.
const PER_STEP: u16 = 32;
/// DEFEND_INTERVAL (RFC 5227 §1.1).
const DEFEND_INTERVAL: Span = Span::from_secs(10);
/// Conflicts that are remembered.
const MOST_CONFLICTS: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Probe,
    Announce,
    Over,
}

/// How far it is.
#[derive(Debug)]
pub(super) struct Announcer {
    phase: Phase,
    /// The address that is next.
    cursor: u16,
    at: Instant,
    /// Addresses of ours that others have, and when we last defended them.
    conflicts: Vec<(IpAddr, Instant)>,
}

impl Announcer {
    pub(super) fn new(now: Instant) -> Announcer {
        Announcer { phase: Phase::Probe, cursor: 0, at: now, conflicts: Vec::new() }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        (self.phase != Phase::Over).then_some(self.at)
    }

    fn conflicts_with(&self, address: IpAddr) -> bool {
        self.conflicts.iter().any(|(other, _)| *other == address)
    }
}

impl Link {
    /// Probes or announces the next addresses, if their time has come.
    pub(super) fn announce(&mut self, now: Instant, pool: &FramePool) {
        if self.announcer.phase == Phase::Over || now < self.announcer.at {
            return;
        }
        for _ in 0..PER_STEP {
            let index = LocalIndex(self.announcer.cursor);
            let Some(address) = self.addresses.address(index) else { return self.next_phase(now) };
            match (self.announcer.phase, address) {
                (Phase::Probe, IpAddr::V4(address)) => self.probe_v4(address, pool),
                (Phase::Probe, IpAddr::V6(address)) => self.probe_v6(address, pool),
                (_, address) if self.announcer.conflicts_with(address) => {}
                (_, IpAddr::V4(address)) => self.announce_v4(address, pool),
                (_, IpAddr::V6(address)) => self.announce_v6(address, pool),
            }
            match self.announcer.cursor.checked_add(1) {
                Some(next) => self.announcer.cursor = next,
                None => return self.next_phase(now),
            }
        }
        self.announcer.at = now + STEP;
    }

    fn next_phase(&mut self, now: Instant) {
        let announcer = &mut self.announcer;
        announcer.phase = match announcer.phase {
            Phase::Probe => Phase::Announce,
            Phase::Announce | Phase::Over => Phase::Over,
        };
        (announcer.cursor, announcer.at) = (0, now + WAIT);
    }

    /// Another station says that it has `address`, which is ours: it is told otherwise, and so are
    /// all, once in ten seconds.
    pub(super) fn defend(&mut self, now: Instant, address: IpAddr, pool: &FramePool) {
        self.stats.conflicts = self.stats.conflicts.wrapping_add(1);
        let conflicts = &mut self.announcer.conflicts;
        match conflicts.iter().position(|(other, _)| *other == address) {
            Some(at) => {
                let Some((_, last)) = conflicts.get_mut(at) else { return };
                if now.since(*last) < DEFEND_INTERVAL {
                    return;
                }
                *last = now;
            }
            None if conflicts.len() < MOST_CONFLICTS => conflicts.push((address, now)),
            None => return,
        }
        if self.announcer.phase == Phase::Probe
            || self.announcer.phase == Phase::Announce && self.announcer.cursor == 0
        {
            // It had the address first: it answers our probe.
            return;
        }
        match address {
            IpAddr::V4(address) => self.announce_v4(address, pool),
            IpAddr::V6(address) => self.announce_v6(address, pool),
        }
    }
}
