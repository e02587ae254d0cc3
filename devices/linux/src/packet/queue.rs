//! One packet socket: frames that wait, many per call.
//! Owns: how many are asked for, where a frame's octets end up, what an error means.
//! Must not know: how the socket was set up.

use super::sys::{self, MOST_MESSAGES, PARTS};
use crate::landing::{Landing, SCRATCH_OCTETS, copy_when_short};
use crate::offload::{self, HEADER_OCTETS};
use arrayvec::ArrayVec;
use std::cell::Cell;
use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use usertcp_device::{DeviceFacts, Packet, Queue, RxBatch, TxBatch, WaitHandle};
use usertcp_frame::FramePool;

/// More slices than this are gathered by a copy before they are sent.
const MOST_SLICES: usize = 40;
/// Parts of all packets sent in one call, at most.
const MOST_PARTS: usize = 256;
/// Packets asked for after a call that found none.
const LEAST_MESSAGES: usize = 2;

/// What a queue did, since it was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PacketStats {
    /// Packets received; a super-packet is one.
    pub received: u64,
    /// Packets sent; a super-packet is one.
    pub sent: u64,
    /// Packets the kernel refused to send, and which were dropped.
    pub refused: u64,
    /// Packets the kernel had no room for while they waited for us (PACKET_STATISTICS).
    pub overflowed: u64,
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
    /// Times the socket failed to receive, other than for want of packets.
    pub read_errors: u64,
    /// Calls that received.
    pub receive_calls: u64,
    /// Calls that sent.
    pub send_calls: u64,
}

/// Where one packet is received.
#[derive(Debug, Default)]
struct Place {
    header: [u8; HEADER_OCTETS],
    landing: Landing,
}

/// What a queue is made of.
#[derive(Debug)]
pub(super) struct Sockets {
    pub(super) packets: File,
    /// With several queues: where every one hears of neighbours, and what to wait for then.
    pub(super) neighbours: Option<(File, OwnedFd)>,
}

/// Which of the sockets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Which {
    Packets,
    Neighbours,
}

/// A packet socket, or two. Closed when dropped.
#[derive(Debug)]
pub struct PacketQueue {
    sockets: Sockets,
    facts: DeviceFacts,
    places: Vec<Place>,
    /// Packets to ask for next: twice what came last, so that what is there comes in few calls, and
    /// little is prepared for what is not.
    wanted: usize,
    scratch: Box<[u8]>,
    stats: PacketStats,
    /// The kernel forgets its count as it tells it.
    overflowed: Cell<u64>,
    /// The interface was removed.
    gone: bool,
}

impl Sockets {
    /// The packets' when there is no other.
    fn of(&self, which: Which) -> &File {
        match (which, &self.neighbours) {
            (Which::Neighbours, Some((socket, _))) => socket,
            _ => &self.packets,
        }
    }
}

/// What a packet to send is made of.
enum Prepared {
    /// So many parts of a call.
    Parts(usize),
    /// Too many slices: it must go alone.
    Alone,
}

impl PacketQueue {
    pub(super) fn new(sockets: Sockets, facts: DeviceFacts) -> PacketQueue {
        // Zeroed pages: no memory until it is used.
        let scratch = vec![0; SCRATCH_OCTETS].into_boxed_slice();
        let places = (0..MOST_MESSAGES).map(|_| Place::default()).collect();
        PacketQueue {
            sockets,
            facts,
            places,
            wanted: LEAST_MESSAGES,
            scratch,
            stats: PacketStats::default(),
            overflowed: Cell::new(0),
            gone: false,
        }
    }

    /// What the queue did. Asks the kernel for its part.
    pub fn stats(&self) -> PacketStats {
        let more = sys::take_drops(&self.sockets.packets).unwrap_or(0);
        self.overflowed.set(self.overflowed.get() + u64::from(more));
        PacketStats { overflowed: self.overflowed.get(), ..self.stats }
    }

