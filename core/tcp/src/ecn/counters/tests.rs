use super::*;
use usertcp_wire::tcp::AccurateEcnOrder::{Capable0First, Capable1First};

const fn counters(capable0: u32, marked: u32, capable1: u32) -> Counters {
    Counters { capable0, marked, capable1 }
}

// proves 9768-7: initial values, what counts
#[test]
fn octets_are_added_by_mark() {
    let mut all = Counters::INITIAL;
    assert_eq!(all, counters(1, 0, 1));
    for (mark, octets) in [
        (Ecn::NotCapable, 1000),
        (Ecn::Capable0, 20),
        (Ecn::Capable1, 300),
        (Ecn::CongestionExperienced, 4),
    ] {
        all.add(mark, octets);
    }
    assert_eq!(all, counters(21, 4, 301));
    assert_eq!(all.since(&Counters::INITIAL), counters(20, 4, 300));
}

// proves 9768-7: §3.2.3.3, necessary length
#[test]
fn the_option_has_what_changed_or_is_not_there() {
    let told = Counters::INITIAL;
    let option = |now: Counters, most| {
        now.to_option(&told, most).map(|option| (option.order, option.count, option.counters))
    };
    for now in [counters(9, 0, 1), counters(9, 8, 1), counters(9, 8, 7)] {
        let fields = [now.capable1, now.marked, now.capable0];
        assert_eq!(option(now, 3), Some((Capable1First, 3, fields)));
        assert_eq!(option(now, 9), option(now, 3));
    }
    assert_eq!(option(counters(9, 8, 1), 2), Some((Capable0First, 2, [9, 8, 0])));
    assert_eq!(option(counters(1, 8, 7), 2), Some((Capable1First, 2, [7, 8, 0])));
    assert_eq!(option(counters(9, 0, 7), 2), None, "two ends of the option");
    assert_eq!(option(counters(9, 0, 1), 1), Some((Capable0First, 1, [9, 0, 0])));
    assert_eq!(option(counters(1, 0, 7), 1), Some((Capable1First, 1, [7, 0, 0])));
    assert_eq!(option(counters(1, 8, 1), 1), None);
    assert_eq!(option(counters(1, 0, 1), 0), Some((Capable1First, 0, [0, 0, 0])));
    assert_eq!(option(counters(9, 0, 1), 0), None);
    // What changed once and is told stays in it if that costs nothing.
    let told = counters(9, 8, 1);
    let now = counters(10, 8, 1).to_option(&told, 2).unwrap();
    assert_eq!((now.order, now.counters), (Capable0First, [10, 8, 0]));
}

// proves 9768-7: fields are modulo 2^24 (A.1)
#[test]
fn fields_wrap_and_are_followed() {
    let start = counters(0xFF_FFFF, 0x1FF_FFF0, 1);
    for (order, fields) in [(Capable0First, [5, 0x10, 2]), (Capable1First, [2, 0x10, 5])] {
        let option = |count| AccurateEcn { order, count, counters: fields };
        assert_eq!(start.follow(&option(3)), counters(0x100_0005, 0x200_0010, 2));
        assert_eq!(start.follow(&option(0)), start);
        let first = start.follow(&option(1));
        let moved = (first.capable0 != start.capable0, first.marked != start.marked);
        assert_eq!(moved, (order == Capable0First, false));
        // What the peer knows afterwards is exact where the option told it.
        let now = counters(0x300_0005, 7, 9);
        let told = now.told_by(&option(2), &start);
        let expected = match order {
            Capable0First => counters(0x300_0005, 7, 1),
            Capable1First => counters(0xFF_FFFF, 7, 9),
        };
        assert_eq!(told, expected);
    }
    let emitted = counters(0x300_0005, 0x100_0000, 1).to_option(&Counters::INITIAL, 3).unwrap();
    assert_eq!(emitted.counters, [1, 0, 5]);
}
