//! A queue around a queue that writes every packet down.
//! Owns: the pcapng blocks. Must not know: files; octets go to a sink.
//! Implements: draft-ietf-opsawg-pcapng §4.1 (section header), §4.2 (interface description), §4.3
//! (enhanced packet).

use crate::api::{BindError, DeviceFacts, Medium, Queue, WaitHandle};
use crate::batch::{RxBatch, TxBatch};
use alloc::vec::Vec;
use usertcp_base::Instant;
use usertcp_frame::{FramePool, Packet};

const SECTION_HEADER: u32 = 0x0A0D_0D0A;
const INTERFACE: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const ORDER_MARK: u32 = 0x1A2B_3C4D;
const LINK_ETHERNET: u16 = 1;
const LINK_RAW_IP: u16 = 101;
/// What readers commonly take as the most of one packet.
const MOST_SNAP_OCTETS: u32 = 262_144;
/// Option `epb_flags`, and its two directions.
const OPTION_FLAGS: u16 = 2;
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// A queue that writes packets to `sink` in pcapng, as they pass. Super-packets are written whole
/// and partial checksums as they stand, as the stack sees them.
#[derive(Debug)]
pub struct Pcap<Q, S> {
    inner: Q,
    sink: S,
    now: Instant,
    snap_octets: u32,
    offered: Vec<Packet>,
}

impl<Q: Queue, S: FnMut(&[u8])> Pcap<Q, S> {
    /// `inner`, with at most `snap_octets` of each packet written to `sink`. The file header is
    /// written now. The sink gets a packet in pieces, in order.
    pub fn new(inner: Q, snap_octets: u32, mut sink: S) -> Pcap<Q, S> {
        let snap_octets = snap_octets.min(MOST_SNAP_OCTETS);
        let link = match inner.facts().medium {
            Medium::Ip => LINK_RAW_IP,
            Medium::Ethernet { .. } => LINK_ETHERNET,
        };
        write_words(&mut sink, &[SECTION_HEADER, 28, ORDER_MARK, 1, u32::MAX, u32::MAX, 28]);
        // No option: timestamps are in microseconds, which is the default.
        write_words(&mut sink, &[INTERFACE, 20, u32::from(link), snap_octets, 20]);
        Pcap { inner, sink, now: Instant::ZERO, snap_octets, offered: Vec::new() }
    }
    /// The time of the packets that follow.
    pub fn set_now(&mut self, now: Instant) {
        self.now = now;
    }
    /// The queue inside.
    pub fn inner(&self) -> &Q {
        &self.inner
    }
    /// The queue inside, to use it unseen.
    pub fn inner_mut(&mut self) -> &mut Q {
        &mut self.inner
    }
}

impl<Q: Queue, S: FnMut(&[u8])> Queue for Pcap<Q, S> {
    fn facts(&self) -> DeviceFacts {
        self.inner.facts()
    }

    fn bind(&mut self, pool: &FramePool) -> Result<(), BindError> {
        self.inner.bind(pool)
    }

    fn receive(&mut self, pool: &FramePool, into: &mut RxBatch) -> usize {
        let before = into.len();
        let count = self.inner.receive(pool, into);
        for packet in into.iter().skip(before) {
            write_packet(&mut self.sink, self.now, self.snap_octets, INBOUND, packet);
        }
        count
    }

    fn transmit(&mut self, from: &mut TxBatch) -> usize {
        // Kept by a second reference, so that only what was taken is written.
        self.offered.extend(from.iter().cloned());
        let count = self.inner.transmit(from);
        for packet in self.offered.drain(..).take(count) {
            write_packet(&mut self.sink, self.now, self.snap_octets, OUTBOUND, &packet);
        }
        count
    }

    fn wait_handle(&self) -> Option<WaitHandle> {
        self.inner.wait_handle()
    }

    fn has_waiting(&self) -> bool {
        self.inner.has_waiting()
    }

    fn is_gone(&self) -> bool {
        self.inner.is_gone()
    }

    fn defer_sends(&mut self) {
        self.inner.defer_sends();
    }

    fn send_off(&mut self) {
        self.inner.send_off();
    }
}

/// One enhanced packet block.
fn write_packet(sink: &mut impl FnMut(&[u8]), now: Instant, snap: u32, way: u32, packet: &Packet) {
    let original = packet.len().min(u32::MAX as usize) as u32;
    let kept = original.min(snap);
    let padding = kept.wrapping_neg() & 3;
    // Seven words in front, the data, twelve octets of options, the length again.
    let total = 28 + kept + padding + 12 + 4;
    let micros = now.as_micros();
    let (high, low) = ((micros >> 32) as u32, micros as u32);
    write_words(sink, &[ENHANCED_PACKET, total, 0, high, low, kept, original]);
    let mut left = kept as usize;
    for slice in packet.octets.slices() {
        let part = slice.get(..left.min(slice.len())).unwrap_or_default();
        sink(part);
        left -= part.len();
    }
    sink([0; 3].get(..padding as usize).unwrap_or_default());
    write_words(sink, &[u32::from(OPTION_FLAGS) | 4 << 16, way, 0, total]);
}

/// Words in little-endian order: the section header's mark tells readers so.
fn write_words(sink: &mut impl FnMut(&[u8]), words: &[u32]) {
    words.iter().for_each(|word| sink(&word.to_le_bytes()));
}
