//! Accurate ECN as the wire shows it (RFC 9768).

use super::bench::*;
use crate::*;
use std::vec::Vec;
use usertcp_base::Ecn;
use usertcp_wire::tcp::Flags;

fn figures(bench: &Bench) -> AccurateInfo {
    bench.info().accurate_ecn.expect("accurate ECN")
}

fn aces(out: &[Out]) -> Vec<u8> {
    out.iter().map(Out::ace).collect()
}

/// One window-limited round, all acknowledged and nothing marked.
fn round(bench: &mut Bench) {
    let room = bench.info().congestion_window_octets as usize * 2;
    let _ = bench.put(room);
    let _ = bench.drain();
    let _ = bench.pass(50);
    let unmarked = 1 + bench.sent() as u32;
    let _ = bench.give(bench.peer().counters(&[unmarked, 0, 1]));
}

// proves 9768-4: no mark, five; each mark one more; and it wraps. Whatever is sent says it.
#[test]
fn the_three_bits_count_marked_packets() {
    for active in [false, true] {
        let mut bench = Start { active, ..Start::default() }.accurate().go();
        bench.warm_up();
        assert_eq!(aces(&bench.write(10)), [5]);
        for marks in 1..=20u8 {
            let out = bench.send(bench.peer().data(10).marked());
            let expected = (5 + marks) % 8;
            assert_eq!(aces(&out), [expected], "after an unmarked one, at once");
            assert_eq!(aces(&bench.write(10)), [expected], "data says it too");
            let _ = bench.read(100);
            let _ = bench.send(bench.peer().data(10));
            let _ = bench.pass(100);
            let _ = bench.read(100);
        }
        assert_eq!(figures(&bench).received_marked_packets, 20);
        assert_eq!(bench.info().marks_received, 20);
        // A control packet counts, a super-segment for what it was on the wire.
        let _ = bench.send(bench.peer().marked());
        assert_eq!(figures(&bench).received_marked_packets, 21);
        let _ = bench.send(bench.peer().data(5000).marked().merged_from(5));
        let info = figures(&bench);
        assert_eq!((info.received_marked_packets, info.received_marked_octets), (26, 5200));
        let fin = bench.shutdown();
        assert_eq!(fin[0].ace(), (5 + 26) % 8);
        assert_eq!(bench.abort()[0].ace(), (5 + 26) % 8, "a reset as well");
    }
}

// proves 9768-6
#[test]
fn marks_are_acknowledged_soon() {
    let mut bench = Start::default().accurate().go();
    bench.warm_up();
    // All marked, each far below a full segment: no more than two go unacknowledged.
    let mut acknowledged = 0;
    for _ in 0..40 {
        acknowledged += bench.send(bench.peer().data(10).marked()).len();
    }
    assert_eq!(acknowledged, 20);
    // Changes of mark: a marked one after another is told at once, the way back is not.
    let mut bench = Start::default().accurate().go();
    bench.warm_up();
    for _ in 0..10 {
        assert_eq!(bench.send(bench.peer().data(1).marked()).len(), 1);
        assert_eq!(bench.send(bench.peer().data(1).mark(Ecn::Capable0)).len(), 0);
    }
    // Marked acknowledgements alone: every third is answered, or they would be for ever.
    let mut bench = Start::default().accurate().go();
    bench.warm_up();
    let answers: Vec<usize> = (0..9).map(|_| bench.send(bench.peer().marked()).len()).collect();
    assert_eq!(answers, [0, 0, 1, 0, 0, 1, 0, 0, 1]);
}

// proves 9768-7: octets by mark, initial values, and when they are told
#[test]
fn the_option_tells_octets_by_mark() {
    let mut bench = Start::default().accurate().go();
    assert!(bench.first.is_empty());
    let told = |out: Vec<Out>| out.last().expect("acknowledged").told();
    let all = |e0, ce, e1| Some([Some(e0), Some(ce), Some(e1)]);
    // Nothing was counted: nothing to tell.
    assert_eq!(told(bench.send(bench.peer().data(100))), None);
    assert_eq!(told(bench.send(bench.peer().data(200).mark(Ecn::Capable0))), all(201, 0, 1));
    assert_eq!(told(bench.send(bench.peer().data(50).marked())), all(201, 50, 1));
    assert_eq!(told(bench.send(bench.peer().data(7).mark(Ecn::Capable1))), all(201, 50, 8));
    assert_eq!(told(bench.write(10)), None, "told already");
    // What is refused was no acceptable packet.
    let old = bench.peer_at(0).data(100).mark(Ecn::Capable0);
    assert_eq!(told(bench.send(old)), None);
    // Out of order is acceptable.
    let ahead = bench.peer_at(bench.received() + 500).data(100).mark(Ecn::Capable0);
    assert_eq!(told(bench.send(ahead)), all(301, 50, 8));
    let info = figures(&bench);
    assert_eq!(
        (info.received_capable0_octets, info.received_marked_octets, info.received_capable1_octets),
        (300, 50, 7)
    );
}

