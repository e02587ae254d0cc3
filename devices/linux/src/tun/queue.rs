//! One queue of a TUN device: reading and writing packets.
//! Owns: what is read and written, one call a packet.
//! Must not know: how the device was set up.

use crate::landing::{Landing, SCRATCH_OCTETS, SMALL_PACKET_OCTETS, copy_when_short};
use crate::offload::{self, HEADER_OCTETS};
use std::fs::File;
use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::AsRawFd;
use usertcp_device::{DeviceFacts, Offload, Packet, Queue, RxBatch, TxBatch, WaitHandle};
use usertcp_frame::{Chain, FramePool};

/// More slices than this are gathered by a copy before they are written.
const MOST_SLICES: usize = 40;

/// A burst of super-packets ends with so many octets: what was copied should still be in a core's cache when
/// the application reads it.
const BURST_OCTETS: usize = 512 << 10;
/// As many are written without setting up room for all those.
const FEW_SLICES: usize = 4;
/// Packets of so many octets are written in one piece, by a copy behind their header: the kernel takes one part sooner
/// than several.
const SHORT_OCTETS: usize = 256;

/// What a queue did, since it was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TunStats {
    /// Packets received; a super-packet is one.
    pub received: u64,
    /// Packets sent; a super-packet is one.
    pub sent: u64,
    /// Packets the kernel refused to send, and which were dropped.
    pub refused: u64,
    /// Packets received and dropped for want of a frame.
    pub no_frame: u64,
    /// Packets received and dropped: longer than any, or a super-packet of an unknown kind.
    pub unreadable: u64,
    /// Packets received by way of a buffer and copied, as the pool had no frames to read into.
    pub detours: u64,
    /// Octets copied from a large frame to full ones, as they filled it too little.
    pub tail_octets_copied: u64,
    /// Packets to send gathered by a copy, as they had too many slices.
    pub gathered: u64,
    /// Times the device failed to read, other than for want of packets.
    pub read_errors: u64,
}

/// A queue of a TUN device. Closed when dropped.
#[derive(Debug)]
pub struct TunQueue {
    file: File,
    facts: DeviceFacts,
    landing: Landing,
    /// A header, and a packet behind it.
    scratch: Box<[u8]>,
    stats: TunStats,
    /// The last packet received was short: the next one probably is, and is read in one piece then.
    short: bool,
    /// The last burst ended before the device was empty.
    cut: bool,
    /// The interface was removed.
    gone: bool,
}

/// Why nothing was read.
enum Nothing {
    /// No packet waits.
    Empty,
    /// A packet was read and dropped.
    Dropped,
}

impl TunQueue {
    pub(super) fn new(file: File, facts: DeviceFacts) -> TunQueue {
        // Zeroed pages: no memory until it is used.
        let scratch = vec![0; HEADER_OCTETS + SCRATCH_OCTETS].into_boxed_slice();
        TunQueue {
            file,
            facts,
            landing: Landing::default(),
            scratch,
            stats: TunStats::default(),
            short: false,
            cut: false,
            gone: false,
        }
    }

    /// What the queue did.
    pub fn stats(&self) -> TunStats {
        self.stats
    }

    /// Reads one packet.
    fn receive_one(&mut self, pool: &FramePool) -> Result<Packet, Nothing> {
        if self.short {
            return self.receive_whole(pool);
        }
        let Some([full, large]) = self.landing.prepare(pool) else {
            return self.receive_by_detour(pool);
        };
        let mut header = [0; HEADER_OCTETS];
        let room = full.len() + large.len();
        let read = self.file.read_vectored(&mut [
            IoSliceMut::new(&mut header),
            IoSliceMut::new(full),
            IoSliceMut::new(large),
        ]);
        let octets = self.octets_read(read, room)?;
        let offload = self.read_header(&header)?;
        let octets = self.landing.gather(pool, octets, &mut self.stats.tail_octets_copied);
        self.packet(offload, octets)
    }

    /// Reads one packet in one piece, which the kernel fills sooner than several: worth it where short ones are
    /// expected, which are copied anyhow, and right for any.
    fn receive_whole(&mut self, pool: &FramePool) -> Result<Packet, Nothing> {
        let Some(room) = self.landing.prepare_whole(pool) else {
            return self.receive_by_detour(pool);
        };
        let most = room.len().saturating_sub(HEADER_OCTETS);
        let read = self.file.read(room);
        let header = room.first_chunk().copied().unwrap_or_default();
        let octets = self.octets_read(read, most)?;
        let offload = self.read_header(&header)?;
        let copied = &mut self.stats.tail_octets_copied;
        let octets = self.landing.gather_whole(pool, HEADER_OCTETS, octets, copied);
        self.packet(offload, octets)
    }

    /// What the header of a packet says.
    fn read_header(&mut self, header: &[u8; HEADER_OCTETS]) -> Result<Offload, Nothing> {
        offload::decode(header).ok_or_else(|| {
            self.stats.unreadable += 1;
            Nothing::Dropped
        })
    }

    /// A packet whose octets found frames, or did not.
    fn packet(&mut self, offload: Offload, octets: Option<Chain>) -> Result<Packet, Nothing> {
        let Some(octets) = octets else {
            self.stats.no_frame += 1;
            return Err(Nothing::Dropped);
        };
        self.short = octets.len() <= SMALL_PACKET_OCTETS;
        Ok(Packet { offload, octets })
    }

