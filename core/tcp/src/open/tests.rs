mod fast_open;

use super::*;
use crate::predicted::UsualSegment;
use crate::segment::Segment;
use crate::settings::{EcnMode, Settings};
use crate::tests::bench::PATH;
use alloc::format;
use usertcp_base::{DropReason, Ecn, Instant, Limits, Scale, Seq, Span, WireWindow};
use usertcp_frame::Chain;
use usertcp_wire::tcp::{Flags, Header, Options, Timestamps};

const ISS: Seq = Seq(5000);
const PEER: Seq = Seq(u32::MAX - 3);

fn segment(flags: Flags, seq: Seq, ack: Seq) -> Segment {
    let header = Header {
        source_port: 0,
        destination_port: 0,
        seq,
        ack,
        flags,
        window: WireWindow(1000),
        urgent: 0,
    };
    let options = Options::default();
    Segment { header, options, payload: Chain::new(), ecn: Ecn::NotCapable, wire_segments: 1 }
}

fn syn() -> Segment {
    let mut syn = segment(Flags::SYN, PEER, Seq(0));
    syn.options.mss = Some(1400);
    syn.options.scale = Some(255);
    syn.options.sack_permitted = true;
    syn.options.timestamps = Some(Timestamps { value: 77, echo: 0 });
    syn
}

struct Bench {
    now: Instant,
    settings: Settings,
    limits: Limits,
    handshake: Handshake,
}

impl Bench {
    fn new(active: bool) -> Bench {
        let (settings, limits) = (Settings::default(), Limits::default());
        let now = Instant::from_millis(1000);
        let offer = Offer::new(&settings, &limits, &PATH);
        let handshake = if active {
            Handshake::active(now, ISS, 9, &offer)
        } else {
            Handshake::passive(now, &syn(), ISS, 9, &offer, &PATH, &limits)
        };
        Bench { now, settings, limits, handshake }
    }
    fn arrive(&mut self, mut segment: Segment) -> HandshakeOutcome {
        let (settings, limits) = (&self.settings, &self.limits);
        self.handshake.handle_segment(self.now, &mut segment, settings, &PATH, limits)
    }
    fn with_timestamp(&mut self, mut segment: Segment) -> HandshakeOutcome {
        segment.options.timestamps = Some(Timestamps { value: 78, echo: 1009 });
        self.arrive(segment)
    }
}

// proves MUST-14, MUST-67, 7323-1, 7323-2, 2018-1, 7323-9
#[test]
fn a_syn_offers_everything_and_a_syn_ack_only_what_was_offered() {
    let bench = Bench::new(true);
    let syn_out = bench.handshake.synchronise(bench.now, &bench.settings);
    assert_eq!(syn_out.header.flags, Flags::SYN);
    assert_eq!((syn_out.header.seq, syn_out.header.ack), (ISS, Seq(0)));
    assert_eq!(syn_out.options.mss, Some(1460));
    assert_eq!(syn_out.options.scale, Some(7));
    assert!(syn_out.options.sack_permitted);
    assert_eq!(syn_out.options.timestamps, Some(Timestamps { value: 1009, echo: 0 }));

    let mut plain = syn();
    plain.options = Options::default();
    let offer = Offer::new(&bench.settings, &bench.limits, &PATH);
    let limits = &bench.limits;
    let answer = Handshake::passive(bench.now, &plain, ISS, 9, &offer, &PATH, limits)
        .synchronise(bench.now, &bench.settings);
    assert_eq!(answer.header.flags, Flags::SYN | Flags::ACK);
    assert_eq!(answer.header.ack, PEER + 1);
    assert_eq!(answer.options, Options { mss: Some(1460), ..Options::default() });
}

// proves 7323-3, MUST-15, AT-17
#[test]
fn what_is_agreed_has_floors_ceilings_and_defaults() {
    let mut bench = Bench::new(false);
    let HandshakeOutcome::Established(opening) =
        bench.with_timestamp(segment(Flags::ACK, PEER + 1, ISS + 1))
    else {
        panic!()
    };
    assert_eq!(opening.agreed.send_scale, Scale::MAX);
    assert_eq!(opening.agreed.peer_mss_octets, 1400);
    assert_eq!(opening.rtt, Some(Span::ZERO));
    assert!(!opening.lost && !opening.active && !opening.owes_ack);
    let table = [(None, 536), (Some(0), 216), (Some(48), 216), (Some(65535), 65535)];
    for (announced, honoured) in table {
        let options = Options { mss: announced, ..Options::default() };
        assert_eq!(negotiate::peer_mss(&options, &PATH, &bench.limits), honoured);
    }
}

