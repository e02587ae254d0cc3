//! How the connection of a bench begins: what both offer, and the handshake that agrees on it.

use super::{BIRTH, Bench, IRS, ISS, OFFSET, PATH, PEER_CLOCK};
use crate::*;
use usertcp_base::{Ecn, Instant, Limits, Seq, WireWindow};
use usertcp_frame::Chain;
use usertcp_wire::tcp::{AccurateEcn, AccurateEcnOrder, Flags, Header, Options, Timestamps};

/// What kind of connection.
#[derive(Clone)]
pub struct Start {
    pub timestamps: bool,
    pub sack: bool,
    pub scale: Option<u8>,
    pub mss: u16,
    pub window: u16,
    pub active: bool,
    pub fixed_window: Option<u32>,
    pub settings: Settings,
    pub limits: Limits,
    pub super_segments: bool,
    /// Round trip of the handshake, milliseconds.
    pub rtt: u64,
    /// Our SYN was lost once (active only).
    pub lost: bool,
    /// The peer's SYN or SYN-ACK sets up ECN.
    pub ecn: bool,
    /// Accurate ECN: what the three flags of the segment that completes the handshake are.
    pub accurate: Option<u8>,
    /// Its option, and the mark of its IP header.
    pub accurate_option: Option<AccurateEcn>,
    pub mark: Ecn,
}

impl Default for Start {
    /// No options, so that every figure is easy to see: MSS 1000, window 60000, a congestion window
    /// that is never in the way, a round trip of 100 ms.
    fn default() -> Start {
        Start {
            timestamps: false,
            sack: false,
            scale: None,
            mss: 1000,
            window: 60_000,
            active: false,
            fixed_window: Some(1 << 20),
            settings: Settings::default(),
            limits: Limits::default(),
            super_segments: false,
            rtt: 100,
            lost: false,
            ecn: false,
            accurate: None,
            accurate_option: Some(INITIAL),
            mark: Ecn::NotCapable,
        }
    }
}

/// The option as a peer begins.
pub const INITIAL: AccurateEcn =
    AccurateEcn { order: AccurateEcnOrder::Capable0First, count: 3, counters: [1, 0, 1] };

impl Start {
    pub fn modern() -> Start {
        Start { timestamps: true, sack: true, scale: Some(0), ..Start::default() }
    }
    pub fn sack() -> Start {
        Start { sack: true, ..Start::default() }
    }
    pub fn cubic() -> Start {
        Start { fixed_window: None, ..Start::sack() }
    }
    /// ECN both ways.
    pub fn ecn(mut self) -> Start {
        self.ecn = true;
        self.settings.ecn = EcnMode::Ask;
        self
    }
    /// Accurate ECN, the SYN or SYN-ACK received without a mark.
    pub fn accurate(mut self) -> Start {
        self.accurate = Some(0b010);
        self.settings.ecn = EcnMode::AskAccurate;
        self
    }
    pub fn with(mut self, change: impl FnOnce(&mut Settings)) -> Start {
        change(&mut self.settings);
        self
    }
    pub fn go(self) -> Bench {
        Bench::new(self)
    }
}

/// Both kinds of handshake, to the segment that completes it.
pub(super) fn shake(
    start: &Start,
    syn: &Options,
    began: Instant,
    offer: &Offer,
) -> (Opening, Segment) {
    let window = WireWindow(start.window);
    let segment = |flags, seq, ack, options: Options| Segment {
        header: Header { seq, ack, flags, window, ..Header::default() },
        options,
        payload: Chain::new(),
        ecn: Ecn::NotCapable,
        wire_segments: 1,
    };
    let echo = timestamp_clock(began, OFFSET);
    let (mut handshake, mut last) = if start.active {
        let mut record = Handshake::active(began, ISS, OFFSET, offer);
        if start.lost {
            let late = record.deadline(began);
            let _ = record.handle_deadline(late, &start.settings, &start.limits);
        }
        let mut options = *syn;
        options.timestamps = options.timestamps.map(|stamps| Timestamps { echo, ..stamps });
        let ecn = if start.ecn { Flags::ECE } else { Flags::NONE };
        let ecn = start.accurate.map_or(ecn, crate::open::ace_flags);
        options.accurate_ecn = start.accurate.and(start.accurate_option);
        let answer = segment(Flags::SYN | Flags::ACK | ecn, IRS, ISS + 1, options);
        (record, answer)
    } else {
        let ecn = if start.ecn { Flags::ECE | Flags::CWR } else { Flags::NONE };
        let ecn = if start.accurate.is_some() { crate::open::ace_flags(7) } else { ecn };
        let first = segment(Flags::SYN | ecn, IRS, Seq(0), *syn);
        let limits = &start.limits;
        let record = Handshake::passive(began, &first, ISS, OFFSET, offer, &PATH, limits);
        let value = PEER_CLOCK;
        let timestamps = start.timestamps.then_some(Timestamps { value, echo });
        let accurate_ecn = start.accurate.and(start.accurate_option);
        let options = Options { timestamps, accurate_ecn, ..Options::default() };
        let ecn = start.accurate.map_or(Flags::NONE, crate::open::ace_flags);
        (record, segment(Flags::ACK | ecn, IRS + 1, ISS + 1, options))
    };
    last.ecn = start.mark;
    match handshake.handle_segment(BIRTH, &mut last, &start.settings, &PATH, &start.limits) {
        HandshakeOutcome::Established(opening) => (opening, last),
        other => panic!("{other:?}"),
    }
}
