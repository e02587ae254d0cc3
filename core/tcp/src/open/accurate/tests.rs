use crate::open::{AccurateStart, Handshake, HandshakeDeadline, HandshakeOutcome, OptionPath};
use crate::open::{EcnAgreed, Offer, ace_flags, ace_of};
use crate::segment::Segment;
use crate::settings::{EcnMode, EcnOption, Settings};
use crate::tests::bench::PATH;
use std::vec::Vec;
use usertcp_base::{Ecn, Instant, Limits, Seq, WireWindow};
use usertcp_frame::Chain;
use usertcp_wire::tcp::{AccurateEcn, Flags, Header, Options};

const ISS: Seq = Seq(5000);
const PEER: Seq = Seq(u32::MAX - 3);
const SYN_ACK: Flags = Flags::SYN.union(Flags::ACK);
const MARKS: [Ecn; 4] = [Ecn::NotCapable, Ecn::Capable1, Ecn::Capable0, Ecn::CongestionExperienced];
const OPTION: Option<AccurateEcn> = Some(super::INITIAL_OPTION);

fn segment(flags: Flags, code: u8) -> Segment {
    let syn = flags.contains(Flags::SYN);
    let header = Header {
        seq: if syn { PEER } else { PEER + 1 },
        ack: if flags.contains(Flags::ACK) { ISS + 1 } else { Seq(0) },
        flags: flags | ace_flags(code),
        window: WireWindow(1000),
        ..Header::default()
    };
    let options = Options::default();
    Segment { header, options, payload: Chain::new(), ecn: Ecn::NotCapable, wire_segments: 1 }
}

struct Bench {
    now: Instant,
    settings: Settings,
    handshake: Handshake,
}

impl Bench {
    fn offer(mode: EcnMode, option: EcnOption) -> (Settings, Offer) {
        let settings = Settings { ecn: mode, ecn_option: option, ..Settings::default() };
        (settings, Offer::new(&settings, &Limits::default(), &PATH))
    }
    fn asking(mode: EcnMode) -> Bench {
        let now = Instant::from_millis(1000);
        let (settings, offer) = Bench::offer(mode, EcnOption::WhenChanged);
        Bench { now, settings, handshake: Handshake::active(now, ISS, 9, &offer) }
    }
    fn answering_with(mode: EcnMode, option: EcnOption, syn: &Segment) -> Bench {
        let now = Instant::from_millis(1000);
        let (settings, offer) = Bench::offer(mode, option);
        let limits = Limits::default();
        let handshake = Handshake::passive(now, syn, ISS, 9, &offer, &PATH, &limits);
        Bench { now, settings, handshake }
    }
    fn answering(mode: EcnMode, code: u8) -> Bench {
        Bench::answering_with(mode, EcnOption::WhenChanged, &segment(Flags::SYN, code))
    }
    /// Code and option of the SYN or SYN-ACK.
    fn says(&self) -> (u8, Option<AccurateEcn>) {
        let reply = self.handshake.synchronise(self.now, &self.settings);
        assert_eq!(reply.ecn, Ecn::NotCapable, "3168-2");
        (ace_of(reply.header.flags), reply.options.accurate_ecn)
    }
    fn arrive(&mut self, mut segment: Segment) -> HandshakeOutcome {
        let limits = Limits::default();
        self.handshake.handle_segment(self.now, &mut segment, &self.settings, &PATH, &limits)
    }
    fn established(&mut self, segment: Segment) -> EcnAgreed {
        match self.arrive(segment) {
            HandshakeOutcome::Established(opening) => opening.agreed.ecn,
            other => panic!("{other:?}"),
        }
    }
    fn accurate(&mut self, segment: Segment) -> AccurateStart {
        match self.established(segment) {
            EcnAgreed::Accurate(start) => start,
            other => panic!("{other:?}"),
        }
    }
    /// The next retransmission.
    fn time_out(&mut self) -> (u8, bool, Seq) {
        self.now = self.handshake.deadline(self.now);
        match self.handshake.handle_deadline(self.now, &self.settings, &Limits::default()) {
            HandshakeDeadline::Retransmit { reply, .. } => {
                let option = reply.options.accurate_ecn.is_some();
                (ace_of(reply.header.flags), option, reply.header.seq)
            }
            other => panic!("{other:?}"),
        }
    }
}

