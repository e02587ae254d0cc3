//! Packets out.
//! Owns: how a packet is named to the kernel part by part, and when the kernel is called to send.
//! Must not know: what is in a packet.

use super::ETHERNET_OCTETS;
use super::bound::Bound;
use super::stats::XdpStats;
use crate::xdp::ring::Descriptor;
use crate::xdp::sys::Kick;
use usertcp_device::{Packet, TxBatch};
use usertcp_frame::{Chain, FrameSlice};

/// System calls in one transmission before the rest is left to the next.
const MOST_KICKS: u32 = 64;

impl Bound {
    /// Hands packets to the kernel, as many as there is room for. How many.
    pub(super) fn transmit(&mut self, from: &mut TxBatch, stats: &mut XdpStats) -> usize {
        self.complete(stats);
        let mut count = 0;
        while let Some(packet) = from.front() {
            let parts = self.parts_needed(packet);
            let room = parts.map_or(1, |parts| parts.max(1));
            if !self.has_room(room) {
                self.kick(stats);
                self.complete(stats);
                if !self.has_room(room) {
                    break;
                }
            }
            let Some(packet) = from.pop() else { break };
            count += 1;
            match parts {
                Some(_) => self.hand_over(packet.octets, stats),
                None => self.hand_over_copy(&packet, stats),
            }
        }
        self.transmit.publish();
        // What `poll` sends, which it does before it looks for packets, needs no call of its own.
        if !self.deferring || self.transmit.waiting() > self.budget {
            self.send_off(stats);
        }
        count
    }

    /// Sends what is in the ring. Also with nothing new: the kernel may have stopped before the end
    /// the last time.
    pub(super) fn send_off(&mut self, stats: &mut XdpStats) {
        self.kick(stats);
        self.complete(stats);
    }

    /// Whether so many parts fit the ring and the line of those under way: the completion ring has
    /// room for all that are.
    fn has_room(&mut self, parts: usize) -> bool {
        self.line.len() + parts <= self.sizes.transmit as usize
            && self.transmit.has_room(parts as u32)
    }

    /// Descriptors the packet takes as it lies. `None`: it must be copied together, being of
    /// another pool or of too many parts.
    fn parts_needed(&self, packet: &Packet) -> Option<usize> {
        if !packet.octets.slices().all(|slice| slice.is_of(&self.pool)) {
            return None;
        }
        let parts = self.layout.parts_of(&packet.octets);
        (parts <= self.layout.most_parts()).then_some(parts)
    }

    /// Puts a packet into the ring, part by part.
    fn hand_over(&mut self, mut octets: Chain, stats: &mut XdpStats) {
        if octets.len() < ETHERNET_OCTETS {
            stats.refused += 1;
            return;
        }
        stats.sent += 1;
        while let Some(mut rest) = octets.pop_front() {
            loop {
                let length = self.layout.part_octets(rest.region_offset(), rest.len());
                if length == rest.len() {
                    break;
                }
                let part = rest.split_to(length);
                self.put_part(part, true);
            }
            self.put_part(rest, !octets.is_empty());
        }
    }

    /// Puts a part of a packet into the ring, and its frame into the line of those under way.
    fn put_part(&mut self, part: FrameSlice, more: bool) {
        let octets = part.len() as u32;
        let address = self.line.push(part);
        self.transmit.push(Descriptor { address, octets, more });
    }

    /// Puts a packet into the ring that cannot lie there as it is.
    #[cold]
    fn hand_over_copy(&mut self, packet: &Packet, stats: &mut XdpStats) {
        let copy = self.layout.gather(&self.pool, packet);
        match copy {
            Some(copy) if self.has_room(self.layout.parts_of(&copy)) => {
                stats.gathered += 1;
                stats.octets_copied += copy.len() as u64;
                self.hand_over(copy, stats);
            }
            _ => stats.refused += 1,
        }
    }

    /// Shows the kernel what was put into the ring, and calls it if it must be called.
    fn kick(&mut self, stats: &mut XdpStats) {
        self.transmit.publish();
        let mut waiting = self.transmit.waiting();
        for _ in 0..MOST_KICKS {
            if waiting == 0 || !self.transmit.needs_wakeup() {
                return;
            }
            stats.kicks += 1;
            let outcome = self.socket.kick_transmit();
            let before = std::mem::replace(&mut waiting, self.transmit.waiting());
            match outcome {
                Kick::Done => return,
                Kick::Again if waiting == before => return, // the device is full
                Kick::Again => {}
                Kick::Failed => {
                    stats.kicks_failed += 1;
                    return;
                }
            }
        }
    }
}
