//! Frames in the kernel's hands.
//! Owns: which frames the kernel may write ([`Stock`]) and which octets it may read ([`Line`]),
//! until it says that it is done. Must not know: rings, packets.
//!
//! The kernel names memory by octets from the start of the region. What it gives back is looked
//! up here, never trusted: a number that names nothing it was given yields nothing. Frames here
//! are not looked at: that is this module's part of the bargain in `sys::Socket::register`.

use std::collections::VecDeque;
use usertcp_device::Packet;
use usertcp_frame::{Chain, Class, Frame, FramePool, FrameSlice};

/// Octets of one buffer: the data part of a full frame.
pub(super) const CHUNK_OCTETS: u32 = FramePool::data_octets(Class::Full) as u32;
/// Octets the kernel keeps for itself in front of a packet (`XDP_PACKET_HEADROOM`).
pub(super) const KERNEL_HEADROOM_OCTETS: u32 = 256;

// Unaligned chunks may have any size from 2,048 octets to a page.
const _: () = assert!(CHUNK_OCTETS >= 2048 && CHUNK_OCTETS <= 4096);
// An Ethernet packet of the common MTU, with a VLAN tag, must fit one buffer.
const _: () = assert!(CHUNK_OCTETS - KERNEL_HEADROOM_OCTETS >= 1500 + 18);

/// In an address that comes back, where the data starts is told above this bit.
const OFFSET_BIT: u32 = libc::XSK_UNALIGNED_BUF_OFFSET_SHIFT as u32;

/// Splits an address that came back into where its buffer starts and where the data does in it.
pub(super) fn split_address(address: u64) -> (u64, u32) {
    (address & ((1 << OFFSET_BIT) - 1), (address >> OFFSET_BIT) as u32)
}

/// What the kernel can make of octets in the region.
///
/// The kernel's own copying takes any address. A device reads by physical addresses: for it, what
/// is named must not cross pages, as those behind each other in the region are not so in the
/// machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Layout {
    page_bound: bool,
    most_parts: usize,
}

/// Parts of one packet: the kernel takes 17 behind the first, devices mostly fewer.
const MOST_PARTS_COPIED: usize = 16;
const MOST_PARTS_OF_DEVICE: usize = 4;
const PAGE_OCTETS: usize = 4096;
/// Frames looked at for one that crosses no page: every other one does not, but those that do are
/// left over and found first.
const TRIES: usize = 16;

impl Layout {
    /// Octets of a packet in one buffer.
    pub(super) const RECEIVE_OCTETS: usize = (CHUNK_OCTETS - KERNEL_HEADROOM_OCTETS) as usize;

    pub(super) fn new(zero_copy: bool, multi_buffer: bool) -> Layout {
        let most_parts = match (multi_buffer, zero_copy) {
            (false, _) => 1,
            (true, false) => MOST_PARTS_COPIED,
            (true, true) => MOST_PARTS_OF_DEVICE,
        };
        Layout { page_bound: zero_copy, most_parts }
    }

    /// Parts one packet may have.
    pub(super) fn most_parts(self) -> usize {
        self.most_parts
    }

    /// How many of `octets` at `offset` one part can name.
    #[inline]
    pub(super) fn part_octets(self, offset: usize, octets: usize) -> usize {
        let most = octets.min(CHUNK_OCTETS as usize);
        if self.page_bound { most.min(PAGE_OCTETS - offset % PAGE_OCTETS) } else { most }
    }

    /// Parts it takes to name them all.
    #[inline]
    pub(super) fn parts(self, mut offset: usize, mut octets: usize) -> usize {
        let mut parts = 0;
        while octets > 0 {
            let part = self.part_octets(offset, octets);
            offset += part;
            octets -= part;
            parts += 1;
        }
        parts
    }

    /// Any frame, with the room the kernel wants. `None`: the pool has none.
    pub(super) fn any(pool: &FramePool) -> Option<Frame> {
        pool.take(Class::Full, KERNEL_HEADROOM_OCTETS as usize)
    }

    /// Whether the kernel may write a whole buffer to this frame.
    pub(super) fn is_fit(self, frame: &Frame) -> bool {
        self.parts(frame.region_offset(), CHUNK_OCTETS as usize) == 1
    }