const MODES: [EcnMode; 6] = [
    EcnMode::Off,
    EcnMode::Accept,
    EcnMode::Ask,
    EcnMode::AcceptAccurate,
    EcnMode::AskClassic,
    EcnMode::AskAccurate,
];

// proves 9768-1, FL-7, FL-8, FL-9
#[test]
fn a_syn_asks_for_what_the_mode_says() {
    let codes = MODES.map(|mode| Bench::asking(mode).says());
    let flags = codes.map(|(code, _)| code);
    assert_eq!(flags, [0, 0, 0b011, 0, 0b011, 0b111]);
    assert!(codes.iter().all(|(_, option)| option.is_none()), "never on a SYN");
}

// proves 9768-2: all eight answers to a SYN that asked for accurate ECN
#[test]
fn an_answer_settles_the_mode() {
    for code in 0..8u8 {
        let mut bench = Bench::asking(EcnMode::AskAccurate);
        let mut answer = segment(SYN_ACK, code);
        answer.ecn = Ecn::Capable1;
        answer.options.accurate_ecn = OPTION;
        let agreed = bench.established(answer);
        match code {
            0b000 | 0b111 => assert_eq!(agreed, EcnAgreed::Off, "{code:03b}"),
            0b001 => assert_eq!(agreed, EcnAgreed::Both),
            _ => {
                let expected = AccurateStart {
                    capable: matches!(code, 0b010 | 0b101),
                    heed: true,
                    marked: code == 0b110,
                    counted: false,
                    syn_ack: Some(Ecn::Capable1),
                    digested: true,
                    option: OptionPath::Usable,
                    send_option: true,
                };
                assert_eq!(agreed, EcnAgreed::Accurate(expected), "{code:03b}");
            }
        }
    }
    // Who asked for classic ECN gets that or nothing.
    for code in 0..8u8 {
        let agreed = Bench::asking(EcnMode::AskClassic).established(segment(SYN_ACK, code));
        let classic = code & 3 == 1;
        assert_eq!(agreed, if classic { EcnAgreed::Both } else { EcnAgreed::Off });
    }
}

// proves 9768-3: eight SYNs, with every pattern of the other reserved bits; the mark of the SYN
#[test]
fn a_syn_is_answered_as_it_asks() {
    for code in 0..8u8 {
        for reserved in 0..8u8 {
            // As octets, since a parsed header has no such bits.
            let mut octets = [0; 20];
            octets[12] = 5 << 4 | reserved << 1 | code >> 2;
            octets[13] = (code & 3) << 6 | 2;
            octets[14] = 9;
            let (header, ..) = usertcp_wire::tcp::parse(&octets, 20).unwrap();
            for mark in MARKS {
                let mut syn = segment(Flags::SYN, 0);
                (syn.header.flags, syn.ecn) = (header.flags, mark);
                syn.options.accurate_ecn = OPTION;
                for mode in [EcnMode::AcceptAccurate, EcnMode::AskClassic, EcnMode::AskAccurate] {
                    let bench = Bench::answering_with(mode, EcnOption::WhenChanged, &syn);
                    let told = match mark {
                        Ecn::NotCapable => 0b010,
                        Ecn::Capable1 => 0b011,
                        Ecn::Capable0 => 0b100,
                        Ecn::CongestionExperienced => 0b110,
                    };
                    let expected = match code {
                        0b000 => (0b000, None),
                        0b011 => (0b001, None),
                        _ => (told, OPTION),
                    };
                    assert_eq!(bench.says(), expected, "{code:03b} {mark:?}");
                    let never = Bench::answering_with(mode, EcnOption::Never, &syn);
                    assert_eq!(never.says(), (expected.0, None));
                }
            }
        }
        // One that knows classic ECN only does not look at AE.
        let classic = Bench::answering(EcnMode::Accept, code).says().0;
        assert_eq!(classic, u8::from(code & 3 == 3));
        assert_eq!(Bench::answering(EcnMode::Off, code).says().0, 0);
    }
}