    /// Receives up to `room` packets by one call. Whether more may wait.
    fn receive_some(
        &mut self,
        which: Which,
        pool: &FramePool,
        room: usize,
        into: &mut RxBatch,
    ) -> bool {
        let wanted = match which {
            Which::Packets => self.wanted.min(room).min(MOST_MESSAGES),
            Which::Neighbours => LEAST_MESSAGES.min(room),
        };
        let (asked, received) = self.ask(which, pool, wanted);
        if asked == 0 {
            return self.receive_by_detour(which, pool, into);
        }
        let Some(lengths) = self.received(received) else { return false };
        let count = lengths.len();
        for (at, length) in lengths.into_iter().enumerate() {
            if let Some(packet) = self.take(pool, at, length) {
                self.stats.received += 1;
                drop(into.push(packet));
            }
        }
        if which == Which::Packets {
            self.wanted = (2 * count).clamp(LEAST_MESSAGES, MOST_MESSAGES);
        }
        count == asked
    }

    /// Asks for up to `wanted` packets: for how many there were frames, and what came.
    fn ask(
        &mut self,
        which: Which,
        pool: &FramePool,
        wanted: usize,
    ) -> (usize, io::Result<ArrayVec<usize, MOST_MESSAGES>>) {
        let mut parts: ArrayVec<[IoSliceMut<'_>; PARTS], MOST_MESSAGES> = ArrayVec::new();
        for place in self.places.iter_mut().take(wanted) {
            let Some([full, large]) = place.landing.prepare(pool) else { break };
            let header = IoSliceMut::new(&mut place.header);
            parts.push([header, IoSliceMut::new(full), IoSliceMut::new(large)]);
        }
        if parts.is_empty() {
            return (0, Ok(ArrayVec::new()));
        }
        self.stats.receive_calls += 1;
        (parts.len(), sys::receive_many(self.sockets.of(which), &mut parts))
    }

    /// The result of a call, errors counted.
    fn received<T>(&mut self, result: io::Result<T>) -> Option<T> {
        match result {
            Ok(result) => return Some(result),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // A signal: the next turn asks again.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                self.stats.read_errors += 1;
                // Told when the interface goes down, which may come up again, and when it goes.
                let down = error.raw_os_error() == Some(libc::ENETDOWN);
                self.gone |= down && sys::is_gone(&self.sockets.packets);
            }
        }
        self.wanted = LEAST_MESSAGES;
        None
    }

    /// The packet in a place, its header among the octets counted.
    fn take(&mut self, pool: &FramePool, at: usize, length: usize) -> Option<Packet> {
        let place = self.places.get_mut(at)?;
        let octets = length.checked_sub(HEADER_OCTETS).filter(|octets| *octets > 0);
        let offload = offload::decode(&place.header);
        let (Some(octets), Some(offload)) = (octets, offload) else {
            self.stats.unreadable += 1;
            return None;
        };
        let [full, large] = place.landing.prepare(pool)?;
        if octets > full.len() + large.len() {
            self.stats.unreadable += 1;
            return None;
        }
        match place.landing.gather(pool, octets, &mut self.stats.tail_octets_copied) {
            Some(octets) => Some(Packet { offload, octets }),
            None => {
                self.stats.no_frame += 1;
                None
            }
        }
    }

    /// Reads one packet when the pool has not the frames to read into: small packets must come
    /// through even then, as an acknowledgement may be what frees memory.
    #[cold]
    fn receive_by_detour(&mut self, which: Which, pool: &FramePool, into: &mut RxBatch) -> bool {
        let mut header = [0; HEADER_OCTETS];
        self.stats.receive_calls += 1;
        let read = (&mut self.sockets.of(which))
            .read_vectored(&mut [IoSliceMut::new(&mut header), IoSliceMut::new(&mut self.scratch)]);
        let Some(length) = self.received(read) else { return false };
        let octets = length.saturating_sub(HEADER_OCTETS);
        let offload = offload::decode(&header);
        // One that fills the buffer may have been cut.
        let Some(offload) = offload.filter(|_| octets > 0 && octets < SCRATCH_OCTETS) else {
            self.stats.unreadable += 1;
            return true;
        };
        self.stats.detours += 1;
        let source = self.scratch.get(..octets).unwrap_or_default();
        match copy_when_short(pool, source) {
            Some(octets) => {
                self.stats.received += 1;
                drop(into.push(Packet { offload, octets }));
            }
            None => self.stats.no_frame += 1,
        }
        true
    }

