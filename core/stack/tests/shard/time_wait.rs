//! What remains of a connection: RFC 6191, RFC 1337, MSL-1.

use crate::hand::{Hand, wire};
use crate::pair::{Pair, plain, to};
use std::collections::{BTreeSet, VecDeque};
use usertcp_base::{ConnId, DropReason, Limits, ListenerId, Seq, Span};
use usertcp_cc::Reno;
use usertcp_stack::{Connect, Listen, Profile};
use usertcp_tcp::{EcnMode, Settings};
use usertcp_wire::tcp::Flags;

fn listening(limits: Limits) -> (Hand, ListenerId) {
    listening_with(limits, Profile::<Reno>::default())
}

fn listening_with(limits: Limits, profile: Profile<Reno>) -> (Hand, ListenerId) {
    let mut hand = Hand::new(limits);
    let listen = Listen { local: None, port: Some(80), backlog: 100, profile };
    let listener = hand.shard.listen(&listen).unwrap();
    (hand, listener)
}

/// Opens from `port` and closes, us first: our next sequence number.
fn close_first(hand: &mut Hand, listener: ListenerId, port: u16) -> Seq {
    let ours = hand.open(port);
    let conn = hand.shard.accept(listener).unwrap();
    hand.shard.close(hand.now, conn).unwrap();
    let fin = hand.sent().remove(0);
    assert!(fin.header.flags.contains(Flags::FIN));
    let answer =
        wire(Flags::FIN | Flags::ACK, 5001, ours.0.wrapping_add(1)).by(crate::hand::PEER, port);
    let last = hand.give(&answer).remove(0);
    assert_eq!(last.header.ack, Seq(5002));
    ours + 1
}

#[test]
fn a_reset_does_not_end_it_and_time_does() {
    let (mut hand, listener) = listening(Limits::default());
    close_first(&mut hand, listener, 1000);
    assert_eq!(hand.shard.usage().time_waits, 1);
    hand.give(&wire(Flags::RST, 5002, 0));
    assert_eq!(hand.shard.usage().time_waits, 1);
    hand.run_until(hand.now + Span::from_secs(59));
    assert_eq!(hand.shard.usage().time_waits, 1);
    hand.run_until(hand.now + Span::from_secs(2));
    assert_eq!(hand.shard.usage().anchors, 0);
}

#[test]
fn they_end_one_after_the_other_and_one_whose_fin_came_again_later() {
    let (mut hand, listener) = listening(Limits::default());
    let begun = hand.now;
    let ours = close_first(&mut hand, listener, 1000);
    hand.run_until(begun + Span::from_secs(10));
    close_first(&mut hand, listener, 1001);
    let usage = hand.shard.usage();
    assert_eq!((usage.time_waits, usage.timers), (2, 0), "nothing is in the wheel for them");
    assert_eq!(hand.shard.next_deadline(), Some(begun + Span::from_secs(60)));
    hand.run_until(begun + Span::from_secs(30));
    let again = wire(Flags::FIN | Flags::ACK, 5001, ours.0);
    assert_eq!(hand.give(&again).len(), 1, "acknowledged again");
    for (secs, left) in [(61, 2), (69, 2), (71, 1), (89, 1), (91, 0)] {
        hand.run_until(begun + Span::from_secs(secs));
        assert_eq!(hand.shard.usage().time_waits, left, "{secs}");
    }
    let usage = hand.shard.usage();
    assert_eq!((usage.anchors, usage.timers, usage.demux), (0, 0, 0));
    assert_eq!(hand.shard.next_deadline(), None);
}

#[test]
fn a_later_syn_takes_the_pair_over_with_a_higher_number() {
    let (mut hand, listener) = listening(Limits::default());
    let old = close_first(&mut hand, listener, 1000);
    assert_eq!(hand.give(&wire(Flags::SYN, 4000, 0)).len(), 0, "an old SYN");
    let answer = hand.give(&wire(Flags::SYN, 90_000, 0)).remove(0);
    assert_eq!(answer.header.flags, Flags::SYN | Flags::ACK);
    assert!(answer.header.seq.after(old));
    assert_eq!(hand.shard.usage().time_waits, 0);
    hand.give(&wire(Flags::ACK, 90_001, answer.header.seq.0.wrapping_add(1)));
    assert!(hand.shard.accept(listener).is_some());
}

#[test]
fn nobody_wakes_for_one_that_was_taken_over() {
    let (mut hand, listener) = listening(Limits::default());
    let begun = hand.now;
    for port in 1000..1004 {
        close_first(&mut hand, listener, port);
        hand.run_until(hand.now + Span::from_secs(10));
    }
    // Who takes one over goes at once. The second, which stands behind the first, and then that one.
    for (port, secs) in [(1001, 60), (1000, 80), (1002, 90)] {
        let syn = wire(Flags::SYN, 90_000, 0).by(crate::hand::PEER, port);
        assert_eq!(hand.give(&syn).len(), 1, "{port}");
        hand.give(&wire(Flags::RST, 90_001, 0).by(crate::hand::PEER, port));
        let usage = hand.shard.usage();
        assert_eq!((usage.anchors, usage.timers), (usage.time_waits, 0), "{port}");
        assert_eq!(hand.shard.next_deadline(), Some(begun + Span::from_secs(secs)), "{port}");
    }
    hand.run_until(begun + Span::from_secs(91));
    assert_eq!((hand.shard.usage().anchors, hand.shard.next_deadline()), (0, None));
}

