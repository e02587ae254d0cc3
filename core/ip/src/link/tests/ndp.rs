//! Neighbour discovery of IPv6, and the table of RFC 4861 §7.2.5.
use super::*;
use usertcp_wire::ndp::{ALL_NODES, solicited_node};

#[test]
fn a_neighbour_is_asked_for_at_its_group() {
    let mut lab = Lab::new();
    lab.waits(PEER_6);
    let group = solicited_node(six(PEER_6));
    let message = Message::Solicitation { target: six(PEER_6), source_mac: Some(OUR_MAC) };
    let question = Discovery { source: six(OURS_6), destination: group, message };
    assert_eq!(lab.discovery(), (ethernet::group_of(group), question));
    let answer = advertisement(PEER_6, OURS_6, Some(PEER_MAC), true, true);
    assert!(matches!(lab.input(&answer), LinkInput::Consumed));
    let expected = frame(PEER_MAC, OUR_MAC, Kind::Ipv6, &ip_packet(PEER_6));
    assert_eq!(lab.frames(), [expected]);
    assert_eq!(lab.state(PEER_6), Some((Reachability::Reachable, PEER_MAC)));
    lab.age();
    lab.sent(PEER_6);
    lab.pass(Span::from_secs(5));
    let (at, probe) = lab.discovery();
    assert_eq!((at, probe.destination), (PEER_MAC, six(PEER_6)));
}

#[test]
fn questions_about_us_are_answered() {
    let mut lab = Lab::new();
    let _ = lab.input(&solicitation(PEER_6, Some(PEER_MAC), OURS_6));
    let message = Message::Advertisement {
        target: six(OURS_6),
        target_mac: Some(OUR_MAC),
        solicited: true,
        overrides: true,
    };
    let answer = Discovery { source: six(OURS_6), destination: six(PEER_6), message };
    assert_eq!(lab.discovery(), (PEER_MAC, answer));
    assert_eq!(lab.state(PEER_6), Some((Reachability::Stale, PEER_MAC)));
    // A unicast question may leave out where it comes from (RFC 4861 §7.2.2).
    let mut lab = Lab::new();
    let _ = lab.input(&solicitation(PEER_6, None, OURS_6));
    assert_eq!(lab.discovery(), (PEER_MAC, answer));
    assert_eq!(lab.state(PEER_6), None);
}

#[test]
fn who_looks_for_duplicates_of_our_address_is_told_and_all_with_it() {
    let mut lab = Lab::new();
    let _ = lab.input(&solicitation("::", None, OURS_6));
    let (to, answer) = lab.discovery();
    assert_eq!((to, answer.destination), ([0x33, 0x33, 0, 0, 0, 1], ALL_NODES));
    assert!(matches!(answer.message, Message::Advertisement { solicited: false, .. }));
}

/// RFC 4861 §7.2.5: state before, the advertisement (address, solicited, override), state after.
#[test]
fn advertisements_change_what_the_table_says() {
    use Reachability::{Reachable, Stale};
    let (same, other) = (Some(PEER_MAC), Some(OTHER_MAC));
    for (from, mac, solicited, overrides, to) in [
        // I: another address, no override.
        (Reachable, other, false, false, (Stale, PEER_MAC)),
        (Reachable, other, true, false, (Stale, PEER_MAC)),
        (Stale, other, false, false, (Stale, PEER_MAC)),
        // II: override, or the same address, or none.
        (Reachable, other, false, true, (Stale, OTHER_MAC)),
        (Reachable, same, false, true, (Reachable, PEER_MAC)),
        (Reachable, None, false, false, (Reachable, PEER_MAC)),
        (Stale, other, false, true, (Stale, OTHER_MAC)),
        (Stale, same, false, false, (Stale, PEER_MAC)),
        // "Solicited", but nobody asked: as if it did not say so.
        (Reachable, other, true, true, (Stale, OTHER_MAC)),
        (Stale, same, true, true, (Stale, PEER_MAC)),
        (Stale, None, true, false, (Stale, PEER_MAC)),
    ] {
        let mut lab = Lab::new();
        if from == Reachable {
            lab.resolve(PEER_6, PEER_MAC);
        } else {
            let _ = lab.input(&solicitation(PEER_6, Some(PEER_MAC), OURS_6));
        }
        assert_eq!(lab.state(PEER_6), Some((from, PEER_MAC)));
        let to_whom = if solicited { OURS_6 } else { "ff02::1" };
        let _ = lab.input(&advertisement(PEER_6, to_whom, mac, solicited, overrides));
        assert_eq!(lab.state(PEER_6), Some(to), "{from:?} {mac:?} {solicited} {overrides}");
    }
}

#[test]
fn the_answer_to_a_probe_confirms_or_replaces() {
    for (mac, overrides, after) in [
        (Some(PEER_MAC), false, (Reachability::Reachable, PEER_MAC)),
        (None, false, (Reachability::Reachable, PEER_MAC)),
        (Some(OTHER_MAC), true, (Reachability::Reachable, OTHER_MAC)),
        (Some(OTHER_MAC), false, (Reachability::Probe, PEER_MAC)),
    ] {
        let mut lab = Lab::new();
        lab.resolve(PEER_6, PEER_MAC);
        lab.age();
        lab.sent(PEER_6);
        lab.pass(Span::from_secs(5));
        assert_eq!(lab.state(PEER_6), Some((Reachability::Probe, PEER_MAC)));
        let _ = lab.input(&advertisement(PEER_6, OURS_6, mac, true, overrides));
        assert_eq!(lab.state(PEER_6), Some(after), "{mac:?} {overrides}");
    }
}

#[test]
fn an_answer_without_an_address_answers_nothing() {
    let mut lab = Lab::new();
    lab.waits(PEER_6);
    lab.frames();
    let _ = lab.input(&advertisement(PEER_6, OURS_6, None, true, true));
    assert_eq!(lab.state(PEER_6).unwrap().0, Reachability::Incomplete);
    // Unsolicited, it will do, but nobody vouches that it hears us.
    let _ = lab.input(&advertisement(PEER_6, "ff02::1", Some(PEER_MAC), false, false));
    assert_eq!(lab.frames().len(), 1);
    assert_eq!(lab.state(PEER_6), Some((Reachability::Delay, PEER_MAC)));
}

#[test]
fn a_question_says_where_the_asker_is_now() {
    let mut lab = Lab::new();
    lab.resolve(PEER_6, PEER_MAC);
    let _ = lab.input(&solicitation(PEER_6, Some(OTHER_MAC), OURS_6));
    assert_eq!(lab.state(PEER_6), Some((Reachability::Stale, OTHER_MAC)));
    let (to, _) = lab.discovery();
    assert_eq!(to, OTHER_MAC);
}