    /// Sends packets off the front of `from` by one call: how many, or why not the first.
    fn send_some(&mut self, from: &TxBatch) -> io::Result<usize> {
        let mut headers: ArrayVec<[u8; HEADER_OCTETS], MOST_MESSAGES> = ArrayVec::new();
        for packet in from.iter().take(MOST_MESSAGES) {
            let first = packet.octets.front().map_or(&[][..], |slice| slice);
            headers.push(offload::encode(&packet.offload, first));
        }
        let mut parts: ArrayVec<IoSlice<'_>, MOST_PARTS> = ArrayVec::new();
        let mut counts: ArrayVec<usize, MOST_MESSAGES> = ArrayVec::new();
        for (packet, header) in from.iter().zip(&headers) {
            match prepare(packet, header, &mut parts) {
                Some(Prepared::Parts(count)) => counts.push(count),
                Some(Prepared::Alone) if counts.is_empty() => {
                    return self.send_gathered(header, packet);
                }
                Some(Prepared::Alone) | None => break,
            }
        }
        self.stats.send_calls += 1;
        sys::send_many(&self.sockets.packets, &parts, &counts)
    }

    #[cold]
    fn send_gathered(&mut self, header: &[u8], packet: &Packet) -> io::Result<usize> {
        if packet.len() > self.scratch.len() {
            return Err(ErrorKind::InvalidInput.into());
        }
        self.stats.gathered += 1;
        self.stats.send_calls += 1;
        let count = packet.octets.copy_to(0, &mut self.scratch);
        let octets = self.scratch.get(..count).unwrap_or_default();
        (&self.sockets.packets)
            .write_vectored(&[IoSlice::new(header), IoSlice::new(octets)])
            .map(|_| 1)
    }
}

/// Adds the parts of a packet to those of a call. `None`: they do not fit there any more.
fn prepare<'a>(
    packet: &'a Packet,
    header: &'a [u8],
    parts: &mut ArrayVec<IoSlice<'a>, MOST_PARTS>,
) -> Option<Prepared> {
    let count = 1 + packet.octets.slice_count();
    if count > MOST_SLICES + 1 {
        return Some(Prepared::Alone);
    }
    if parts.remaining_capacity() < count {
        return None;
    }
    parts.push(IoSlice::new(header));
    parts.extend(packet.octets.slices().map(|slice| IoSlice::new(slice)));
    Some(Prepared::Parts(count))
}

impl Queue for PacketQueue {
    fn facts(&self) -> DeviceFacts {
        self.facts
    }

    fn receive(&mut self, pool: &FramePool, into: &mut RxBatch) -> usize {
        let before = into.len();
        // As many calls as there was room, also when packets are dropped: a turn must end.
        for _ in 0..into.room() {
            let room = into.room();
            if room == 0 || !self.receive_some(Which::Packets, pool, room, into) {
                break;
            }
        }
        if self.sockets.neighbours.is_some() && into.room() > 0 {
            // The rest keeps the descriptor readable.
            self.receive_some(Which::Neighbours, pool, into.room(), into);
        }
        into.len() - before
    }

    fn transmit(&mut self, from: &mut TxBatch) -> usize {
        let mut count = 0;
        while !from.is_empty() {
            let gone = match self.send_some(from) {
                Ok(sent) => {
                    self.stats.sent += sent as u64;
                    sent
                }
                Err(error) => match (error.kind(), error.raw_os_error()) {
                    (ErrorKind::Interrupted, _) => continue,
                    (ErrorKind::WouldBlock, _) | (_, Some(libc::ENOBUFS | libc::ENOMEM)) => break,
                    _ => {
                        self.stats.refused += 1;
                        1
                    }
                },
            };
            for _ in 0..gone {
                from.pop();
            }
            count += gone;
        }
        count
    }

    fn is_gone(&self) -> bool {
        self.gone
    }

    fn wait_handle(&self) -> Option<WaitHandle> {
        Some(WaitHandle(match &self.sockets {
            Sockets { neighbours: Some((_, both)), .. } => both.as_raw_fd(),
            Sockets { packets, .. } => packets.as_raw_fd(),
        }))
    }
}
