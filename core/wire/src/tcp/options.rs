//! The options as values.
//!
//! Owns: what each option of requirement ledger E1 that is used carries. Must not know: how they
//! stand in octets (`parse`, `emit`), what they mean for a connection.
//! Implements: the values of RFC 9293 §3.2, RFC 7323, RFC 2018, RFC 5482, RFC 7413, RFC 9768.

use core::ops::Deref;
use usertcp_base::Seq;

/// The options of one segment. Plain data, about 100 octets, nothing behind a pointer.
///
/// Kinds that are ignored by decision (echo, T/TCP, MPTCP, experiments, …) leave no trace.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// Kind 8: timestamps (RFC 7323 §3).
    pub timestamps: Option<Timestamps>,
    /// Kind 5: selective acknowledgement; empty on a SYN (RFC 2018 §3).
    pub sack: SackBlocks,
    /// Kind 2, on a SYN only: the largest segment, octets as sent (0 and 65,535 included).
    pub mss: Option<u16>,
    /// Kind 3, on a SYN only: the raw shift; more than 14 is for the receiver to clamp.
    pub scale: Option<u8>,
    /// Kind 4, on a SYN only (RFC 2018 §2).
    pub sack_permitted: bool,
    /// Kinds 19 and 29: which one was there, or is to be made room for. The code itself is read and
    /// written in the header (`raw_options`); it is emitted as zeros.
    pub authentication: Option<Authentication>,
    /// Kinds of ours that came a second time; the first one counted (PR-5). Not emitted.
    pub duplicates: u8,
    /// Kind 28: the raw field: bit 15 set means minutes, else seconds; the rest is the value
    /// (RFC 5482 §3).
    pub user_timeout: Option<u16>,
    /// Kind 34, on a SYN only: a Fast Open cookie, empty when one is asked for (RFC 7413 §4.1.1).
    pub fast_open: Option<Cookie>,
    /// Kinds 172 and 174: octet counters of accurate ECN (RFC 9768 §3.2.3).
    pub accurate_ecn: Option<AccurateEcn>,
}

impl Options {
    /// The timestamps, if there is no other option.
    #[inline]
    pub fn only_timestamps(&self) -> Option<Timestamps> {
        let others = !self.sack.is_empty()
            || self.mss.is_some()
            || self.scale.is_some()
            || self.sack_permitted
            || self.authentication.is_some()
            || self.duplicates != 0
            || self.user_timeout.is_some()
            || self.fast_open.is_some()
            || self.accurate_ecn.is_some();
        if others { None } else { self.timestamps }
    }
}

/// The two fields of the timestamps option.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Timestamps {
    /// TSval: the sender's clock.
    pub value: u32,
    /// TSecr: the clock value it echoes; means nothing on a segment without ACK.
    pub echo: u32,
}

/// One SACK block: octets `[left, right)` have arrived. The order of the edges is not judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SackBlock {
    /// First sequence number of the block.
    pub left: Seq,
    /// The sequence number after its last.
    pub right: Seq,
}

/// Up to four SACK blocks in the order of the option.
#[derive(Clone, Copy, Default)]
pub struct SackBlocks {
    blocks: [SackBlock; SackBlocks::MOST],
    len: u8,
}

impl SackBlocks {
    /// Blocks that fit the option space.
    pub const MOST: usize = 4;

    /// No blocks.
    pub const EMPTY: SackBlocks =
        SackBlocks { blocks: [SackBlock { left: Seq(0), right: Seq(0) }; 4], len: 0 };

    /// Appends a block; false when all four places are taken.
    pub fn push(&mut self, block: SackBlock) -> bool {
        match self.blocks.get_mut(usize::from(self.len)) {
            Some(place) => {
                *place = block;
                self.len += 1;
                true
            }
            None => false,
        }
    }
    /// Whether four blocks are held.
    pub const fn is_full(&self) -> bool {
        self.len as usize == SackBlocks::MOST
    }
}

impl Deref for SackBlocks {
    type Target = [SackBlock];
    fn deref(&self) -> &[SackBlock] {
        self.blocks.get(..usize::from(self.len)).unwrap_or(&[])
    }
}

impl PartialEq for SackBlocks {
    fn eq(&self, other: &SackBlocks) -> bool {
        **self == **other
    }
}

impl Eq for SackBlocks {}

impl core::fmt::Debug for SackBlocks {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl FromIterator<SackBlock> for SackBlocks {
    /// The first four of `blocks`.
    fn from_iter<I: IntoIterator<Item = SackBlock>>(blocks: I) -> SackBlocks {
        let mut out = SackBlocks::EMPTY;
        for block in blocks {
            if !out.push(block) {
                break;
            }
        }
        out
    }
}

/// A Fast Open cookie: none (a request), or 4 to 16 octets, an even number (RFC 7413 §2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cookie {
    octets: [u8; 16],
    len: u8,
}

impl Cookie {
    /// A request for a cookie.
    pub const REQUEST: Cookie = Cookie { octets: [0; 16], len: 0 };

    /// A cookie; `None` when its length is not one the option may have.
    pub fn new(octets: &[u8]) -> Option<Cookie> {
        if !(octets.is_empty()
            || (4..=16).contains(&octets.len()) && octets.len().is_multiple_of(2))
        {
            return None;
        }
        let mut cookie = Cookie { octets: [0; 16], len: octets.len() as u8 };
        for (to, from) in cookie.octets.iter_mut().zip(octets) {
            *to = *from;
        }
        Some(cookie)
    }
    /// The cookie's octets; empty for a request.
    pub fn octets(&self) -> &[u8] {
        self.octets.get(..usize::from(self.len)).unwrap_or(&[])
    }
}

/// Which counter comes first in an accurate ECN option.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AccurateEcnOrder {
    /// Kind 172: ECT(0), CE, ECT(1).
    #[default]
    Capable0First,
    /// Kind 174: ECT(1), CE, ECT(0).
    Capable1First,
}

/// An accurate ECN option as it came: raw 24-bit counters in the option's own order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AccurateEcn {
    /// Which kind it was.
    pub order: AccurateEcnOrder,
    /// How many counters were there: 0 to 3.
    pub count: u8,
    /// The counters, 24 bits each; those from `count` on are zero.
    pub counters: [u32; 3],
}

/// An option that authenticates the segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Authentication {
    /// Kind 19 (RFC 2385).
    Md5,
    /// Kind 29 (RFC 5925 §2.2). Emitted with room for a code of 96 bits (RFC 5926 §3.2).
    Ao {
        /// KeyID: the key this segment is signed with, by the receiver's number.
        key_id: u8,
        /// RNextKeyID: the key the sender would like to see used.
        next_key_id: u8,
    },
}
