//! Packets between the transmitter and the far end.
//! Owns: their order. Must not know: the queue in front of the transmitter, chances.

use super::{Fate, MILLISECOND, Nanos, PathConfig, Reordering};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A packet on its way: when it is due, a serial number for equal times, whether it lets others
/// pass first.
#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
struct UnderWay {
    due: Nanos,
    serial: u64,
    behind: u32,
    latest: Nanos,
    packet: Vec<u8>,
}

/// A packet that lets others pass.
#[derive(Debug)]
struct Held {
    /// So many more.
    others: u32,
    latest: Nanos,
    packet: Vec<u8>,
}

/// The line.
#[derive(Debug, Default)]
pub(super) struct Line {
    under_way: BinaryHeap<Reverse<UnderWay>>,
    held: Vec<Held>,
    serial: u64,
    last_due: Nanos,
}

/// The part of `most` that `part` (in 2^32) is.
fn share(most: Nanos, part: u32) -> Nanos {
    let product = u128::from(most) * u128::from(part);
    u64::try_from(product >> 32).unwrap_or(Nanos::MAX)
}

impl Line {
    /// A packet left the transmitter at `left`.
    pub(super) fn enter(&mut self, left: Nanos, config: &PathConfig, fate: &Fate, packet: Vec<u8>) {
        let due = left + config.delay + share(config.jitter, fate.jitter);
        let mut underway = UnderWay { due, serial: self.serial, behind: 0, latest: due, packet };
        self.serial += 1;
        match (fate.reordered, config.reordering) {
            (Some(part), Reordering::LateBy(most)) => {
                // At least something, or it would not be late.
                underway.due = due + share(most, part).max(most.min(MILLISECOND / 10));
            }
            (Some(part), Reordering::Behind(most, patience)) => {
                underway.due = due.max(self.last_due);
                underway.behind = 1 + share(u64::from(most), part) as u32;
                underway.latest = underway.due + patience;
            }
            (Some(_), Reordering::Early) => underway.due = left,
            (None, _) => {
                underway.due = due.max(self.last_due);
                self.last_due = underway.due;
            }
        }
        self.under_way.push(Reverse(underway));
    }

    /// When something happens next.
    pub(super) fn next_arrival(&self) -> Option<Nanos> {
        let under_way = self.under_way.peek().map(|Reverse(packet)| packet.due);
        let held = self.held.iter().map(due_of).min();
        [under_way, held].into_iter().flatten().min()
    }

    /// The next packet that has arrived.
    pub(super) fn poll(&mut self, now: Nanos) -> Option<(Nanos, Vec<u8>)> {
        loop {
            if let Some(at) = self.held.iter().position(|held| due_of(held) <= now) {
                let held = self.held.remove(at);
                // What was passed by enough others arrives with the last of them.
                return Some((if held.others == 0 { now } else { held.latest }, held.packet));
            }
            let due = self.under_way.peek().map(|Reverse(packet)| packet.due)?;
            if due > now {
                return None;
            }
            let Reverse(next) = self.under_way.pop()?;
            if next.behind != 0 {
                let UnderWay { behind, latest, packet, .. } = next;
                self.held.push(Held { others: behind, latest, packet });
                continue;
            }
            for held in &mut self.held {
                held.others = held.others.saturating_sub(1);
            }
            return Some((next.due, next.packet));
        }
    }
}

fn due_of(held: &Held) -> Nanos {
    if held.others == 0 { 0 } else { held.latest }
}
