//! One queue of a TUN device: reading and writing packets.
//! Owns: the frames the next packet is read into, where a packet's octets end up.
//! Must not know: how the device was set up.

use super::offload::{self, HEADER_OCTETS};
use std::fs::File;
use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::AsRawFd;
use usertcp_device::{DeviceFacts, Packet, Queue, RxBatch, TxBatch, WaitHandle};
use usertcp_frame::{Chain, Class, Frame, FramePool};

/// Packets up to this many octets move to a small frame: acknowledgements, above all. The copy
/// costs what taking another full frame would, and leaves the full one warm for the next packet.
const SMALL_PACKET_OCTETS: usize = 128;
/// A large frame less full than this gives its octets to full frames instead: it occupies 66 KiB
/// for as long as they wait.
const LARGE_WORTH_OCTETS: usize = FramePool::data_octets(Class::Large) / 4;
/// More slices than this are gathered by a copy before they are written.
const MOST_SLICES: usize = 40;
/// Room for the longest packet there is, for when the pool has no frames to read into.
const SCRATCH_OCTETS: usize = FramePool::data_octets(Class::Large);

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
    /// Kept between reads: most packets use neither up.
    full: Option<Frame>,
    large: Option<Frame>,
    scratch: Box<[u8]>,
    stats: TunStats,
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
        let scratch = vec![0; SCRATCH_OCTETS].into_boxed_slice();
        TunQueue { file, facts, full: None, large: None, scratch, stats: TunStats::default() }
    }
    /// What the queue did.
    pub fn stats(&self) -> TunStats {
        self.stats
    }

    /// Reads one packet.
    fn receive_one(&mut self, pool: &FramePool) -> Result<Packet, Nothing> {
        if self.full.is_none() {
            self.full = pool.take(Class::Full, 0);
        }
        if self.large.is_none() {
            self.large = pool.take(Class::Large, 0);
        }
        let (Some(full), Some(large)) = (&mut self.full, &mut self.large) else {
            return self.receive_by_detour(pool);
        };
        let mut header = [0; HEADER_OCTETS];
        let room = full.tailroom() + large.tailroom();
        let read = self.file.read_vectored(&mut [
            IoSliceMut::new(&mut header),
            IoSliceMut::new(full.spare_mut()),
            IoSliceMut::new(large.spare_mut()),
        ]);
        let octets = self.octets_read(read, room)?;
        let Some(offload) = offload::decode(&header) else {
            self.stats.unreadable += 1;
            return Err(Nothing::Dropped);
        };
        match self.gather(pool, octets) {
            Some(octets) => Ok(Packet { offload, octets }),
            None => {
                self.stats.no_frame += 1;
                Err(Nothing::Dropped)
            }
        }
    }

    /// Octets of the packet just read, its header taken off.
    fn octets_read(&mut self, read: std::io::Result<usize>, room: usize) -> Result<usize, Nothing> {
        let octets = match read {
            Ok(total) => total.saturating_sub(HEADER_OCTETS),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(Nothing::Empty),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Err(Nothing::Dropped),
            Err(_) => {
                self.stats.read_errors += 1;
                return Err(Nothing::Empty);
            }
        };
        if octets == 0 || octets > room {
            self.stats.unreadable += 1;
            return Err(Nothing::Dropped);
        }
        Ok(octets)
    }

    /// Makes a chain of the `octets` that lie in the full frame and, if they are more than that,
    /// in the large one. What it does not need stays for the next packet.
    fn gather(&mut self, pool: &FramePool, octets: usize) -> Option<Chain> {
        if octets <= SMALL_PACKET_OCTETS
            && let Some(mut small) = pool.take(Class::Small, 0)
        {
            let source = self.full.as_mut()?.spare_mut();
            small.extend(source.get(..octets)?);
            return Some(small.into_slice().into());
        }
        let mut full = self.full.take()?;
        let tail = octets.saturating_sub(full.tailroom());
        full.advance_len(octets);
        let mut chain = Chain::from(full.into_slice());
        if tail == 0 {
            return Some(chain);
        }
        if tail < LARGE_WORTH_OCTETS {
            let source = self.large.as_mut()?.spare_mut().get(..tail)?;
            if let Some(copy) = copy_to_full_frames(pool, source) {
                self.stats.tail_octets_copied += tail as u64;
                chain.append(copy);
                return Some(chain);
            }
        }
        let mut large = self.large.take()?;
        large.advance_len(tail);
        chain.push_back(large.into_slice());
        Some(chain)
    }

    /// Reads one packet when the pool has not the frames to read into: small packets must come
    /// through even then, as an acknowledgement may be what frees memory.
    #[cold]
    fn receive_by_detour(&mut self, pool: &FramePool) -> Result<Packet, Nothing> {
        let mut header = [0; HEADER_OCTETS];
        let read = self
            .file
            .read_vectored(&mut [IoSliceMut::new(&mut header), IoSliceMut::new(&mut self.scratch)]);
        let octets = self.octets_read(read, SCRATCH_OCTETS)?;
        let Some(offload) = offload::decode(&header) else {
            self.stats.unreadable += 1;
            return Err(Nothing::Dropped);
        };
        self.stats.detours += 1;
        let source = self.scratch.get(..octets).unwrap_or_default();
        let chain = copy_to_full_frames(pool, source).or_else(|| copy_to_reserve(pool, source));
        match chain {
            Some(octets) => Ok(Packet { offload, octets }),
            None => {
                self.stats.no_frame += 1;
                Err(Nothing::Dropped)
            }
        }
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
        let mut parts = [IoSlice::new(&[]); MOST_SLICES + 1];
        let count = 1 + packet.octets.slice_count();
        let Some(used) = parts.get_mut(..count) else {
            return self.write_gathered(&header, packet);
        };
        let octets = packet.octets.slices().map(|slice| &slice[..]);
        for (part, octets) in used.iter_mut().zip(core::iter::once(&header[..]).chain(octets)) {
            *part = IoSlice::new(octets);
        }
        (&self.file).write_vectored(used)
    }

    #[cold]
    fn write_gathered(&mut self, header: &[u8], packet: &Packet) -> std::io::Result<usize> {
        if packet.len() > self.scratch.len() {
            return Err(ErrorKind::InvalidInput.into());
        }
        self.stats.gathered += 1;
        let count = packet.octets.copy_to(0, &mut self.scratch);
        let octets = self.scratch.get(..count).unwrap_or_default();
        (&self.file).write_vectored(&[IoSlice::new(header), IoSlice::new(octets)])
    }
}