// proves 9768-7: two SACK blocks come first, then as many counters as fit; MUST-16
#[test]
fn the_option_yields_to_two_sack_blocks() {
    for (start, fields) in [(Start::sack(), 3), (Start::modern(), 2)] {
        let mut bench = start.accurate().go();
        for hole in 1..=3 {
            let at = hole * 1000;
            let out = bench.send(bench.peer_at(at).data(100).mark(Ecn::Capable0));
            let told = out[0].told().expect("an option");
            assert_eq!(told.iter().flatten().count(), fields);
            assert_eq!(told[0], Some(1 + hole as u32 * 100), "what changed is in it");
            let most = if fields == 3 { 3 } else { 2 };
            assert_eq!(out[0].sack.len(), (hole as usize).min(most));
        }
        // Data makes room for both.
        let _ = bench.give(bench.peer_at(5000).data(100).marked());
        let data = bench.write(4000);
        assert!(data[0].accurate.is_some() && !data[0].sack.is_empty());
        assert_eq!(data[0].len(), 960, "all forty octets are taken, of a thousand");
    }
}

// proves 9768-5, §3.2.2.4
#[test]
fn a_first_count_of_zero_ends_capable_data() {
    for active in [false, true] {
        let mut bench = Start { active, ..Start::default() }.accurate().go();
        let out = bench.write(1000);
        assert_eq!(out[0].ecn, Ecn::Capable0);
        let _ = bench.send(bench.peer().ace(0));
        let out = bench.write(1000);
        assert_eq!(out[0].ecn, Ecn::NotCapable);
        let before = bench.info().congestion_window_octets;
        let _ = bench.send(bench.peer().ace(3));
        assert_eq!(bench.info().mark_reductions, 0, "and what it says is not believed");
        assert!(bench.info().congestion_window_octets >= before);
        // It goes on to tell what it receives.
        let _ = bench.send(bench.peer().data(10).marked());
        assert_eq!(bench.write(1)[0].ace(), 6);
        let info = figures(&bench);
        assert!(!info.capable && !info.heeds);
    }
    // Later a zero is a count like any other.
    let mut bench = Start::default().accurate().go();
    let _ = bench.write(1000);
    let _ = bench.send(bench.peer().ace(5));
    let _ = bench.write(3000);
    let _ = bench.send(bench.peer().ace(0));
    assert_eq!((figures(&bench).delivered_marked_packets, figures(&bench).capable), (3, true));
}

// proves 9768-2, 9768-3, Table 4: what the third segment says
#[test]
fn the_third_segment_tells_how_the_syn_ack_arrived() {
    for code in 0..8u8 {
        let mut bench = Start { accurate: Some(code), ..Start::cubic() };
        bench.settings.ecn = EcnMode::AcceptAccurate;
        let mut bench = bench.go();
        let info = figures(&bench);
        let (capable, heeds, packets) = match code {
            0b000 => (false, false, 0),
            0b011 | 0b100 => (false, true, 0),
            0b110 => (false, true, 1),
            _ => (true, true, 0),
        };
        assert_eq!(
            (info.capable, info.heeds, info.delivered_marked_packets),
            (capable, heeds, packets)
        );
        assert_eq!(bench.info().mark_reductions, u16::from(code == 0b110), "{code:03b}");
        let out = bench.write(10);
        assert_eq!((out[0].ecn == Ecn::Capable0, out[0].ace()), (capable, 5), "{code:03b}");
        // In step from here on.
        let count = if code == 0b110 { 6 } else { 5 };
        let _ = bench.send(bench.peer().ace(count));
        assert_eq!(figures(&bench).delivered_marked_packets, packets);
    }
}

