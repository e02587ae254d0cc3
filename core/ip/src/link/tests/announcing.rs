//! Our own addresses at the start, and when others claim them.
use super::*;
use usertcp_wire::ndp::solicited_node;

#[test]
fn addresses_are_probed_then_announced_then_left_alone() {
    let mut lab = Lab::at_start(config());
    lab.pass(Span::ZERO);
    let probes = lab.frames();
    let group = solicited_node(six(OURS_6));
    let message = Message::Solicitation { target: six(OURS_6), source_mac: None };
    let probe = Discovery { source: Ipv6Addr::UNSPECIFIED, destination: group, message };
    assert_eq!(
        probes,
        [request("0.0.0.0", OUR_MAC, OURS), discovery(&probe, OUR_MAC, ethernet::group_of(group)),]
    );
    lab.pass(Span::from_millis(999));
    assert_eq!(lab.frames().len(), 0);
    lab.pass(Span::from_millis(1));
    let announcement = advertisement(OURS_6, "ff02::1", Some(OUR_MAC), false, true);
    assert_eq!(lab.frames(), [request(OURS, OUR_MAC, OURS), announcement]);
    assert_eq!(lab.link.next_deadline(), None);
}

#[test]
fn an_address_that_is_taken_is_counted_and_not_announced() {
    let mut lab = Lab::at_start(config());
    lab.pass(Span::ZERO);
    lab.frames();
    let taken = reply(OURS, OTHER_MAC, "0.0.0.0");
    assert_eq!(lab.refused(&taken), DropReason::NeighbourConflict);
    let taken = advertisement(OURS_6, "ff02::1", Some(OTHER_MAC), false, true);
    assert_eq!(lab.refused(&taken), DropReason::NeighbourConflict);
    lab.pass(Span::from_secs(5));
    assert_eq!((lab.frames().len(), lab.link.stats().conflicts), (0, 2));
    assert_eq!(lab.link.stats().neighbours, 0);
}

#[test]
fn a_later_claim_is_answered_once_in_ten_seconds() {
    let mut lab = Lab::new();
    for _ in 0..3 {
        let reason = lab.refused(&request(OURS, OTHER_MAC, PEER));
        assert_eq!(reason, DropReason::NeighbourConflict);
        let reason = lab.refused(&solicitation(OURS_6, Some(OTHER_MAC), OURS_6));
        assert_eq!(reason, DropReason::NeighbourConflict);
    }
    let defence = [
        request(OURS, OUR_MAC, OURS),
        advertisement(OURS_6, "ff02::1", Some(OUR_MAC), false, true),
    ];
    assert_eq!(lab.frames(), defence);
    lab.pass(Span::from_secs(10));
    lab.refused(&request(OURS, OTHER_MAC, PEER));
    assert_eq!(lab.frames().len(), 1);
    assert_eq!(lab.link.stats().conflicts, 7);
}

#[test]
fn our_own_frames_come_back_without_effect() {
    let mut lab = Lab::new();
    assert_eq!(lab.refused(&request(OURS, OUR_MAC, OURS)), DropReason::NeighbourIgnored);
    let own = advertisement(OURS_6, "ff02::1", Some(OUR_MAC), false, true);
    assert_eq!(lab.refused(&own), DropReason::NeighbourIgnored);
    assert_eq!((lab.link.stats().conflicts, lab.frames().len()), (0, 0));
}

#[test]
fn many_addresses_are_announced_a_few_at_a_time() {
    let addresses = (0..100).map(|host| std::format!("10.1.0.{host}/16").parse().unwrap());
    let mut lab = Lab::at_start(LinkConfig { addresses: addresses.collect(), ..config() });
    lab.pass(Span::ZERO);
    assert_eq!(lab.frames().len(), 32);
    lab.pass(Span::from_millis(100));
    assert_eq!(lab.frames().len(), 68);
    lab.pass(Span::from_secs(3));
    assert_eq!(lab.frames().len(), 100);
}