// proves E-6, E-7, E-8, E-23
#[test]
fn arrivals_in_syn_sent() {
    let ignored = |outcome: HandshakeOutcome, reason| match outcome {
        HandshakeOutcome::Ignored(found) => assert_eq!(found, reason),
        other => panic!("{other:?}"),
    };
    for wrong in [ISS, ISS + 2, ISS - 1] {
        let mut bench = Bench::new(true);
        match bench.arrive(segment(Flags::SYN | Flags::ACK, PEER, wrong)) {
            HandshakeOutcome::Reply(reply) => {
                assert_eq!((reply.header.flags, reply.header.seq), (Flags::RST, wrong));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(bench.handshake.phase(), HandshakePhase::SynSent);
        let reset = segment(Flags::RST | Flags::ACK, PEER, wrong);
        ignored(bench.arrive(reset), DropReason::HandshakeAck);
    }
    let mut bench = Bench::new(true);
    let unexpected = DropReason::HandshakeUnexpected;
    ignored(bench.arrive(segment(Flags::RST, PEER, Seq(0))), unexpected);
    ignored(bench.arrive(segment(Flags::ACK, PEER, ISS + 1)), unexpected);
    ignored(bench.arrive(segment(Flags::FIN | Flags::ACK, PEER, ISS + 1)), unexpected);
    ignored(bench.arrive(segment(Flags::SYN | Flags::FIN, PEER, Seq(0))), unexpected);
    let refused = bench.arrive(segment(Flags::RST | Flags::ACK, PEER, ISS + 1));
    assert!(matches!(refused, HandshakeOutcome::Refused));
}

// proves MUST-10, MUST-11, AT-38
#[test]
fn simultaneous_open_completes_once_by_its_own_rules() {
    let mut bench = Bench::new(true);
    match bench.arrive(syn()) {
        HandshakeOutcome::Reply(reply) => {
            assert_eq!(reply.header.flags, Flags::SYN | Flags::ACK);
            assert_eq!((reply.header.seq, reply.header.ack), (ISS, PEER + 1));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(bench.handshake.phase(), HandshakePhase::SynReceived);
    assert!(bench.handshake.is_active(), "the role does not change");
    let mut both = segment(Flags::SYN | Flags::ACK, PEER, ISS + 1);
    both.options.timestamps = Some(Timestamps { value: 78, echo: 1009 });
    match bench.arrive(both) {
        HandshakeOutcome::Established(opening) => assert!(opening.active && opening.owes_ack),
        other => panic!("{other:?}"),
    }
    // A reset now refuses an active open and only forgets a passive one.
    let reset = || segment(Flags::RST, PEER + 1, Seq(0));
    assert!(matches!(bench.arrive(reset()), HandshakeOutcome::Refused));
    assert!(matches!(Bench::new(false).arrive(reset()), HandshakeOutcome::Forgotten));
}

// proves E-15, E-16, E-17, 5961-2, 5961-3, 5961-4, 7323-8
#[test]
fn arrivals_in_syn_received() {
    let challenge = |outcome: HandshakeOutcome, reason| match outcome {
        HandshakeOutcome::Challenge(reply, found) => {
            assert_eq!(found, reason);
            assert_eq!((reply.header.seq, reply.header.ack), (ISS + 1, PEER + 1));
        }
        other => panic!("{other:?}"),
    };
    let mut bench = Bench::new(false);
    let again = bench.arrive(syn());
    assert!(
        matches!(again, HandshakeOutcome::Reply(reply) if reply.header.flags.contains(Flags::SYN))
    );
    let mut other = syn();
    other.header.seq = PEER + 5;
    challenge(bench.arrive(other), DropReason::SynChallenged);
    let reset = segment(Flags::RST, PEER + 2, Seq(0));
    challenge(bench.arrive(reset), DropReason::ResetChallenged);
    let far = bench.arrive(segment(Flags::RST, PEER + 100_000, Seq(0)));
    assert!(matches!(far, HandshakeOutcome::Ignored(DropReason::ResetOutOfWindow)));
    let bare = bench.with_timestamp(segment(Flags::PSH, PEER + 1, Seq(0)));
    assert!(matches!(bare, HandshakeOutcome::Ignored(DropReason::AckMissing)));
    let missing = bench.arrive(segment(Flags::ACK, PEER + 1, ISS + 1));
    assert!(matches!(missing, HandshakeOutcome::Ignored(DropReason::TimestampMissing)));
    match bench.with_timestamp(segment(Flags::ACK, PEER + 1, ISS + 7)) {
        HandshakeOutcome::Reply(reply) => {
            assert_eq!((reply.header.flags, reply.header.seq), (Flags::RST, ISS + 7));
        }
        other => panic!("{other:?}"),
    }
    let good = bench.with_timestamp(segment(Flags::ACK, PEER + 1, ISS + 1));
    assert!(matches!(good, HandshakeOutcome::Established(_)));
}

/// The short way takes what it takes as the long one does, and leaves the rest untouched for it.
#[test]
fn the_usual_last_acknowledgement_is_taken_as_any_segment_is() {
    let mut taken = 0;
    for (active, ecn, seq, ack, value, flags) in deviations() {
        let mut short = Bench::new(active);
        if ecn {
            let mut syn = syn();
            syn.header.flags = Flags::SYN | Flags::ECE | Flags::CWR;
            let offer = Offer::new(&short.settings, &short.limits, &PATH);
            let (now, limits) = (short.now, &short.limits);
            short.handshake = Handshake::passive(now, &syn, ISS, 9, &offer, &PATH, limits);
        }
        let mut long = Bench { handshake: short.handshake, ..Bench::new(active) };
        let before = format!("{:?}", short.handshake);
        let mut segment = segment(flags, PEER + seq, ISS + ack);
        segment.options.timestamps = Some(Timestamps { value, echo: 1009 });
        let usual = UsualSegment::of(&segment).expect("of the usual shape");
        match short.handshake.handle_usual(&usual) {
            Some(shaken) => {
                taken += 1;
                let opening = shaken.opening(short.now);
                let HandshakeOutcome::Established(other) = long.arrive(segment) else { panic!() };
                assert_eq!(format!("{opening:?}"), format!("{other:?}"));
                assert_eq!(format!("{:?}", short.handshake), format!("{:?}", long.handshake));
            }
            None => assert_eq!(format!("{:?}", short.handshake), before),
        }
    }
    // A passive record without ECN, the next segment, not older: with or without PSH and FIN.
    assert_eq!(taken, 8);
}

type Deviation = (bool, bool, u32, u32, u32, Flags);

fn deviations() -> impl Iterator<Item = Deviation> {
    let flags = [
        Flags::ACK,
        Flags::ACK | Flags::PSH,
        Flags::ACK | Flags::FIN,
        Flags::ACK | Flags::PSH | Flags::FIN,
    ];
    let numbers = [(1, 1), (0, 1), (2, 1), (1, 0), (1, 2)];
    [(false, false), (false, true), (true, false)].into_iter().flat_map(move |(active, ecn)| {
        numbers.into_iter().flat_map(move |(seq, ack)| {
            [76, 77, 78].into_iter().flat_map(move |value| {
                flags.into_iter().map(move |flags| (active, ecn, seq, ack, value, flags))
            })
        })
    })
}

// proves MUST-22, MUST-23, 6298-1, 6298-9
#[test]
fn an_active_open_doubles_its_gaps_and_lasts_three_minutes() {
    let mut bench = Bench::new(true);
    let start = bench.now;
    let mut times = alloc::vec![];
    let end = loop {
        bench.now = bench.handshake.deadline(bench.now);
        match bench.handshake.handle_deadline(bench.now, &bench.settings, &bench.limits) {
            HandshakeDeadline::Retransmit { reply, suspect } => {
                assert_eq!(reply.header.flags, Flags::SYN);
                times.push((bench.now.since(start).as_millis() / 1000, suspect));
            }
            HandshakeDeadline::TimedOut => break bench.now.since(start),
            HandshakeDeadline::NotYet => panic!(),
        }
    };
    let expected = [(1, false), (3, false), (7, true), (15, true), (31, true), (63, true)];
    assert_eq!(times[..6], expected);
    assert!(end >= Span::from_secs(180), "{end:?}");
}

// proves MUST-23: the application may wait for hours
#[test]
fn an_active_open_lasts_as_long_as_was_asked() {
    for secs in [1, 3, 60, 180, 3600, 4 * 3600] {
        let mut bench = Bench::new(true);
        bench.settings.open_timeout = Span::from_secs(secs);
        let start = bench.now;
        loop {
            bench.now = bench.handshake.deadline(bench.now);
            let (settings, limits) = (&bench.settings, &bench.limits);
            match bench.handshake.handle_deadline(bench.now, settings, limits) {
                HandshakeDeadline::Retransmit { .. } => {}
                HandshakeDeadline::TimedOut => break,
                HandshakeDeadline::NotYet => panic!(),
            }
        }
        let took = bench.now.since(start);
        let least = Span::from_secs(secs);
        let most = Span::from_secs(2 * secs).min(Span::from_secs(secs + 120));
        assert!(took >= least && took <= most, "{secs} {took:?}");
    }
}

// proves BG-4
#[test]
fn a_passive_open_gives_up_after_its_retries() {
    let mut bench = Bench::new(false);
    let mut sent = 0;
    loop {
        bench.now = bench.handshake.deadline(bench.now);
        match bench.handshake.handle_deadline(bench.now, &bench.settings, &bench.limits) {
            HandshakeDeadline::Retransmit { .. } => sent += 1,
            HandshakeDeadline::TimedOut => break,
            HandshakeDeadline::NotYet => panic!(),
        }
    }
    assert_eq!(sent, bench.limits.syn_ack_retries);
}

// proves 6928-2, 6298-6
#[test]
fn the_echo_tells_whether_a_repeated_syn_was_needed() {
    let retried = |echo: Option<u32>| {
        let mut bench = Bench::new(true);
        bench.now = bench.handshake.deadline(bench.now);
        let _ = bench.handshake.handle_deadline(bench.now, &bench.settings, &bench.limits);
        bench.now = bench.now + Span::from_millis(30);
        let mut answer = segment(Flags::SYN | Flags::ACK, PEER, ISS + 1);
        answer.options.timestamps = echo.map(|echo| Timestamps { value: 5, echo });
        match bench.arrive(answer) {
            HandshakeOutcome::Established(opening) => (opening.rtt, opening.lost),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(retried(None), (None, true));
    assert_eq!(retried(Some(1009)), (Some(Span::from_millis(1030)), false));
    assert_eq!(retried(Some(2009)), (Some(Span::from_millis(30)), true));
}

const MODES: [EcnMode; 3] = [EcnMode::Off, EcnMode::Accept, EcnMode::Ask];

/// The four combinations of the two flags.
fn ecn_flags() -> [Flags; 4] {
    [Flags::NONE, Flags::ECE, Flags::CWR, Flags::ECE | Flags::CWR]
}

fn ecn_offer(mode: EcnMode) -> Offer {
    let settings = Settings { ecn: mode, ..Settings::default() };
    Offer::new(&settings, &Limits::default(), &PATH)
}

fn established(outcome: HandshakeOutcome) -> EcnAgreed {
    match outcome {
        HandshakeOutcome::Established(opening) => opening.agreed.ecn,
        other => panic!("{other:?}"),
    }
}

/// A passive open by a SYN with `flags`.
fn answering(mode: EcnMode, flags: Flags) -> Bench {
    let mut bench = Bench::new(false);
    let mut syn = syn();
    syn.header.flags = Flags::SYN | flags;
    let limits = &bench.limits;
    bench.handshake = Handshake::passive(bench.now, &syn, ISS, 9, &ecn_offer(mode), &PATH, limits);
    bench
}

/// An active open.
fn asking(mode: EcnMode) -> Bench {
    let mut bench = Bench::new(true);
    bench.handshake = Handshake::active(bench.now, ISS, 9, &ecn_offer(mode));
    bench
}

// proves 3168-1, 8311-1
#[test]
fn a_syn_sets_up_ecn_with_both_flags_and_nothing_else() {
    for mode in MODES {
        for flags in ecn_flags() {
            // AE is not looked at.
            for more in [Flags::NONE, Flags::AE] {
                let mut bench = answering(mode, flags | more);
                let agreed = mode != EcnMode::Off && flags == Flags::ECE | Flags::CWR;
                let reply = bench.handshake.synchronise(bench.now, &bench.settings);
                let ecn = if agreed { Flags::ECE } else { Flags::NONE };
                assert_eq!(reply.header.flags, Flags::SYN | Flags::ACK | ecn, "{mode:?} {flags:?}");
                assert_eq!(reply.ecn, Ecn::NotCapable, "3168-2");
                let done = bench.with_timestamp(segment(Flags::ACK, PEER + 1, ISS + 1));
                let expected = if agreed { EcnAgreed::Both } else { EcnAgreed::Off };
                assert_eq!(established(done), expected);
            }
        }
    }
}

// proves 3168-1, 8311-1
#[test]
fn a_syn_ack_sets_up_ecn_with_ece_alone_and_only_when_asked() {
    for mode in MODES {
        let asked = mode == EcnMode::Ask;
        for flags in ecn_flags() {
            for more in [Flags::NONE, Flags::AE] {
                let mut bench = asking(mode);
                let out = bench.handshake.synchronise(bench.now, &bench.settings);
                let ecn = if asked { Flags::ECE | Flags::CWR } else { Flags::NONE };
                assert_eq!(out.header.flags, Flags::SYN | ecn);
                assert_eq!(out.ecn, Ecn::NotCapable, "3168-2");
                let answer = Flags::SYN | Flags::ACK | flags | more;
                let done = bench.arrive(segment(answer, PEER, ISS + 1));
                let agreed = asked && flags == Flags::ECE;
                let expected = if agreed { EcnAgreed::Both } else { EcnAgreed::Off };
                assert_eq!(established(done), expected, "{mode:?} {flags:?}");
            }
        }
    }
}

// proves 3168-6
#[test]
fn a_syn_that_is_lost_twice_asks_no_more() {
    let mut bench = asking(EcnMode::Ask);
    let mut flags = alloc::vec![];
    for _ in 0..4 {
        bench.now = bench.handshake.deadline(bench.now);
        match bench.handshake.handle_deadline(bench.now, &bench.settings, &bench.limits) {
            HandshakeDeadline::Retransmit { reply, .. } => flags.push(reply.header.flags),
            other => panic!("{other:?}"),
        }
    }
    let asks = Flags::SYN | Flags::ECE | Flags::CWR;
    assert_eq!(flags, [asks, Flags::SYN, Flags::SYN, Flags::SYN]);
    // The answer may be to the first one: its marks are echoed, our data asks for none.
    let late = bench.arrive(segment(Flags::SYN | Flags::ACK | Flags::ECE, PEER, ISS + 1));
    assert_eq!(established(late), EcnAgreed::EchoOnly);
}

// proves 3168-1, 3168-6: the peer takes its offer back, or makes it too late
#[test]
fn a_repeated_syn_may_end_ecn_and_never_begins_it() {
    let both = Flags::ECE | Flags::CWR;
    for (first, second) in [(both, Flags::NONE), (Flags::NONE, both)] {
        let mut bench = answering(EcnMode::Accept, first);
        let mut again = syn();
        again.header.flags = Flags::SYN | second;
        match bench.arrive(again) {
            HandshakeOutcome::Reply(reply) => {
                assert_eq!(reply.header.flags, Flags::SYN | Flags::ACK);
            }
            other => panic!("{other:?}"),
        }
        let done = bench.with_timestamp(segment(Flags::ACK, PEER + 1, ISS + 1));
        assert_eq!(established(done), EcnAgreed::Off);
    }
}

// proves 3168-1: both SYNs ask
#[test]
fn a_simultaneous_open_agrees_when_both_ask() {
    for flags in ecn_flags() {
        let mut bench = asking(EcnMode::Ask);
        let mut theirs = syn();
        theirs.header.flags = Flags::SYN | flags;
        let agreed = flags == Flags::ECE | Flags::CWR;
        let ecn = if agreed { Flags::ECE } else { Flags::NONE };
        match bench.arrive(theirs) {
            HandshakeOutcome::Reply(reply) => {
                assert_eq!(reply.header.flags, Flags::SYN | Flags::ACK | ecn);
            }
            other => panic!("{other:?}"),
        }
        let done = bench.with_timestamp(segment(Flags::SYN | Flags::ACK | ecn, PEER, ISS + 1));
        let expected = if agreed { EcnAgreed::Both } else { EcnAgreed::Off };
        assert_eq!(established(done), expected, "{flags:?}");
    }
}

// A window is told in units of the scale: a buffer of less than two, of which half is offered where payload is dear, would
// be told as nothing.
#[test]
fn a_buffer_begins_with_two_units_of_its_scale() {
    for (start, largest, window_scaling, wanted) in [
        (2 << 10, 1 << 30, true, 32 << 10),
        (2 << 10, 1 << 30, false, 2 << 10),
        (2 << 10, 65_535, true, 2 << 10),
        (3, 6 << 20, true, 256),
        (128 << 10, 6 << 20, true, 128 << 10),
    ] {
        let limits = Limits {
            receive_buffer_start_octets: start,
            receive_buffer_octets: largest,
            ..Limits::default()
        };
        let settings = Settings { window_scaling, ..Settings::default() };
        assert_eq!(settings.receive_start_octets(&limits), wanted, "{start} of {largest}");
        let offer = Offer::new(&settings, &limits, &PATH);
        assert_eq!(u32::from(offer.window_octets), wanted.min(65_535));
        assert!(offer.scale.octets(offer.scale.field(wanted / 2)) > 0, "{start} of {largest}");
    }
}