// proves 9768-3: the third segment, and what its option says
#[test]
fn the_third_segment_settles_a_server() {
    let third = |code, option| {
        let mut third = segment(Flags::ACK, code);
        third.options.accurate_ecn = option;
        Bench::answering(EcnMode::AcceptAccurate, 0b111).accurate(third)
    };
    let good = AccurateStart {
        capable: true,
        heed: true,
        marked: false,
        counted: false,
        syn_ack: None,
        digested: true,
        option: OptionPath::Usable,
        send_option: true,
    };
    assert_eq!(third(0b010, OPTION), good);
    assert_eq!(third(0b010, None), AccurateStart { option: OptionPath::Absent, ..good });
    let zeroed = |counters, count| Some(AccurateEcn { counters, count, ..AccurateEcn::default() });
    for (option, path) in [
        (zeroed([0, 0, 0], 0), OptionPath::Empty),
        (zeroed([7, 0, 0], 1), OptionPath::Usable),
        (zeroed([0, 0, 0], 1), OptionPath::Ignored),
        (zeroed([1, 0, 0], 3), OptionPath::Ignored),
        (zeroed([0, 0, 1], 3), OptionPath::Ignored),
    ] {
        assert_eq!(third(0b010, option), AccurateStart { option: path, ..good });
    }
    assert_eq!(third(0b000, OPTION), AccurateStart { capable: false, heed: false, ..good });
    let marked = AccurateStart { capable: false, marked: true, counted: true, ..good };
    assert_eq!(third(0b110, OPTION), marked);
    // With data its flags are the count.
    let pool = usertcp_frame::FramePool::new(&usertcp_frame::PoolConfig::default());
    let mut data = segment(Flags::ACK, 0b000);
    let mut frame = pool.take(usertcp_frame::Class::Small, 0).unwrap();
    frame.extend(&[1, 2, 3]);
    data.payload.push_back(frame.into_slice());
    let start = Bench::answering(EcnMode::AcceptAccurate, 0b111).accurate(data);
    assert_eq!((start.digested, start.capable, start.heed), (false, true, true));
}

// proves 9768-10
#[test]
fn a_syn_that_is_lost_asks_once_more_and_then_not() {
    let mut bench = Bench::asking(EcnMode::AskAccurate);
    let sent: Vec<_> = (0..4).map(|_| bench.time_out()).collect();
    assert_eq!(sent, [(7, false, ISS), (0, false, ISS), (0, false, ISS), (0, false, ISS)]);
    // The first answer settles the mode, whichever SYN it is for; and a client may go on to send
    // capable data.
    let start = bench.accurate(segment(SYN_ACK, 0b010));
    assert!(start.capable && start.heed);
    let mut bench = Bench::asking(EcnMode::AskAccurate);
    let _ = (bench.time_out(), bench.time_out());
    assert_eq!(bench.established(segment(SYN_ACK, 0)), EcnAgreed::Off);
}

