//! What a hostile station of the link, or a flood from outside, may not do.
use super::*;
use proptest::prelude::*;

#[test]
fn unasked_arp_does_not_overwrite() {
    let mut lab = Lab::new();
    lab.resolve(PEER, PEER_MAC);
    let gratuitous =
        arp(Operation::Reply, (PEER, OTHER_MAC), (PEER, ethernet::BROADCAST), ethernet::BROADCAST);
    for lie in [
        reply(PEER, OTHER_MAC, OURS),
        request(PEER, OTHER_MAC, OURS),
        request(PEER, OTHER_MAC, PEER),
        gratuitous,
    ] {
        let _ = lab.input(&lie);
        lab.frames();
        assert_eq!(lab.sent(PEER), PEER_MAC);
    }
    // It was doubted, and asked; the right one answers.
    assert_eq!(lab.state(PEER), Some((Reachability::Delay, PEER_MAC)));
    lab.pass(Span::from_secs(5));
    assert_eq!(lab.arp().0, PEER_MAC);
    let _ = lab.input(&reply(PEER, PEER_MAC, OURS));
    assert_eq!(lab.state(PEER), Some((Reachability::Reachable, PEER_MAC)));
}

#[test]
fn nothing_is_learnt_of_strangers_who_say_what_nobody_asked() {
    let mut lab = Lab::new();
    assert_eq!(lab.refused(&reply(PEER, PEER_MAC, OURS)), DropReason::NeighbourIgnored);
    let unasked = advertisement(PEER_6, OURS_6, Some(PEER_MAC), true, true);
    assert_eq!(lab.refused(&unasked), DropReason::NeighbourIgnored);
    assert_eq!(lab.link.stats().neighbours, 0);
}

#[test]
fn senders_that_cannot_be_neighbours_are_refused() {
    let mut lab = Lab::new();
    for (sender, mac) in [
        ("192.0.2.1", PEER_MAC),
        ("224.0.0.1", PEER_MAC),
        ("127.0.0.1", PEER_MAC),
        ("255.255.255.255", PEER_MAC),
        ("10.0.0.255", PEER_MAC),
        (PEER, ethernet::BROADCAST),
        (PEER, [0x33, 0x33, 0, 0, 0, 1]),
        (PEER, [0; 6]),
    ] {
        let reason = lab.refused(&reply(sender, mac, OURS));
        assert_eq!(reason, DropReason::NeighbourMalformed, "{sender} {mac:?}");
    }
    for (source, mac) in [("2001:db8:1::9", PEER_MAC), ("::1", PEER_MAC), (PEER_6, [0xFF; 6])] {
        let reason = lab.refused(&solicitation(source, Some(mac), OURS_6));
        assert_eq!(reason, DropReason::NeighbourMalformed, "{source} {mac:?}");
    }
    assert_eq!((lab.link.stats().neighbours, lab.frames().len()), (0, 0));
}

#[test]
fn an_answer_from_the_group_address_does_not_end_a_search() {
    let mut lab = Lab::new();
    lab.waits(PEER);
    lab.frames();
    let _ = lab.input(&reply(PEER, ethernet::BROADCAST, OURS));
    assert_eq!(lab.state(PEER).unwrap().0, Reachability::Incomplete);
    lab.waits(PEER_6);
    lab.frames();
    let _ = lab.input(&advertisement(PEER_6, OURS_6, Some([0x33; 6]), true, true));
    assert_eq!(lab.state(PEER_6).unwrap().0, Reachability::Incomplete);
}

#[test]
fn strangers_push_out_each_other_and_not_who_is_talked_to() {
    let limits = Limits { neighbours: 8, ..Limits::default() };
    let mut lab = Lab::with(LinkConfig { limits, ..config() });
    lab.resolve(PEER, PEER_MAC);
    lab.resolve(PEER_6, PEER_MAC);
    for host in 20..250 {
        let _ = lab.input(&request(&std::format!("10.0.0.{host}"), OTHER_MAC, OURS));
        let _ =
            lab.input(&solicitation(&std::format!("2001:db8::1:{host}"), Some(OTHER_MAC), OURS_6));
        lab.frames();
        lab.now = lab.now + Span::from_micros(1);
    }
    assert_eq!(lab.link.stats().neighbours, 8);
    assert_eq!((lab.sent(PEER), lab.sent(PEER_6)), (PEER_MAC, PEER_MAC));
}

