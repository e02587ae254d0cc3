//! Packets in.
//! Owns: that a fresh frame takes the place of each that was filled, and what happens when there is none.
//! Must not know: what is in a packet, but for unfinished checksums (`offload`).

use super::bound::Bound;
use super::stats::XdpStats;
use crate::xdp::offload::checksum_state;
use crate::xdp::ring::Descriptor;
use crate::xdp::umem::split_address;
use usertcp_device::{ChecksumState, Offload, Packet, RxBatch};
use usertcp_frame::{Chain, Class, Frame, FramePool, FrameSlice};

/// Frames added to a stock that ran short, at a time.
const TOP_UP_FRAMES: u32 = 64;

impl Bound {
    /// Moves packets that are there into a burst. How many.
    pub(super) fn receive(&mut self, into: &mut RxBatch, stats: &mut XdpStats) -> usize {
        self.complete(stats);
        let before = into.len();
        let mut any = false;
        while !into.is_full()
            && let Some(descriptor) = self.receive.pop::<Descriptor>()
        {
            any = true;
            if let Some(packet) = self.arrive(descriptor, stats) {
                stats.received += 1;
                drop(into.push(packet));
            }
        }
        if any {
            self.receive.release();
        }
        let mut added = 0;
        while self.stock.count() < self.stock_target
            && added < TOP_UP_FRAMES
            && !self.pool.is_tight()
            && self.add_frame()
        {
            added += 1;
        }
        if any || added > 0 {
            self.fill.publish();
        }
        if self.fill.needs_wakeup() || (self.busy_poll && !any) {
            stats.polls += 1;
            self.socket.kick_receive();
        }
        into.len() - before
    }

    /// A buffer was filled. The packet, when it was its last one.
    fn arrive(&mut self, descriptor: Descriptor, stats: &mut XdpStats) -> Option<Packet> {
        let Descriptor { address, octets, more } = descriptor;
        let (base, offset) = split_address(address);
        let Some(frame) = self.stock.take(base) else {
            stats.strange += 1;
            return None;
        };
        if self.skipping {
            self.skipping = more;
            self.offer(frame);
            return None;
        }
        if !self.add_frame() {
            return self.arrive_scarce(frame, offset as usize, octets as usize, more, stats);
        }
        self.partial.push_back(filled(frame, offset as usize, octets as usize));
        if more {
            return None;
        }
        let octets = std::mem::take(&mut self.partial);
        Some(self.packet(octets, stats))
    }

    /// What arrived, with the word for its checksum.
    fn packet(&self, octets: Chain, stats: &mut XdpStats) -> Packet {
        let mut offload = Offload::default();
        if self.vouch {
            offload.checksum = checksum_state(octets.front().map_or(&[], |slice| slice));
            stats.unfinished_checksums += u64::from(offload.checksum == ChecksumState::Verified);
        }
        Packet { offload, octets }
    }

    /// A buffer was filled, and there is none to take its place: it must go back itself. Small
    /// packets must come through even then, as an acknowledgement may be what frees memory.
    #[cold]
    fn arrive_scarce(
        &mut self,
        mut frame: Frame,
        offset: usize,
        octets: usize,
        more: bool,
        stats: &mut XdpStats,
    ) -> Option<Packet> {
        let skip = uncover(&mut frame, offset, octets);
        let source = frame.bytes().get(skip..).unwrap_or_default();
        let alone = !more && self.partial.is_empty();
        let copy =
            self.pool.copy_of(source, 0).or_else(|| copy_to_reserve(&self.pool, source, alone));
        frame.truncate(0);
        self.offer(frame);
        let Some(copy) = copy else {
            stats.no_frame += 1;
            self.partial = Chain::new();
            self.skipping = more;
            return None;
        };
        stats.detours += 1;
        stats.octets_copied += octets as u64;
        self.partial.push_back(copy);
        if more {
            return None;
        }
        let octets = std::mem::take(&mut self.partial);
        Some(self.packet(octets, stats))
    }
}

/// Makes the octets the kernel wrote to a frame part of it. Octets in front of them.
fn uncover(frame: &mut Frame, offset: usize, octets: usize) -> usize {
    let start = frame.headroom();
    if offset < start {
        // The program may have made the packet longer in front.
        let _ = frame.push_front(start - offset);
        frame.advance_len(octets.saturating_sub(start - offset));
        return 0;
    }
    frame.advance_len(offset - start + octets);
    offset - start
}

/// The octets the kernel wrote to a frame.
fn filled(mut frame: Frame, offset: usize, octets: usize) -> FrameSlice {
    let skip = uncover(&mut frame, offset, octets);
    let mut slice = frame.into_slice();
    slice.advance(skip);
    slice.truncate(octets);
    slice
}

/// A copy in a frame of the reserve, of which half is left to segments we must send. Only of
/// packets that lie in one buffer.
fn copy_to_reserve(pool: &FramePool, octets: &[u8], alone: bool) -> Option<FrameSlice> {
    let stats = pool.stats();
    let half_used = stats.reserve_out * 2 >= stats.reserve;
    if !alone || octets.len() > FramePool::data_octets(Class::Small) || half_used {
        return None;
    }
    let mut frame = pool.take_control(0)?;
    frame.extend(octets);
    Some(frame.into_slice())
}