// proves 9768-8, §3.2.3.2.2: SYN-ACKs that are lost
#[test]
fn a_syn_ack_that_is_lost_loses_first_its_option_then_its_flags() {
    let mut bench = Bench::answering(EcnMode::AcceptAccurate, 0b111);
    let sent: Vec<_> =
        (0..3).map(|_| bench.time_out()).map(|(code, option, _)| (code, option)).collect();
    assert_eq!(sent, [(0b010, false), (0, false), (0, false)]);
    // The mode stays. A server that said "none" sends no capable data; nor its option.
    let start = bench.accurate(segment(Flags::ACK, 0b010));
    assert!(!start.capable && start.heed && !start.send_option);
    let mut bench = Bench::answering(EcnMode::AcceptAccurate, 0b111);
    let _ = bench.time_out();
    let start = bench.accurate(segment(Flags::ACK, 0b010));
    assert!(start.capable && !start.send_option);
    // A second SYN may mean the same, but our timer is not that of its answer.
    let mut bench = Bench::answering(EcnMode::AcceptAccurate, 0b111);
    let mut again = segment(Flags::SYN, 0b111);
    again.ecn = Ecn::CongestionExperienced;
    match bench.arrive(again) {
        HandshakeOutcome::Reply(reply) => {
            assert_eq!(ace_of(reply.header.flags), 0b110, "the mark of the latest SYN");
            assert_eq!(reply.options.accurate_ecn, None);
        }
        other => panic!("{other:?}"),
    }
    let sent: Vec<_> = (0..2).map(|_| bench.time_out().0).collect();
    assert_eq!(sent, [0b110, 0]);
    // Unless told to persist.
    let syn = segment(Flags::SYN, 0b111);
    let mut bench = Bench::answering_with(EcnMode::AcceptAccurate, EcnOption::Persist, &syn);
    assert_eq!((bench.time_out().1, bench.time_out().1), (true, true));
}

// proves 9768-3, §3.1.5: a second SYN never changes the mode
#[test]
fn a_second_syn_changes_no_mode() {
    let second = |first, second| {
        let mut bench = Bench::answering(EcnMode::AcceptAccurate, first);
        match bench.arrive(segment(Flags::SYN, second)) {
            HandshakeOutcome::Reply(reply) => Some((ace_of(reply.header.flags), bench)),
            HandshakeOutcome::Reset(reply) => {
                assert_eq!(reply.header.flags, Flags::RST | Flags::ACK);
                assert_eq!((reply.header.seq, reply.header.ack), (ISS + 1, PEER + 1));
                None
            }
            other => panic!("{other:?}"),
        }
    };
    let (code, mut bench) = second(0b111, 0b000).unwrap();
    assert_eq!(code, 0b010, "once more, for the client may not have heard the first");
    let start = bench.accurate(segment(Flags::ACK, 0b010));
    assert!(!start.capable && start.heed);
    let (code, mut bench) = second(0b000, 0b111).unwrap();
    assert_eq!((code, bench.established(segment(Flags::ACK, 0))), (0, EcnAgreed::Off));
    let (code, mut bench) = second(0b011, 0b000).unwrap();
    assert_eq!((code, bench.established(segment(Flags::ACK, 0))), (0, EcnAgreed::EchoOnly));
    assert!(second(0b111, 0b011).is_none() && second(0b011, 0b111).is_none(), "both: reset");
}

// proves 9768-9: each end answers the other's SYN as a server would
#[test]
fn a_simultaneous_open_agrees() {
    for code in 0..8u8 {
        let mut bench = Bench::asking(EcnMode::AskAccurate);
        let mut syn = segment(Flags::SYN, code);
        syn.ecn = Ecn::Capable0;
        let answer = match bench.arrive(syn) {
            HandshakeOutcome::Reply(reply) => ace_of(reply.header.flags),
            other => panic!("{other:?}"),
        };
        let expected = match code {
            0b000 => 0b000,
            0b011 => 0b001,
            _ => 0b100,
        };
        assert_eq!(answer, expected, "{code:03b}");
        let last = if expected == 0b100 { 0b010 } else { expected };
        let agreed = bench.established(segment(SYN_ACK, last));
        match expected {
            0b000 => assert_eq!(agreed, EcnAgreed::Off),
            0b001 => assert_eq!(agreed, EcnAgreed::Both),
            _ => {
                let EcnAgreed::Accurate(start) = agreed else { panic!("{agreed:?}") };
                assert!(start.capable && start.digested);
                assert_eq!(start.syn_ack, None, "the peer is no server that waits for it");
            }
        }
    }
    // Classic was asked for: accurate is nothing it knows.
    let mut bench = Bench::asking(EcnMode::AskClassic);
    let _ = bench.arrive(segment(Flags::SYN, 0b011));
    assert_eq!(bench.established(segment(SYN_ACK, 0b001)), EcnAgreed::Both);
}
