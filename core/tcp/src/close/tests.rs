use super::*;
use usertcp_base::Ecn;
use usertcp_frame::Chain;
use usertcp_wire::tcp::{Header, Options};

fn record(timestamps: bool) -> TimeWait {
    TimeWait {
        snd_nxt: Seq(1000),
        rcv_nxt: Seq(500),
        window: WireWindow(77),
        timestamps: timestamps.then_some(TimeWaitTimestamps { offset: 3, recent: 40 }),
        last_reply: None,
        dscp: 0,
        hop_limit: 64,
    }
}

fn segment(flags: Flags, seq: u32, value: Option<u32>) -> Segment {
    let header = Header { seq: Seq(seq), flags, ..Header::default() };
    let timestamps = value.map(|value| Timestamps { value, echo: 0 });
    let options = Options { timestamps, ..Options::default() };
    Segment { header, options, payload: Chain::new(), ecn: Ecn::NotCapable, wire_segments: 1 }
}

// proves 1337-1, E-22, 1337-2, AT-20
#[test]
fn resets_change_nothing_and_fins_begin_anew_within_the_throttle() {
    let mut record = record(true);
    let now = Instant::from_millis(5000);
    let reset = record.handle_segment(now, &segment(Flags::RST, 500, Some(41)));
    assert!(matches!(reset, TimeWaitOutcome::Ignored(DropReason::TimeWait)));
    let fin = segment(Flags::FIN | Flags::ACK, 499, Some(41));
    match record.handle_segment(now, &fin) {
        TimeWaitOutcome::Restart(reply) => {
            assert_eq!((reply.header.seq, reply.header.ack), (Seq(1000), Seq(500)));
            assert_eq!(reply.options.timestamps, Some(Timestamps { value: 5003, echo: 40 }));
        }
        other => panic!("{other:?}"),
    }
    let soon = record.handle_segment(now + Span::from_millis(499), &fin);
    assert!(matches!(soon, TimeWaitOutcome::Ignored(DropReason::ChallengeLimited)));
    let later = now + Span::from_millis(500);
    let old_data = record.handle_segment(later, &segment(Flags::ACK, 100, Some(41)));
    assert!(matches!(old_data, TimeWaitOutcome::Reply(_)));
}

// proves 6191-1, 6191-2, MAY-2
#[test]
fn only_a_syn_that_is_surely_new_takes_the_pair_over() {
    let now = Instant::from_millis(5000);
    let table = [
        (true, 0, Some(41), true),
        (true, 0, Some(40), false),
        (true, 500, Some(40), true),
        (true, 9999, Some(39), false),
        (true, 500, None, true),
        (true, 499, None, false),
        (false, 0, Some(1), true),
        (false, 500, None, true),
        (false, 499, None, false),
    ];
    for (used, seq, value, reopens) in table {
        match record(used).handle_segment(now, &segment(Flags::SYN, seq, value)) {
            TimeWaitOutcome::Reopen(above) => {
                assert!(reopens && above == Seq(1000), "{used} {seq} {value:?}");
            }
            TimeWaitOutcome::Ignored(_) => assert!(!reopens, "{used} {seq} {value:?}"),
            other => panic!("{other:?}"),
        }
    }
}

/// Two ends in TIME-WAIT must not answer each other's acknowledgements.
#[test]
fn an_acknowledgement_in_its_place_is_not_answered() {
    let mut record = record(false);
    let now = Instant::from_millis(5000);
    let mut ack = segment(Flags::ACK, 500, None);
    ack.header.ack = record.snd_nxt;
    let outcome = record.handle_segment(now, &ack);
    assert!(matches!(outcome, TimeWaitOutcome::Ignored(DropReason::TimeWait)));
    // Below the place it may be a probe: answered (E-10).
    ack.header.seq = Seq(499);
    assert!(matches!(record.handle_segment(now, &ack), TimeWaitOutcome::Reply(_)));
}

/// The acknowledgement of the usual shape is the one that any record sends, and there is none without timestamps.
#[test]
fn the_usual_acknowledgement_is_any_records() {
    let now = Instant::from_millis(5000);
    let record = record(true);
    let usual = record.usual_acknowledgement(now).unwrap().with_payload(Chain::new()).reply;
    let any = record.acknowledgement(now);
    assert_eq!(usual.header, any.header);
    assert_eq!(usual.options.timestamps, any.options.timestamps);
    assert_eq!((usual.dscp, usual.hop_limit), (any.dscp, any.hop_limit));
    assert!(super::tests::record(false).usual_acknowledgement(now).is_none());
}