/// A copy in full frames, and a small one where the rest fits. `None`: the pool has not so many.
fn copy_to_full_frames(pool: &FramePool, mut octets: &[u8]) -> Option<Chain> {
    let mut chain = Chain::new();
    while !octets.is_empty() {
        let (part, rest) = octets.split_at(octets.len().min(FramePool::data_octets(Class::Full)));
        chain.push_back(pool.copy_of(part, 0)?);
        octets = rest;
    }
    Some(chain)
}

/// A copy in a frame of the reserve, of which half is left to segments we must send.
fn copy_to_reserve(pool: &FramePool, octets: &[u8]) -> Option<Chain> {
    let stats = pool.stats();
    if octets.len() > FramePool::data_octets(Class::Small) || stats.reserve_out * 2 >= stats.reserve
    {
        return None;
    }
    let mut frame = pool.take_control(0)?;
    frame.extend(octets);
    Some(frame.into_slice().into())
}

impl Queue for TunQueue {
    fn facts(&self) -> DeviceFacts {
        self.facts
    }

    fn receive(&mut self, pool: &FramePool, into: &mut RxBatch) -> usize {
        let before = into.len();
        // As many reads as there was room, also when packets are dropped: a turn must end.
        for _ in 0..into.room() {
            match self.receive_one(pool) {
                Ok(packet) => {
                    self.stats.received += 1;
                    drop(into.push(packet));
                }
                Err(Nothing::Dropped) => {}
                Err(Nothing::Empty) => break,
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
}
