//! What the peer says and what we said, as a test writes and reads it. Sequence numbers are offsets
//! from the first octet of each direction.

use std::vec::Vec;
use usertcp_base::Ecn;
use usertcp_wire::tcp::{AccurateEcn, AccurateEcnOrder, Flags};

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
    pub accurate: Option<AccurateEcn>,
    /// The user-timeout option's field.
    pub user_timeout: Option<u16>,
}

impl Peer {
    /// With this count in the three ECN flags.
    pub fn ace(mut self, ace: u8) -> Peer {
        self.flags = self.flags.without(crate::open::ace_flags(7)) | crate::open::ace_flags(ace);
        self
    }
    /// With an option that has ECT(0), CE and ECT(1) in this order.
    pub fn counters(mut self, counters: &[u32]) -> Peer {
        let mut option = AccurateEcn { count: counters.len() as u8, ..AccurateEcn::default() };
        option.counters[..counters.len()].copy_from_slice(counters);
        self.accurate = Some(option);
        self
    }
    pub fn mark(mut self, ecn: Ecn) -> Peer {
        self.ecn = ecn;
        self
    }
    pub fn merged_from(mut self, wire_segments: u16) -> Peer {
        self.wire_segments = wire_segments;
        self
    }

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
    pub accurate: Option<AccurateEcn>,
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
    /// The three ECN flags as a number.
    pub fn ace(&self) -> u8 {
        crate::open::ace_of(self.flags)
    }
    /// ECT(0), CE and ECT(1) as its option tells them; `None` where it does not.
    pub fn told(&self) -> Option<[Option<u32>; 3]> {
        let option = self.accurate?;
        let mut fields = [None; 3];
        for (field, counter) in fields.iter_mut().zip(option.counters).take(option.count.into()) {
            *field = Some(counter);
        }
        if option.order == AccurateEcnOrder::Capable1First {
            fields.reverse();
        }
        Some(fields)
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
