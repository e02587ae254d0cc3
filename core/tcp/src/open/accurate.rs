//! Accurate ECN on SYN, SYN-ACK and the acknowledgement of the SYN-ACK.
//!
//! Owns: `AccurateStart`, and the three-bit codes of the handshake.
//! Must not know: the counters that follow (`crate::ecn::accurate`), timers.
//! Implements: RFC 9768 §3.1.1 to §3.1.3 (Table 2), §3.2.2.1 (Tables 3 and 4), §3.2.2.3, §3.2.3.2.

use crate::segment::Segment;
use usertcp_base::Ecn;
use usertcp_wire::tcp::{AccurateEcn, AccurateEcnOrder, Flags};

/// The three flags that are ACE, or a code, as one number: AE, CWR, ECE from the highest bit down.
pub(crate) fn ace_of(flags: Flags) -> u8 {
    let bit = |flag| u8::from(flags.contains(flag));
    bit(Flags::AE) << 2 | bit(Flags::CWR) << 1 | bit(Flags::ECE)
}

/// The flags of a three-bit number.
pub(crate) fn ace_flags(ace: u8) -> Flags {
    let flag = |bit: u8, flag| if ace >> bit & 1 == 1 { flag } else { Flags::NONE };
    flag(2, Flags::AE) | flag(1, Flags::CWR) | flag(0, Flags::ECE)
}

/// How the mark of a SYN or SYN-ACK is told (Tables 2 and 3).
pub(crate) fn code_of(mark: Ecn) -> u8 {
    match mark {
        Ecn::NotCapable => 0b010,
        Ecn::Capable1 => 0b011,
        Ecn::Capable0 => 0b100,
        Ecn::CongestionExperienced => 0b110,
    }
}

/// The option with all three counters in their initial state (§3.2.1).
pub(crate) const INITIAL_OPTION: AccurateEcn =
    AccurateEcn { order: AccurateEcnOrder::Capable1First, count: 3, counters: [1, 0, 1] };

/// What the peer's first segment showed of its option.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OptionPath {
    /// There was none: it may not pass the path, and the header bits alone must do (§3.2.3.2.3).
    #[default]
    Absent,
    /// It was there, without counters.
    Empty,
    /// It was there.
    Usable,
    /// A counter that cannot be zero was: it is not looked at any more (§3.2.3.2.4).
    Ignored,
}

impl OptionPath {
    /// What the option of a first segment says of the path.
    pub(crate) fn of(option: Option<&AccurateEcn>) -> OptionPath {
        let Some(option) = option else { return OptionPath::Absent };
        // First and last counter are those of the two capable marks, in either order.
        let zeroed = |at: usize| usize::from(option.count) > at && option.counters[at] == 0;
        match option.count {
            _ if zeroed(0) || zeroed(2) => OptionPath::Ignored,
            0 => OptionPath::Empty,
            _ => OptionPath::Usable,
        }
    }
}

/// How a connection with accurate ECN begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AccurateStart {
    /// Our data may be ECN-capable.
    pub capable: bool,
    /// What the peer reports as marked is answered. Not if its first word shows that it does not
    /// count (Table 4, note 1).
    pub heed: bool,
    /// Our SYN or SYN-ACK was reported as marked.
    pub marked: bool,
    /// The peer has counted that in its packets (a server learns it from the third segment).
    pub counted: bool,
    /// The mark our acknowledgement of the SYN-ACK has to tell.
    pub syn_ack: Option<Ecn>,
    /// The flags of the segment that completed the handshake were no counter, or are digested.
    pub digested: bool,
    /// The peer's option.
    pub option: OptionPath,
    /// Our option got through, as far as is known.
    pub send_option: bool,
}

impl AccurateStart {
    /// A client's, whose SYN was Not-ECT, from the SYN-ACK (Table 2).
    pub(super) fn of_syn_ack(segment: &Segment) -> AccurateStart {
        let code = ace_of(segment.header.flags);
        AccurateStart {
            // A mark on what was not capable is mangling: the path is not to be trusted with ours
            // (§3.2.2.3). The reserved code counts as "unchanged" (§3.1.3).
            capable: matches!(code, 0b010 | 0b101),
            heed: true,
            marked: code == code_of(Ecn::CongestionExperienced),
            counted: false,
            syn_ack: Some(segment.ecn),
            digested: true,
            option: OptionPath::of(segment.options.accurate_ecn.as_ref()),
            send_option: true,
        }
    }

    /// A server's, from the segment that acknowledges its SYN-ACK (Table 4).
    pub fn of_third_segment(segment: &Segment) -> AccurateStart {
        let mut start = AccurateStart {
            capable: true,
            heed: true,
            marked: false,
            counted: false,
            syn_ack: None,
            digested: false,
            option: OptionPath::of(segment.options.accurate_ecn.as_ref()),
            send_option: true,
        };
        if segment.sequence_octets() != 0 || !segment.options.sack.is_empty() {
            // Its flags are the counter.
            return start;
        }
        start.digested = true;
        match ace_of(segment.header.flags) {
            0b000 => (start.capable, start.heed) = (false, false),
            0b011 | 0b100 => start.capable = false,
            0b110 => {
                start.capable = false;
                (start.marked, start.counted) = (true, true);
            }
            _ => {}
        }
        start
    }

    /// In a simultaneous open, completed by the peer's SYN-ACK: there is no third segment, and the
    /// flags of a SYN-ACK are no counter.
    pub(super) fn of_simultaneous(segment: &Segment) -> AccurateStart {
        AccurateStart { syn_ack: None, ..AccurateStart::of_syn_ack(segment) }
    }
}

#[cfg(test)]
mod tests;