// proves 9768-4: the acknowledgement of the SYN-ACK is pure and tells its mark
#[test]
fn the_client_tells_the_mark_of_the_syn_ack() {
    let marks = [
        (Ecn::NotCapable, 0b010, 5),
        (Ecn::Capable1, 0b011, 5),
        (Ecn::Capable0, 0b100, 5),
        (Ecn::CongestionExperienced, 0b110, 6),
    ];
    for (mark, code, count) in marks {
        let mut bench = Start { active: true, mark, ..Start::modern() }.accurate().go();
        let first = &bench.first;
        assert_eq!((first.len(), first[0].len(), first[0].ace()), (1, 0, code));
        assert_eq!(first[0].told(), Some([Some(1), Some(0), Some(1)]), "and tests the option");
        let out = bench.write(2000);
        assert_eq!(aces(&out), [count, count, count]);
        // The first data has the option, less payload for it, and no other has it.
        assert_eq!(out[0].told(), Some([Some(1), Some(0), Some(1)]));
        assert_eq!((out[0].len(), out[1].len(), out[2].len()), (976, 988, 36));
        assert!(out[1..].iter().all(|out| out.told().is_none()));
        // Lost, it goes without.
        let again = bench.pass(1500);
        assert!(again.iter().any(|out| out.seq == 0));
        assert!(again.iter().all(|out| out.told().is_none() && out.ecn == Ecn::NotCapable));
    }
}

// proves 9768-4: the SYN-ACK again, if our acknowledgement of it was lost
#[test]
fn a_repeated_syn_ack_is_answered_with_its_mark() {
    let mut bench = Start { active: true, ..Start::sack() }.accurate().go();
    let first = Peer { ack: 0, window: 60_000, ..bench.peer_at(-1) };
    let again = |ace, mark| first.clone().flags(Flags::SYN | Flags::ACK).ace(ace).mark(mark);
    let out = bench.send(again(0b010, Ecn::CongestionExperienced));
    assert_eq!(aces(&out), [0b110]);
    assert_eq!(aces(&bench.write(10)), [5], "a SYN is not counted");
    // A stranger's, or one that does not agree, gets the count.
    let _ = bench.pass(2000);
    assert_eq!(aces(&bench.send(again(0b001, Ecn::NotCapable))), [5]);
}

// proves 9768-2: CE on our SYN or SYN-ACK
#[test]
fn a_mark_on_the_syn_is_answered_once() {
    let start = Start { active: true, accurate: Some(0b110), ..Start::cubic() };
    let mut start = start;
    start.settings.ecn = EcnMode::AskAccurate;
    let plain = Start { active: true, ..Start::cubic() }.accurate().go();
    let mut bench = start.go();
    assert_eq!(bench.info().mark_reductions, 1);
    assert!(bench.info().congestion_window_octets < plain.info().congestion_window_octets);
    // It was Not-ECT: who marks that cannot be trusted with ours. The counter has not moved.
    assert_eq!(bench.write(10)[0].ecn, Ecn::NotCapable);
    let _ = bench.send(bench.peer().ace(5));
    assert_eq!((figures(&bench).delivered_marked_packets, bench.info().mark_reductions), (0, 1));
}

// proves 3168-4 for accurate feedback: one reduction per round, no CWR
#[test]
fn many_marks_in_a_round_reduce_once_and_nobody_says_cwr() {
    let mut bench = Start { ..Start::cubic() }.accurate().go();
    for _ in 0..3 {
        round(&mut bench);
    }
    let _ = bench.put(40_000);
    let mut out = bench.drain();
    let _ = bench.pass(50);
    let (una, before) = (bench.una(), bench.info().congestion_window_octets);
    for n in 1..=8u8 {
        let ack = bench.peer_acks(una + i64::from(n) * 1000).ace((5 + n) % 8);
        out.extend(bench.send(ack));
    }
    let info = bench.info();
    assert_eq!((info.mark_reductions, figures(&bench).delivered_marked_packets), (1, 8));
    let share = info.congestion_window_octets * 100 / before;
    assert!((50..=86).contains(&share), "{share} % of {before}");
    assert!(out.iter().all(|out| out.ace() == 5), "the bits are ours to count with");
    // The next round is another.
    let _ = bench.send(bench.peer().ace(5));
    let _ = bench.write(5000);
    let _ = bench.pass(50);
    let _ = bench.send(bench.peer().ace(6));
    assert_eq!(bench.info().mark_reductions, 2);
    assert_eq!(bench.info().retransmissions, 0);
}

