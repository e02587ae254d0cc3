//! Address resolution of IPv4 from question to doubt.
use super::*;

#[test]
fn a_neighbour_is_asked_for_once_and_packets_wait() {
    let mut lab = Lab::new();
    lab.waits(PEER);
    let question = Arp {
        operation: Operation::Request,
        sender_mac: OUR_MAC,
        sender: four(OURS),
        target_mac: [0; 6],
        target: four(PEER),
    };
    assert_eq!(lab.arp(), (ethernet::BROADCAST, question));
    lab.waits(PEER);
    assert_eq!(lab.frames(), Vec::<Vec<u8>>::new(), "RFC 1122 §2.3.2.1: one a second");
    assert!(matches!(lab.input(&reply(PEER, PEER_MAC, OURS)), LinkInput::Consumed));
    let frames = lab.frames();
    assert_eq!(frames.len(), 2);
    for frame in frames {
        assert_eq!(frame, self::frame(PEER_MAC, OUR_MAC, Kind::Ipv4, &ip_packet(PEER)));
    }
    assert_eq!(lab.sent(PEER), PEER_MAC);
    assert_eq!(lab.sent(PEER), PEER_MAC);
    assert_eq!(lab.state(PEER), Some((Reachability::Reachable, PEER_MAC)));
}

#[test]
fn silence_is_given_up_after_three_questions() {
    let mut lab = Lab::new();
    lab.waits(PEER);
    lab.pass(Span::from_millis(2_999));
    assert_eq!((lab.frames().len(), lab.link.stats().solicitations), (3, 3));
    assert!(lab.link.poll_unreachable().is_none());
    lab.pass(Span::from_millis(1));
    let lost = lab.link.poll_unreachable().unwrap();
    assert_eq!(lost.octets.to_vec(), ip_packet(PEER));
    assert_eq!((lab.state(PEER), lab.link.next_deadline()), (None, None));
    drop(lost);
    assert_eq!(lab.pool.stats().used_octets, 0);
    // The next packet begins anew.
    lab.waits(PEER);
    assert_eq!(lab.arp().0, ethernet::BROADCAST);
}

#[test]
fn an_old_address_is_used_and_then_asked_for_there() {
    let mut lab = Lab::new();
    lab.resolve(PEER, PEER_MAC);
    lab.age();
    assert_eq!(lab.link.next_deadline(), None, "nobody uses it");
    assert_eq!(lab.sent(PEER), PEER_MAC);
    assert_eq!(lab.state(PEER), Some((Reachability::Delay, PEER_MAC)));
    lab.pass(Span::from_secs(5));
    let (at, question) = lab.arp();
    assert_eq!((at, question.target), (PEER_MAC, four(PEER)));
    assert_eq!(lab.state(PEER), Some((Reachability::Probe, PEER_MAC)));
    assert_eq!(lab.sent(PEER), PEER_MAC);
    assert!(matches!(lab.input(&reply(PEER, PEER_MAC, OURS)), LinkInput::Consumed));
    assert_eq!(lab.state(PEER), Some((Reachability::Reachable, PEER_MAC)));
    assert_eq!(lab.link.next_deadline(), None);
}

#[test]
fn a_neighbour_that_left_is_forgotten_and_one_that_moved_is_found() {
    let mut lab = Lab::new();
    lab.resolve(PEER, PEER_MAC);
    lab.age();
    lab.sent(PEER);
    lab.pass(Span::from_secs(5 + 3));
    assert_eq!((lab.frames().len(), lab.state(PEER)), (3, None));
    lab.resolve(PEER, OTHER_MAC);
    assert_eq!(lab.sent(PEER), OTHER_MAC);
}

#[test]
fn questions_about_us_are_answered_to_who_asks() {
    let mut lab = Lab::new();
    let _ = lab.input(&request(PEER, PEER_MAC, OURS));
    let answer = Arp {
        operation: Operation::Reply,
        sender_mac: OUR_MAC,
        sender: four(OURS),
        target_mac: PEER_MAC,
        target: four(PEER),
    };
    assert_eq!(lab.arp(), (PEER_MAC, answer));
    // Who asks will be talked to (RFC 826).
    assert_eq!(lab.state(PEER), Some((Reachability::Stale, PEER_MAC)));
    assert_eq!(lab.sent(PEER), PEER_MAC);
    // A probe of someone who wants our address (RFC 5227 §2.1.1).
    let _ = lab.input(&request("0.0.0.0", OTHER_MAC, OURS));
    let (to, answer) = lab.arp();
    assert_eq!((to, answer.sender, answer.target), (OTHER_MAC, four(OURS), four("0.0.0.0")));
    assert_eq!(lab.link.stats().neighbours, 1);
}

#[test]
fn a_question_of_whom_we_look_for_is_an_answer_too() {
    let mut lab = Lab::new();
    lab.waits(PEER);
    lab.frames();
    let _ = lab.input(&request(PEER, PEER_MAC, OURS));
    assert_eq!(lab.frames().len(), 2, "the packet, and our answer");
    assert_eq!(lab.state(PEER), Some((Reachability::Delay, PEER_MAC)), "it was used");
}

#[test]
fn questions_about_others_are_not_ours() {
    let mut lab = Lab::new();
    assert_eq!(lab.refused(&request(PEER, PEER_MAC, "10.0.0.77")), DropReason::NeighbourIgnored);
    assert_eq!((lab.frames().len(), lab.state(PEER)), (0, None));
}
