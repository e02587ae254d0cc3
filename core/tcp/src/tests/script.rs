//! What the peer says and what we said, as a test writes and reads it. Sequence numbers are offsets
//! from the first octet of each direction.

use std::vec::Vec;
use usertcp_base::Ecn;
use usertcp_wire::tcp::Flags;

/// What the peer sends. Numbers are offsets.
#[derive(Clone, Debug)]
pub struct Peer {
    pub flags: Flags,
    pub seq: i64,
    pub ack: i64,
    /// The field, unscaled.
    pub window: u16,
    pub payload: Vec<u8>,
    pub urgent: u16,
    /// Replaces the timestamps the bench would put on.
    pub stamps: Option<Option<(u32, u32)>>,
    pub sack: Vec<(i64, i64)>,
    pub wire_segments: u16,
    pub ecn: Ecn,
    /// The user-timeout option's field.
    pub user_timeout: Option<u16>,
}

impl Peer {
    pub fn flags(mut self, flags: Flags) -> Peer {
        self.flags = flags;
        self
    }
    pub fn and(mut self, flags: Flags) -> Peer {
        self.flags = self.flags | flags;
        self
    }
    pub fn window(mut self, window: u16) -> Peer {
        self.window = window;
        self
    }
    pub fn data(mut self, octets: usize) -> Peer {
        let first = self.seq;
        self.payload = (0..octets).map(|i| pattern(first + i as i64)).collect();
        self
    }
    pub fn urgent(mut self, pointer: u16) -> Peer {
        self.flags = self.flags | Flags::URG;
        self.urgent = pointer;
        self
    }
    pub fn stamps(mut self, value: u32, echo: u32) -> Peer {
        self.stamps = Some(Some((value, echo)));
        self
    }
    pub fn unstamped(mut self) -> Peer {
        self.stamps = Some(None);
        self
    }
    /// A router marked it.
    pub fn marked(mut self) -> Peer {
        self.ecn = Ecn::CongestionExperienced;
        self
    }
    pub fn sack(mut self, blocks: &[(i64, i64)]) -> Peer {
        self.sack = blocks.to_vec();
        self
    }
}

/// The octet at an offset, the same in both directions.
pub fn pattern(offset: i64) -> u8 {
    (offset.rem_euclid(251)) as u8
}

/// What we sent. Numbers are offsets.
#[derive(Clone, Debug, PartialEq)]
pub struct Out {
    pub flags: Flags,
    pub seq: i64,
    pub ack: i64,
    pub window: u16,
    pub payload: Vec<u8>,
    pub urgent: u16,
    pub gso: Option<u16>,
    pub stamps: Option<(u32, u32)>,
    pub sack: Vec<(i64, i64)>,
    pub dscp: u8,
    pub ecn: Ecn,
    pub hop_limit: u8,
    pub mss: Option<u16>,
    pub user_timeout: Option<u16>,
    /// Milliseconds since birth.
    pub at: u64,
}

impl Out {
    pub fn len(&self) -> usize {
        self.payload.len()
    }
    pub fn has(&self, flag: Flags) -> bool {
        self.flags.contains(flag)
    }
    /// First octet and length.
    pub fn span(&self) -> (i64, usize) {
        (self.seq, self.len())
    }
    /// <SEQ><ACK> of a bare acknowledgement; panics at anything else.
    pub fn bare(&self) -> (i64, i64) {
        assert!(self.payload.is_empty() && self.flags == Flags::ACK, "{self:?}");
        (self.seq, self.ack)
    }
}

/// The spans of segments that carry data.
pub fn spans(out: &[Out]) -> Vec<(i64, usize)> {
    out.iter().filter(|out| out.len() > 0).map(Out::span).collect()
}