#[test]
fn a_flood_from_nobodys_addresses_is_bounded_and_does_not_stop_a_search() {
    let limits = Limits { neighbours: 64, neighbours_unresolved: 16, ..Limits::default() };
    let mut lab = Lab::with(LinkConfig { limits, ..config() });
    lab.resolve(PEER, PEER_MAC);
    let mut drops = 0;
    for host in 0..1000 {
        lab.waits(&std::format!("2001:db8::2:{host:x}"));
        lab.frames();
        lab.now = lab.now + Span::from_micros(1);
        drops += lab.drops().iter().map(|(_, count)| count).sum::<u32>();
        let stats = lab.link.stats();
        assert!(stats.incomplete <= 16 && stats.neighbours <= 17, "{stats:?}");
    }
    assert_eq!(drops, 1000 - 16);
    // One that answers is found in the middle of it, and one that was known stays.
    lab.resolve("10.0.0.10", PEER_MAC);
    assert_eq!(lab.sent(PEER), PEER_MAC);
    lab.pass(Span::from_secs(10));
    lab.frames();
    while lab.link.poll_unreachable().is_some() {}
    assert_eq!((lab.link.stats().incomplete, lab.pool.stats().used_octets), (0, 0));
    assert_eq!(lab.link.next_deadline(), None);
}

#[test]
fn few_packets_wait_and_the_newest_stay() {
    let mut lab = Lab::new();
    for mark in 0..20 {
        let mut packet = ip_packet(PEER);
        packet[59] = mark;
        assert!(matches!(lab.output(&packet), LinkOutput::Waits));
    }
    assert_eq!(lab.drops(), [(DropReason::NeighbourQueue, 16)]);
    lab.frames();
    let _ = lab.input(&reply(PEER, PEER_MAC, OURS));
    let marks: Vec<_> = lab.frames().iter().map(|frame| frame[HEADER_OCTETS + 59]).collect();
    assert_eq!(marks, [16, 17, 18, 19]);
}

#[test]
fn answers_that_nobody_takes_do_not_pile_up() {
    let mut lab = Lab::new();
    for _ in 0..5000 {
        let _ = lab.input(&request(PEER, PEER_MAC, OURS));
    }
    assert_eq!(lab.frames().len(), MOST_READY);
    assert_eq!(lab.drops(), [(DropReason::NeighbourQueue, 5000 - MOST_READY as u32)]);
}

proptest! {
    /// Any sequence of frames, sends and time: bounds hold, nothing is left in the end.
    #[test]
    fn whatever_comes_the_bounds_hold(steps in prop::collection::vec((0u8..8, 0u8..6, any::<u8>(), any::<u16>()), 1..200)) {
        let limits = Limits { neighbours: 6, neighbours_unresolved: 3, ..Limits::default() };
        let mut lab = Lab::with(LinkConfig { limits, ..config() });
        for (step, host, mark, micros) in steps {
            let (v4, v6) = (std::format!("10.0.0.{}", 9 + host), std::format!("2001:db8::{}", 9 + host));
            let mac = [2, 0, 0, 0, mark & 1, host];
            let mut frame = match step {
                0 => { let _ = lab.output(&ip_packet(&v4)); continue }
                1 => { let _ = lab.output(&ip_packet(&v6)); continue }
                2 => { lab.pass(Span::from_micros(u64::from(micros) * 100)); continue }
                3 => request(&v4, mac, OURS),
                4 => reply(&v4, mac, OURS),
                5 => solicitation(&v6, Some(mac), OURS_6),
                6 => advertisement(&v6, OURS_6, Some(mac), mark & 2 != 0, mark & 4 != 0),
                _ => {
                    let mut any = reply(&v4, mac, OURS);
                    let at = usize::from(micros) % any.len();
                    any[at] = mark;
                    any
                }
            };
            if mark > 250 {
                frame.truncate(usize::from(micros) % frame.len() + 1);
            }
            let _ = lab.input(&frame);
            let stats = lab.link.stats();
            prop_assert!(stats.neighbours <= 6 && stats.incomplete <= 3, "{:?}", stats);
        }
        lab.pass(Span::from_secs(20));
        lab.frames();
        lab.drops();
        while lab.link.poll_unreachable().is_some() {}
        prop_assert_eq!((lab.link.stats().incomplete, lab.pool.stats().used_octets), (0, 0));
        prop_assert_eq!(lab.link.next_deadline(), None);
    }
}
