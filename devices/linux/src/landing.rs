//! Where a packet's octets land when nobody knows how many they are.
//! Owns: the two frames the next packet is read into, and which frames its octets end up in.
//! Must not know: devices, what a header in front says.

use usertcp_frame::{Chain, Class, Frame, FramePool};

/// Packets up to this many octets move to a small frame: acknowledgements, above all. The copy
/// costs what taking another full frame would, and leaves the full one warm for the next packet.
pub(crate) const SMALL_PACKET_OCTETS: usize = 128;
/// A large frame less full than this gives its octets to full frames instead: it occupies 66 KiB
/// for as long as they wait.
const LARGE_WORTH_OCTETS: usize = FramePool::data_octets(Class::Large) / 4;
/// Room for the longest packet there is, for when the pool has no frames to read into.
pub(crate) const SCRATCH_OCTETS: usize = FramePool::data_octets(Class::Large);

/// A full frame and a large one behind it. Kept between packets: most use neither up.
#[derive(Debug, Default)]
pub(crate) struct Landing {
    full: Option<Frame>,
    large: Option<Frame>,
}

impl Landing {
    /// The room to read into, first part first. `None`: the pool has not the frames.
    pub(crate) fn prepare(&mut self, pool: &FramePool) -> Option<[&mut [u8]; 2]> {
        if self.full.is_none() {
            self.full = pool.take(Class::Full, 0);
        }
        if self.large.is_none() {
            self.large = pool.take(Class::Large, 0);
        }
        Some([self.full.as_mut()?.spare_mut(), self.large.as_mut()?.spare_mut()])
    }

    /// The same in one piece: short packets do not stay in it.
    pub(crate) fn prepare_whole(&mut self, pool: &FramePool) -> Option<&mut [u8]> {
        if self.large.is_none() {
            self.large = pool.take(Class::Large, 0);
        }
        Some(self.large.as_mut()?.spare_mut())
    }

    /// Makes a chain of the `octets` that lie in the large frame behind `header_octets` of something else.
    pub(crate) fn gather_whole(
        &mut self,
        pool: &FramePool,
        header_octets: usize,
        octets: usize,
        octets_copied: &mut u64,
    ) -> Option<Chain> {
        let end = header_octets.checked_add(octets)?;
        let source = self.large.as_mut()?.spare_mut().get(header_octets..end)?;
        if octets <= SMALL_PACKET_OCTETS
            && let Some(small) = pool.copy_of(source, 0)
        {
            return Some(small.into());
        }
        if octets < LARGE_WORTH_OCTETS
            && let Some(copy) = copy_to_full_frames(pool, source)
        {
            *octets_copied += octets as u64;
            return Some(copy);
        }
        let mut large = self.large.take()?;
        large.advance_len(end);
        let mut packet = large.into_slice();
        packet.advance(header_octets);
        Some(packet.into())
    }

    /// Makes a chain of the `octets` that lie in the full frame and, if they are more than that,
    /// in the large one. What it does not need stays for the next packet.
    pub(crate) fn gather(
        &mut self,
        pool: &FramePool,
        octets: usize,
        tail_octets_copied: &mut u64,
    ) -> Option<Chain> {
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
                *tail_octets_copied += tail as u64;
                chain.append(copy);
                return Some(chain);
            }
        }
        let mut large = self.large.take()?;
        large.advance_len(tail);
        chain.push_back(large.into_slice());
        Some(chain)
    }
}

/// A copy of a packet that was read into a buffer, as the pool had no frames to read into: in full
/// frames, or a frame of the reserve. `None`: there is no frame at all.
pub(crate) fn copy_when_short(pool: &FramePool, octets: &[u8]) -> Option<Chain> {
    copy_to_full_frames(pool, octets).or_else(|| copy_to_reserve(pool, octets))
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