    /// Octets of the packet just read, its header taken off.
    fn octets_read(&mut self, read: std::io::Result<usize>, room: usize) -> Result<usize, Nothing> {
        let octets = match read {
            Ok(total) => total.saturating_sub(HEADER_OCTETS),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(Nothing::Empty),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Err(Nothing::Dropped),
            Err(error) => {
                self.stats.read_errors += 1;
                // The descriptor belongs to no interface any more, and never will again.
                self.gone |= error.raw_os_error() == Some(libc::EBADFD);
                return Err(Nothing::Empty);
            }
        };
        if octets == 0 || octets > room {
            self.stats.unreadable += 1;
            return Err(Nothing::Dropped);
        }
        Ok(octets)
    }

    /// Reads one packet when the pool has not the frames to read into: small packets must come
    /// through even then, as an acknowledgement may be what frees memory.
    #[cold]
    fn receive_by_detour(&mut self, pool: &FramePool) -> Result<Packet, Nothing> {
        let read = self.file.read(&mut self.scratch);
        let octets = self.octets_read(read, SCRATCH_OCTETS)?;
        let header = self.scratch.first_chunk().copied().unwrap_or_default();
        let offload = self.read_header(&header)?;
        self.stats.detours += 1;
        let source = self.scratch.get(HEADER_OCTETS..HEADER_OCTETS + octets).unwrap_or_default();
        let octets = copy_when_short(pool, source);
        self.packet(offload, octets)
    }

    /// Writes one packet. False: the device cannot take it now.
    fn transmit_one(&mut self, packet: &Packet) -> bool {
        loop {
            let error = match self.write(packet) {
                Ok(_) => {
                    self.stats.sent += 1;
                    return true;
                }
                Err(error) => error,
            };
            match (error.kind(), error.raw_os_error()) {
                (ErrorKind::Interrupted, _) => {}
                (ErrorKind::WouldBlock, _) | (_, Some(libc::ENOBUFS | libc::ENOMEM)) => {
                    return false;
                }
                _ => {
                    self.stats.refused += 1;
                    return true;
                }
            }
        }
    }

    fn write(&mut self, packet: &Packet) -> std::io::Result<usize> {
        let first = packet.octets.front().map_or(&[][..], |slice| slice);
        let header = offload::encode(&packet.offload, first);
        if packet.len() <= SHORT_OCTETS {
            return self.write_copy(&header, packet);
        }
        // Few parts are the rule, and room for many would have to be cleared each time.
        match packet.octets.slice_count() {
            few if few <= FEW_SLICES => self.write_parts::<{ FEW_SLICES + 1 }>(&header, packet),
            some if some <= MOST_SLICES => self.write_parts::<{ MOST_SLICES + 1 }>(&header, packet),
            _ => self.write_gathered(&header, packet),
        }
    }

    /// Writes a packet; `PARTS` are more than its slices.
    fn write_parts<const PARTS: usize>(
        &self,
        header: &[u8],
        packet: &Packet,
    ) -> std::io::Result<usize> {
        let mut parts = [IoSlice::new(&[]); PARTS];
        let octets = packet.octets.slices().map(|slice| &slice[..]);
        let mut count = 0;
        for (part, octets) in parts.iter_mut().zip(core::iter::once(header).chain(octets)) {
            *part = IoSlice::new(octets);
            count += 1;
        }
        (&self.file).write_vectored(parts.get(..count).unwrap_or_default())
    }

    #[cold]
    fn write_gathered(
        &mut self,
        header: &[u8; HEADER_OCTETS],
        packet: &Packet,
    ) -> std::io::Result<usize> {
        if packet.len() > SCRATCH_OCTETS {
            return Err(ErrorKind::InvalidInput.into());
        }
        self.stats.gathered += 1;
        self.write_copy(header, packet)
    }

    /// Writes a packet in one piece; it is not longer than any may be.
    fn write_copy(
        &mut self,
        header: &[u8; HEADER_OCTETS],
        packet: &Packet,
    ) -> std::io::Result<usize> {
        let (front, room) = self.scratch.split_at_mut(HEADER_OCTETS);
        front.copy_from_slice(header);
        let octets = packet.octets.copy_to(0, room);
        self.file.write(self.scratch.get(..HEADER_OCTETS + octets).unwrap_or_default())
    }
}

impl Queue for TunQueue {
    fn facts(&self) -> DeviceFacts {
        self.facts
    }

    fn receive(&mut self, pool: &FramePool, into: &mut RxBatch) -> usize {
        let (before, mut octets) = (into.len(), 0);
        self.cut = false;
        // As many reads as there was room, also when packets are dropped: a turn must end.
        for _ in 0..into.room() {
            match self.receive_one(pool) {
                Ok(packet) => {
                    self.stats.received += 1;
                    octets += packet.len();
                    drop(into.push(packet));
                }
                Err(Nothing::Dropped) => {}
                Err(Nothing::Empty) => break,
            }
            if octets >= BURST_OCTETS {
                self.cut = true;
                break;
            }
        }
        into.len() - before
    }

    fn transmit(&mut self, from: &mut TxBatch) -> usize {
        let mut count = 0;
        while from.front().is_some_and(|packet| self.transmit_one(packet)) {
            from.pop();
            count += 1;
        }
        count
    }

    fn wait_handle(&self) -> Option<WaitHandle> {
        Some(WaitHandle(self.file.as_raw_fd()))
    }

    /// After a burst that ended by its octets there is more, as good as surely.
    fn has_waiting(&self) -> bool {
        self.cut
    }

    fn is_gone(&self) -> bool {
        self.gone
    }
}

#[cfg(test)]
mod tests;