// proves 9768-4: what a later acknowledgement has overtaken is not read
#[test]
fn overtaken_acknowledgements_say_nothing() {
    let mut bench = Start::sack().accurate().go();
    let _ = bench.write(5000);
    let _ = bench.send(bench.peer_acks(2000).ace(6));
    let _ = bench.send(bench.peer_acks(1000).ace(5));
    let _ = bench.send(bench.peer_acks(2000).ace(4));
    assert_eq!(figures(&bench).delivered_marked_packets, 1);
    let _ = bench.send(bench.peer_acks(5000).ace(7));
    assert_eq!(figures(&bench).delivered_marked_packets, 2);
    // With timestamps a newer one without news of data counts: a control packet was marked.
    let mut bench = Start::modern().accurate().go();
    let _ = bench.write(500);
    let _ = bench.pass(10);
    let _ = bench.send(bench.peer().ace(5));
    let _ = bench.send(bench.peer().ace(6));
    assert_eq!(figures(&bench).delivered_marked_packets, 0, "of the same age");
    let _ = bench.pass(10);
    let _ = bench.send(bench.peer().ace(6));
    assert_eq!(figures(&bench).delivered_marked_packets, 1);
}

// proves 9768-8, §3.2.3.2.3 and .4
#[test]
fn without_the_option_the_count_is_read_with_care() {
    let absent = Start { accurate_option: None, ..Start::sack() }.accurate();
    let zeroed = Start {
        accurate_option: Some(usertcp_wire::tcp::AccurateEcn { counters: [0, 0, 1], ..INITIAL }),
        ..Start::sack()
    };
    for (start, path) in [(absent, OptionPath::Absent), (zeroed.accurate(), OptionPath::Ignored)] {
        for active in [false, true] {
            let mut bench = Start { active, ..start.clone() }.go();
            assert_eq!(figures(&bench).option, path);
            // Ten segments at once, a step of two: ACE may have cycled, so ten. Nine: two.
            let _ = bench.write(9000);
            let _ = bench.send(bench.peer().ace(7));
            assert_eq!(figures(&bench).delivered_marked_packets, 2);
            let _ = bench.write(10_000);
            let _ = bench.send(bench.peer().ace(1));
            assert_eq!(figures(&bench).delivered_marked_packets, 12);
            // The option comes after all: used if it was only absent.
            let _ = bench.write(1000);
            let _ = bench.send(bench.peer().ace(1).counters(&[8001, 12_000, 1]));
            let seen = if path == OptionPath::Absent { OptionPath::Usable } else { path };
            assert_eq!(figures(&bench).option, seen);
            let marked = figures(&bench).delivered_marked_octets;
            assert_eq!(marked, if path == OptionPath::Absent { 12_000 } else { 0 });
        }
    }
}

// proves 9768-7, AT-43: the sender's counters follow the option
#[test]
fn the_option_says_how_much_was_marked() {
    let mut bench = Start::sack().accurate().go();
    let _ = bench.write(10_000);
    // A step of two over ten segments, and two thousand octets: two it is.
    let _ = bench.send(bench.peer().ace(7).counters(&[8001, 2000, 1]));
    let info = figures(&bench);
    assert_eq!((info.delivered_marked_packets, info.delivered_marked_octets), (2, 2000));
    assert_eq!(info.delivered_capable0_octets, 8000);
    // No step over ten segments, but eight thousand octets: it has cycled.
    let _ = bench.write(10_000);
    let _ = bench.send(bench.peer().ace(7).counters(&[10_001, 10_000, 1]));
    assert_eq!(figures(&bench).delivered_marked_packets, 10);
    assert!(figures(&bench).capable);
    // Fields may be left out.
    let _ = bench.write(1000);
    let _ = bench.send(bench.peer().ace(7).counters(&[11_001]));
    assert_eq!(figures(&bench).delivered_capable0_octets, 11_000);
}

