//! The rules as a table, and for every combination of flags.

use super::*;

fn stray(flags: &str, payload_octets: u32) -> Stray {
    Stray {
        seq: Seq(1000),
        ack: flags.contains('A').then_some(Seq(77)),
        syn: flags.contains('S'),
        fin: flags.contains('F'),
        rst: flags.contains('R'),
        payload_octets,
    }
}

#[test]
fn closed_ports() {
    let table = [
        ("S", 10, Some((0, Some(1011)))),
        ("", 0, Some((0, Some(1000)))),
        ("SF", 0, Some((0, Some(1002)))),
        ("F", 5, Some((0, Some(1006)))),
        ("A", 0, Some((77, None))),
        ("SA", 0, Some((77, None))),
        ("FA", 100, Some((77, None))),
        ("R", 0, None),
        ("RA", 3, None),
        ("SR", 0, None),
    ];
    for (flags, payload, expected) in table {
        let expected = expected.map(|(seq, ack)| Reset { seq: Seq(seq), ack: ack.map(Seq) });
        assert_eq!(closed(&stray(flags, payload)), expected, "{flags}");
    }
    let wrapping = Stray { seq: Seq(u32::MAX), syn: true, payload_octets: 4, ..Stray::default() };
    assert_eq!(closed(&wrapping), Some(Reset { seq: Seq(0), ack: Some(Seq(4)) }));
}

#[test]
fn listeners_open_for_a_pure_syn_only() {
    for flags in ["", "S", "F", "SF", "R", "SR", "FR", "SFR"] {
        let with_ack = alloc::format!("{flags}A");
        let expected = if flags.contains('R') {
            Heard::Nothing
        } else {
            Heard::Acknowledges(Reset { seq: Seq(77), ack: None })
        };
        assert_eq!(listening(&stray(&with_ack, 0)), expected, "{with_ack}");
        let expected = if flags == "S" { Heard::Open } else { Heard::Nothing };
        assert_eq!(listening(&stray(flags, 8)), expected, "{flags}");
    }
}
