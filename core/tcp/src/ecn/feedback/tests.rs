use super::*;

fn reading(packets: u8, octets: Option<u32>) -> Reading {
    Reading { packets, octets, untold_octets: 0, newer: false, thinned: false, heed: true }
}

fn packets(packets: u8, octets: Option<u32>, segments: u32) -> u32 {
    MarkReport::Accurate(reading(packets, octets)).resolve(segments * 1460, 1460).packets
}

// proves 9768-4, §3.2.2.5.2: the examples of A.2.1
#[test]
fn the_safest_likely_case_without_the_option() {
    assert_eq!(packets(2, None, 9), 2);
    assert_eq!(packets(2, None, 10), 10);
    for step in 0..8 {
        for segments in 1..64 {
            let found = packets(step, None, segments);
            assert_eq!(found % 8, u32::from(step), "ACE went on by that much");
            let least = u32::from(step);
            assert!(found == least || found <= segments, "no more than there were");
            assert!(found + 8 > segments || found == least && segments < 8);
        }
    }
    // Where acknowledgements are always stretched a jump shows nothing.
    let thinned = Reading { thinned: true, ..reading(2, None) };
    assert_eq!(MarkReport::Accurate(thinned).resolve(40 * 1460, 1460).packets, 2);
}

// proves 9768-7: the examples of A.2.2
#[test]
fn the_option_tells_whether_the_count_cycled() {
    assert_eq!(packets(0, Some(1460), 8), 8);
    assert_eq!(packets(2, Some(1460), 10), 2);
    assert_eq!(packets(7, Some(10_200), 15), 7);
    assert_eq!(packets(1, Some(0), 1), 1, "a control packet was marked");
    assert_eq!(packets(0, Some(0), 40), 0);
    assert_eq!(packets(0, Some(40 * 1460), 40), 40);
}

// proves AT-43
#[test]
fn no_more_octets_are_believed_than_were_delivered() {
    let resolve = |untold_octets, octets, delivered| {
        let claim = Reading { untold_octets, ..reading(1, Some(octets)) };
        MarkReport::Accurate(claim).resolve(delivered, 1000)
    };
    assert_eq!(resolve(0, 0xFF_FFFF, 3000).octets, 3000);
    assert_eq!(
        resolve(5000, 0xFF_FFFF, 3000).octets,
        8000,
        "an acknowledgement in between was lost"
    );
    let none = MarkReport::Accurate(reading(7, None)).resolve(3000, 1000);
    assert_eq!((none.packets, none.octets), (7, 3000), "the count is right, the segments are not");
    // Overtaken: nothing.
    let old = MarkReport::Accurate(reading(7, Some(900))).resolve(0, 1000);
    assert_eq!((old, old.is_congestion()), (Marked::default(), false));
    let unheeded = Reading { heed: false, ..reading(7, Some(900)) };
    let marked = MarkReport::Accurate(unheeded).resolve(1000, 1000);
    assert!(marked.fresh && marked.packets == 7 && !marked.is_congestion());
}

// proves 9768-8: a first option after more than a round of 2^24 is but a beginning
#[test]
fn a_late_first_option_is_only_a_start() {
    let start = AccurateStart {
        capable: true,
        heed: true,
        marked: false,
        counted: false,
        syn_ack: None,
        digested: false,
        option: OptionPath::Absent,
        send_option: true,
    };
    let mut feedback = Feedback::new(&start, Seq(0));
    let settled = |delivered, marked| Settled {
        marked,
        delivered,
        mss: 1000,
        una: Seq(delivered),
        nxt: Seq(delivered),
        small: Seq(0),
    };
    let read = feedback.read(5, None, None);
    let marked = MarkReport::Accurate(Reading { thinned: true, ..read }).resolve(LATE, 1000);
    feedback.settle(None, None, &settled(LATE, marked));
    let option = AccurateEcn { count: 3, counters: [900, 800, 1], ..AccurateEcn::default() };
    let read = feedback.read(5, Some(&option), None);
    assert_eq!(read.octets, None);
    let marked = MarkReport::Accurate(read).resolve(1000, 1000);
    feedback.settle(Some(&option), None, &settled(1000, marked));
    assert_eq!((feedback.path(), feedback.octets().marked), (OptionPath::Usable, 800));
    assert!(feedback.is_capable());
    let next = AccurateEcn { counters: [900, 850, 1], ..option };
    assert_eq!(feedback.read(6, Some(&next), None).octets, Some(50));
}