// proves AT-43, §3.2.3.2.5: marked octets and no marked packet
#[test]
fn a_contradiction_ends_capable_data() {
    let mut bench = Start::sack().accurate().go();
    let _ = bench.write(3000);
    let _ = bench.send(bench.peer().ace(5).counters(&[2001, 1000, 1]));
    assert!(!figures(&bench).capable && figures(&bench).heeds);
    assert_eq!(bench.write(1000)[0].ecn, Ecn::NotCapable);
    // Not when it may have been eight small ones.
    let mut bench = Start::sack().with(|settings| settings.no_delay = true).accurate().go();
    for _ in 0..8 {
        let _ = bench.write(10);
    }
    let _ = bench.send(bench.peer().ace(5).counters(&[1, 80, 1]));
    assert!(figures(&bench).capable);
}

// proves §3.2.2.3: everything marked from the start on is no congestion
#[test]
fn a_marker_gone_mad_is_not_believed() {
    let mut bench = Start { ..Start::cubic() }.accurate().go();
    let mut ace = 5u32;
    let mut rounds = 0;
    while figures(&bench).heeds {
        let _ = bench.put(30_000);
        let mut out = bench.drain();
        out.extend(bench.pass(50));
        let segments = (bench.sent() - bench.una() + 999) / 1000;
        ace += segments as u32;
        let marked = figures(&bench).delivered_marked_octets + (bench.sent() - bench.una()) as u32;
        let _ = bench.give(bench.peer().ace((ace % 8) as u8).counters(&[1, marked, 1]));
        rounds += 1;
        assert!(rounds < 10);
    }
    assert_eq!(rounds, 5);
    let _ = bench.pass(3000);
    assert!(bench.write(1000).iter().all(|out| out.ecn == Ecn::NotCapable));
}

// proves 9768-4: a device that cuts would leave CWR on the first piece only
#[test]
fn a_count_with_the_cwr_bit_leaves_in_single_segments() {
    let start = Start { super_segments: true, ..Start::sack() };
    let mut bench = start.accurate().go();
    bench.room = 60_000;
    for marks in 0..16u8 {
        let out = bench.write(10_000);
        let ace = (5 + marks) % 8;
        assert!(out.iter().all(|out| out.ace() == ace));
        let whole = out.iter().any(|out| out.gso.is_some());
        assert_eq!(whole, ace & 2 == 0, "{ace:03b}");
        let _ = bench.send(bench.peer());
        let _ = bench.send(bench.peer().data(100).marked());
        let _ = bench.read(1000);
    }
}

// proves 9768-8: the settings of our option
#[test]
fn the_option_is_sent_as_the_settings_say() {
    let count = |option| {
        let mut bench = Start::default().with(|settings| settings.ecn_option = option);
        bench.active = true;
        let mut bench = bench.accurate().go();
        let first = bench.first[0].told().is_some();
        let mut told = Vec::new();
        for (mark, octets) in
            [(Ecn::Capable0, 10), (Ecn::Capable0, 1000), (Ecn::CongestionExperienced, 10)]
        {
            let out = bench.send(bench.peer().data(octets).mark(mark));
            told.push(out.last().is_some_and(|out| out.told().is_some()));
            let _ = bench.read(2000);
        }
        (first, told)
    };
    assert_eq!(count(EcnOption::Never), (false, std::vec![false; 3]));
    assert_eq!(count(EcnOption::WhenChanged), (true, std::vec![true; 3]));
    assert_eq!(count(EcnOption::Persist), (true, std::vec![true; 3]));
    assert_eq!(count(EcnOption::Least), (true, std::vec![true, false, true]));
}

// proves 9768-8: what was acknowledged with the option comes again, and again
#[test]
fn acknowledgements_that_are_lost_lose_their_option() {
    for option in [EcnOption::WhenChanged, EcnOption::Persist] {
        let mut bench = Start::default().with(|settings| settings.ecn_option = option);
        bench.settings.ecn = EcnMode::AcceptAccurate;
        bench.accurate = Some(0b010);
        let mut bench = bench.go();
        for _ in 0..4 {
            let from = bench.received();
            let out = bench.send(bench.peer().data(1000).mark(Ecn::Capable0));
            let _ = bench.read(2000);
            let again = bench.send(bench.peer_at(from).data(1000));
            assert_eq!((out.len(), again.len()), (1, 1));
        }
        let withdrawn = option == EcnOption::WhenChanged;
        assert!(figures(&bench).option_withdrawn);
        let out = bench.send(bench.peer().data(10).mark(Ecn::Capable0));
        assert_eq!(out[0].told().is_none(), withdrawn, "{option:?}");
    }
}
