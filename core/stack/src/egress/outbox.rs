//! Packets that are complete and wait for room in a batch.
//!
//! Owns: their order and their bound. Must not know: connections.

use crate::shard::Common;
use usertcp_base::{DropReason, Instant, Observer};
use usertcp_device::Line;
use usertcp_frame::Packet;

/// Packets that may wait outside a batch: replies made while packets arrive.
const OUTBOX: usize = 1024;

/// Packets that are complete and wait for the next batch.
#[derive(Debug)]
pub(crate) struct Outbox {
    pub(super) packets: Line,
}

impl Outbox {
    pub(crate) fn new() -> Outbox {
        Outbox { packets: Line::unallocated(OUTBOX) }
    }

    /// Adds a packet; a full outbox drops it: whatever caused it comes again.
    #[inline(always)] // the packet is put together in its place
    pub(crate) fn push<O: Observer>(
        &mut self,
        packet: Packet,
        now: Instant,
        common: &mut Common<O>,
    ) {
        common.unusual = true;
        match self.packets.room_for_one() {
            Some(room) => room.put(packet),
            None => common.drop_packet(None, now, DropReason::PoolEmpty),
        }
    }

    /// As [`Line::fill`].
    pub(crate) fn fill(&mut self, most: usize, fill: impl FnOnce(&mut [Packet]) -> usize) -> usize {
        self.packets.fill(most, fill)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Whether it takes a packet, with as much room left again for what cannot wait.
    pub(crate) fn has_room(&self) -> bool {
        self.packets.len() < OUTBOX / 2
    }
}