    /// A frame the kernel may write to. `None`: the pool has none at hand.
    pub(super) fn fresh(self, pool: &FramePool) -> Option<Frame> {
        let mut frame = Layout::any(pool)?;
        if !self.page_bound || self.is_fit(&frame) {
            return Some(frame);
        }
        let mut unfit = Vec::with_capacity(TRIES);
        while unfit.len() < TRIES && !self.is_fit(&frame) {
            unfit.push(std::mem::replace(&mut frame, Layout::any(pool)?));
        }
        self.is_fit(&frame).then_some(frame)
    }

    /// A copy of a packet in as few parts as can be. `None`: no frames, or too many parts.
    pub(super) fn gather(self, pool: &FramePool, packet: &Packet) -> Option<Chain> {
        let octets = packet.octets.to_vec();
        let mut chain = Chain::new();
        for part in octets.chunks(Layout::RECEIVE_OCTETS) {
            let mut frame = self.fresh(pool).or_else(|| Layout::any(pool))?;
            frame.extend(part);
            chain.push_back(frame.into_slice());
        }
        (self.parts_of(&chain) <= self.most_parts).then_some(chain)
    }

    /// Parts it takes to name all octets of a packet.
    #[inline]
    pub(super) fn parts_of(self, octets: &Chain) -> usize {
        octets.slices().map(|slice| self.parts(slice.region_offset(), slice.len())).sum()
    }
}

/// Full frames the kernel may write packets to.
pub(super) struct Stock {
    /// By their place in the region: a frame's number is its offset divided by its size.
    frames: Vec<Option<Frame>>,
    count: u32,
}

impl Stock {
    /// An empty stock for frames of `pool`.
    pub(super) fn new(pool: &FramePool) -> Stock {
        let most = pool.region().len() / FramePool::frame_octets(Class::Full);
        let mut frames = Vec::new();
        frames.resize_with(most, || None);
        Stock { frames, count: 0 }
    }

    fn number(address: u64) -> usize {
        usize::try_from(address).unwrap_or(usize::MAX) / FramePool::frame_octets(Class::Full)
    }

    /// Frames in it.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Takes a fresh frame in, to be named to the kernel by the address returned. `None`: it is
    /// not of the region, and was dropped.
    pub(super) fn put(&mut self, frame: Frame) -> Option<u64> {
        let address = frame.region_offset() as u64;
        let place = self.frames.get_mut(Stock::number(address))?;
        if place.replace(frame).is_none() {
            self.count += 1;
        }
        Some(address)
    }

    /// Takes the frame out that the kernel gives back.
    pub(super) fn take(&mut self, address: u64) -> Option<Frame> {
        let place = self.frames.get_mut(Stock::number(address))?;
        if place.as_ref().is_none_or(|frame| frame.region_offset() as u64 != address) {
            return None;
        }
        self.count -= 1;
        place.take()
    }

    /// Gives all frames up for good: nobody may use them, as a device may still write there.
    pub(super) fn abandon(&mut self) {
        self.frames.drain(..).for_each(std::mem::forget);
        self.count = 0;
    }
}

/// What became of octets the kernel reads.
struct Sent {
    address: u64,
    /// None: the kernel is done with it.
    slice: Option<FrameSlice>,
}

/// Slices under way, in the order they were handed over.
pub(super) struct Line {
    entries: VecDeque<Sent>,
}

impl Line {
    /// A line that holds `capacity` slices without growing.
    pub(super) fn new(capacity: u32) -> Line {
        Line { entries: VecDeque::with_capacity(capacity as usize) }
    }

    /// Places taken: slices under way, and some behind which others still are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Keeps a slice of the region until its address completes.
    pub(super) fn push(&mut self, slice: FrameSlice) -> u64 {
        let address = slice.region_offset() as u64;
        self.entries.push_back(Sent { address, slice: Some(slice) });
        address
    }

    /// The kernel is done with one slice of that address; false when none was there. The same
    /// octets may be under way twice: then either will do, as both hold the same frame.
    ///
    /// Mostly it is the first; devices with several queues may finish in another order.
    pub(super) fn complete(&mut self, address: u64) -> bool {
        let is_it = |sent: &&mut Sent| sent.address == address && sent.slice.is_some();
        let Some(sent) = self.entries.iter_mut().find(is_it) else { return false };
        sent.slice = None;
        while self.entries.front().is_some_and(|sent| sent.slice.is_none()) {
            self.entries.pop_front();
        }
        true
    }

    /// Gives all slices up for good: nobody may write there, as a device may still read them.
    pub(super) fn abandon(&mut self) {
        self.entries.drain(..).for_each(|sent| std::mem::forget(sent.slice));
    }
}