#[test]
fn the_oldest_makes_room() {
    let (mut hand, listener) = listening(Limits { time_wait: 10, ..Limits::default() });
    for port in 0..25 {
        close_first(&mut hand, listener, 1000 + port);
    }
    assert_eq!(hand.shard.usage().time_waits, 10);
    assert_eq!(hand.shard.counters().dropped(DropReason::TimeWaitEvicted), 15);
    // The newest is still there: its old SYN is ignored.
    let syn = wire(Flags::SYN, 4000, 0).by(crate::hand::PEER, 1024);
    assert_eq!(hand.give(&syn).len(), 0);
}

fn connect_from(pair: &mut Pair, port: u16) -> ConnId {
    let to = Connect { local_port: Some(port), ..to(pair.server.address, 80) };
    pair.client.shard.connect(pair.now, &to).unwrap()
}

/// Of connections from few ports, many at a time: a port comes again while it is in TIME-WAIT, or when it was
/// evicted, or the first time.
#[test]
fn who_is_taken_over_is_not_evicted_and_who_came_first_is() {
    const LIMIT: usize = 300;
    let limits = Limits { time_wait: LIMIT as u32, ..Limits::default() };
    let mut pair = Pair::with(plain(), limits, 4096);
    let listener = pair.listen(100);
    let (mut random, mut evicted, mut taken_over) = (1_u32, 0, 0);
    let mut waiting = VecDeque::<u16>::new();
    for _ in 0..100 {
        pair.now = pair.now + Span::from_millis(10);
        let mut ports = BTreeSet::new();
        while ports.len() < 40 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ports.insert(2000 + (random >> 16) as u16 % 500);
        }
        let clients: Vec<_> = ports.iter().map(|port| connect_from(&mut pair, *port)).collect();
        pair.settle();
        taken_over += waiting.iter().filter(|port| ports.contains(port)).count();
        waiting.retain(|port| !ports.contains(port));
        assert_eq!(pair.server.shard.usage().time_waits as usize, waiting.len());
        for _ in &ports {
            let server = pair.server.shard.accept(listener).expect("open");
            pair.server.shard.close(pair.now, server).unwrap();
        }
        pair.settle();
        clients.iter().for_each(|client| pair.client.shard.close(pair.now, *client).unwrap());
        pair.settle();
        waiting.extend(ports);
        evicted += waiting.len().saturating_sub(LIMIT);
        waiting.drain(..waiting.len().saturating_sub(LIMIT));
        let usage = pair.server.shard.usage();
        let each = [usage.time_waits, usage.anchors, usage.demux].map(|count| count as usize);
        assert_eq!((each, usage.timers), ([waiting.len(); 3], 0));
    }
    let dropped = pair.server.shard.counters().dropped(DropReason::TimeWaitEvicted);
    assert!(evicted > 500 && taken_over > 500, "{evicted} evicted, {taken_over} taken over");
    assert_eq!(dropped as usize, evicted);
    pair.now = pair.now + Span::from_millis(10);
    for port in 2000..2500 {
        connect_from(&mut pair, port);
        pair.settle();
        waiting.retain(|waiting| *waiting != port);
        assert_eq!(pair.server.shard.usage().time_waits as usize, waiting.len(), "{port}");
    }
}

// proves 9768-9: what the old connection agreed on says nothing about the new one
#[test]
fn a_later_syn_agrees_on_ecn_anew() {
    let settings = Settings { ecn: EcnMode::AcceptAccurate, ..Settings::default() };
    let profile = Profile { settings, ..Profile::<Reno>::default() };
    let (mut hand, listener) = listening_with(Limits::default(), profile);
    close_first(&mut hand, listener, 1000);
    let accurate = Flags::AE | Flags::CWR | Flags::ECE;
    let classic = Flags::CWR | Flags::ECE;
    for (round, asked, answered) in
        [(1, accurate, Flags::CWR), (2, classic, Flags::ECE), (3, accurate, Flags::CWR)]
    {
        let irs = round * 1_000_000;
        let answer = hand.give(&wire(Flags::SYN | asked, irs, 0)).remove(0);
        assert_eq!(answer.header.flags, Flags::SYN | Flags::ACK | answered, "{round}");
        let iss = answer.header.seq.0;
        let third = if asked == accurate { Flags::CWR } else { Flags::NONE };
        hand.give(&wire(Flags::ACK | third, irs + 1, iss.wrapping_add(1)));
        let conn = hand.shard.accept(listener).expect("open");
        let figures = hand.shard.info(hand.now, conn).unwrap().figures.unwrap();
        assert_eq!((figures.accurate_ecn.is_some(), figures.ecn), (asked == accurate, true));
        hand.shard.close(hand.now, conn).unwrap();
        assert!(hand.sent().remove(0).header.flags.contains(Flags::FIN));
        hand.give(&wire(Flags::FIN | Flags::ACK, irs + 1, iss.wrapping_add(2)));
        assert_eq!(hand.shard.usage().time_waits, 1);
    }
}
