use super::BASES;
use crate::recv::reset::{ResetDecision, decide};
use crate::recv::window_check::{Acceptability, Extent, Side, Window, check, trim};
use usertcp_base::Seq;

fn at(base: u32, position: i64) -> Seq {
    Seq(base.wrapping_add(position as u32))
}

fn segment(seq: Seq, octets: u32) -> Extent {
    Extent { seq, octets, syn: false, fin: false }
}

/// The RFC's table on unbounded integers: RCV.NXT is 0, the window `wnd` long.
fn table(seq: i64, len: i64, wnd: i64) -> bool {
    let inside = |position: i64| 0 <= position && position < wnd;
    match (len, wnd) {
        (0, 0) => seq == 0,
        (0, _) => inside(seq),
        (_, 0) => false,
        _ => inside(seq) || inside(seq + len - 1) || (seq < 0 && seq + len > wnd),
    }
}

// proves E-9: four cases, every edge ±1, on both sides of the wrap
#[test]
fn acceptability_matches_the_table() {
    for base in BASES {
        for wnd in [0i64, 1, 2, 1000, 65_535, 1 << 30] {
            let window = Window { nxt: at(base, 0), edge: at(base, wnd) };
            for edge in [0, wnd] {
                for near in -3i64..=3 {
                    for len in [0i64, 1, 2, 3, 1460, 65_535] {
                        for start in [edge + near, edge + near - len] {
                            let extent = segment(at(base, start), len as u32);
                            let verdict = check(&extent, &window);
                            let accept = table(start, len, wnd);
                            let told = format_args!("{base} {wnd} {start} {len}").to_string();
                            match verdict {
                                Acceptability::Accept => assert!(accept, "{told}"),
                                Acceptability::ControlOnly => {
                                    assert!(!accept && wnd == 0 && start == 0, "{told}");
                                }
                                Acceptability::Outside(side) => {
                                    assert!(!accept, "{told}");
                                    assert_eq!(side == Side::Before, start < 0, "{told}");
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

use std::string::ToString;

// proves E-9: SYN and FIN count as octets of the segment
#[test]
fn syn_and_fin_have_length() {
    let window = Window { nxt: Seq(100), edge: Seq(200) };
    let fin = Extent { seq: Seq(99), octets: 0, syn: false, fin: true };
    assert_eq!(check(&fin, &window), Acceptability::Outside(Side::Before));
    let fin = Extent { octets: 1, ..fin };
    assert_eq!(check(&fin, &window), Acceptability::Accept);
    let closed = Window { nxt: Seq(100), edge: Seq(100) };
    let fin = Extent { seq: Seq(100), octets: 0, syn: false, fin: true };
    assert_eq!(check(&fin, &closed), Acceptability::ControlOnly);
}

// proves E-11: a closed window still takes ACK, URG and RST at RCV.NXT; the data are dropped
#[test]
fn a_closed_window_takes_control() {
    let closed = Window { nxt: Seq(5), edge: Seq(5) };
    assert_eq!(check(&segment(Seq(5), 100), &closed), Acceptability::ControlOnly);
    let kept = trim(&segment(Seq(5), 100), &closed);
    assert_eq!((kept.front, kept.back, kept.octets), (0, 100, 0));
    assert_eq!(check(&segment(Seq(5), 0), &closed), Acceptability::Accept);
    // proves MUST-66: a reset is taken in a closed window
    assert_eq!(decide(Seq(5), &closed, None), ResetDecision::Reset);
    assert_eq!(decide(Seq(6), &closed, None), ResetDecision::Ignore);
}

// proves 7323-5: what matters is the largest edge ever offered
#[test]
fn data_up_to_the_largest_edge_is_accepted() {
    let window = Window { nxt: Seq(1000), edge: Seq(1000 + 70_000) };
    assert_eq!(check(&segment(Seq(1000 + 69_999), 1), &window), Acceptability::Accept);
    assert_eq!(
        check(&segment(Seq(1000 + 70_000), 1), &window),
        Acceptability::Outside(Side::Beyond)
    );
}

// proves E-12: octet by octet against a naive cut
#[test]
fn trimming_matches_a_naive_cut() {
    for base in BASES {
        for wnd in [0i64, 1, 5, 9] {
            let window = Window { nxt: at(base, 0), edge: at(base, wnd) };
            for start in -12i64..=12 {
                for octets in 0i64..=12 {
                    for (syn, fin) in [(false, false), (true, false), (false, true), (true, true)] {
                        let extent =
                            Extent { seq: at(base, start), octets: octets as u32, syn, fin };
                        let kept = trim(&extent, &window);
                        let data = start + i64::from(syn);
                        let inside = |position: &i64| (0..wnd).contains(position);
                        let front = (data..data + octets).filter(|p| *p < 0).count() as u32;
                        let back = (data..data + octets).filter(|p| *p >= 0 && *p >= wnd).count();
                        let left = (data..data + octets).filter(inside).count() as u32;
                        assert_eq!(
                            (kept.front, kept.back, kept.octets),
                            (front, back as u32, left)
                        );
                        assert_eq!(kept.seq, at(base, data + i64::from(front)));
                        assert_eq!(kept.syn, syn && inside(&start));
                        let fin_at = data + octets;
                        assert_eq!(kept.fin, fin && back == 0 && inside(&fin_at));
                    }
                }
            }
        }
    }
}

// proves 5961-1, 5961-2, 5961-3 (E-13, AT-3): every number in the window but RCV.NXT challenges
#[test]
fn resets_count_only_at_rcv_nxt() {
    for base in BASES {
        let window = Window { nxt: at(base, 0), edge: at(base, 300) };
        for position in -300..600i64 {
            let expected = match position {
                0 => ResetDecision::Reset,
                1..=299 => ResetDecision::Challenge,
                _ => ResetDecision::Ignore,
            };
            assert_eq!(decide(at(base, position), &window, None), expected);
        }
        // as deployed: the right edge of the highest block we reported
        let highest = Some(at(base, 200));
        assert_eq!(decide(at(base, 200), &window, highest), ResetDecision::Reset);
        assert_eq!(decide(at(base, 199), &window, highest), ResetDecision::Challenge);
        assert_eq!(decide(at(base, 201), &window, highest), ResetDecision::Challenge);
    }
}

// proves AT-3: resets over the whole space, one in a thousand numbers
#[test]
fn resets_over_the_whole_space() {
    let window = Window { nxt: Seq(0x8000_0123), edge: Seq(0x8000_0123) + 65_535 };
    let mut challenged = 0;
    for seq in (0..=u32::MAX).step_by(1000) {
        match decide(Seq(seq), &window, None) {
            ResetDecision::Reset => assert_eq!(Seq(seq), window.nxt),
            ResetDecision::Challenge => challenged += 1,
            ResetDecision::Ignore => {}
        }
    }
    assert!((65..=66).contains(&challenged));
}
