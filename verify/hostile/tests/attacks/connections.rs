//! Attacks on a live connection: AT-3, AT-5, AT-11, AT-12, AT-13, AT-17, AT-20, AT-26, AT-27, AT-38.

use usertcp_base::{DropReason, Limits, Prng, Seq, Span};
use usertcp_hostile::arena::{Arena, PEER_PORT, Setup, modern};
use usertcp_hostile::forge::{self, Forged};
use usertcp_stack::Read;
use usertcp_tcp::{Settings, StateName};
use usertcp_wire::tcp::{Flags, Options};

fn state(arena: &Arena) -> StateName {
    arena.shard.info(arena.now, arena.handles[0].conn).expect("it lives").state
}

fn figures(arena: &Arena) -> usertcp_tcp::Info {
    let info = arena.shard.info(arena.now, arena.handles[0].conn).expect("it lives");
    info.figures.expect("it has a TCB")
}

// proves AT-3
#[test]
fn resets_and_syns_all_over_the_sequence_space_end_nothing() {
    for flags in [Flags::RST, Flags::RST | Flags::ACK, Flags::SYN, Flags::SYN | Flags::ACK] {
        let mut arena = Arena::new(&Setup::default());
        let (peer, _) = arena.opened(1);
        let (next, edge) = (arena.peers[peer].acked, arena.peers[peer].edge);
        let (mut sent, start) = (0_u64, arena.now);
        let everywhere = (0..u32::MAX).step_by(100_003);
        let inside = (1..edge.since(next)).step_by(97);
        for distance in everywhere.chain(inside) {
            let seq = next + distance;
            if seq == next {
                continue;
            }
            sent += 1;
            let forged = arena.peers[peer].forge(flags).at(seq, arena.peers[peer].their_next);
            arena.give(&forged);
            if sent % 100 == 0 {
                arena.pass(Span::from_millis(20));
            }
        }
        assert_eq!(state(&arena), StateName::Established, "{flags:?}");
        let fives = arena.now.since(start).as_micros() / 5_000_000 + 1;
        let answers = arena.shard.counters().challenge_acks;
        assert!(answers <= 10 * fives, "{answers} in {fives} times five seconds");
        if flags == Flags::RST {
            let exact = arena.peers[peer].forge(flags).at(next, Seq(0));
            arena.give(&exact);
            assert_eq!(arena.shard.counters().resets_in, 1);
        }
        arena.end();
    }
}

// proves AT-5
#[test]
fn blind_data_with_guessed_acknowledgements_is_not_taken() {
    let mut arena = Arena::new(&Setup::default());
    let peer = arena.add_peer(false, 1, PEER_PORT, Seq(7), Options::default());
    arena.open(peer);
    arena.accept().expect("open");
    arena.judging = false;
    let mut prng = Prng::from_seed(5);
    let window = arena.peers[peer].edge.since(arena.peers[peer].acked);
    for number in 0..200_000 {
        let seq = arena.peers[peer].acked + prng.below(u64::from(window)) as u32;
        let ack = Seq(prng.next_u32());
        let forged = arena.peers[peer].forge(Flags::ACK).at(seq, ack).carrying(1);
        arena.give(&forged);
        if number % 1000 == 0 {
            arena.pass(Span::from_millis(10));
        }
    }
    // Believed is what acknowledges SND.UNA, and what was acknowledged before by at most the largest
    // window the peer offered: 60,000 of 2^32, three of 200,000 on the average.
    let taken = figures(&arena).out_of_order_octets + figures(&arena).receive_queue_octets;
    assert!(taken <= 12, "{taken}");
    arena.end();
}

// proves AT-11
#[test]
fn an_acknowledgement_of_what_was_not_sent_moves_nothing() {
    let mut arena = Arena::new(&Setup::default());
    let (peer, conn) = arena.opened(1);
    let index = arena.index_of(conn);
    arena.write(index, 50_000);
    let before = figures(&arena);
    for shift in 0..31 {
        let ahead = arena.peers[peer].their_next + (1 << shift);
        let forged = arena.peers[peer].polite(Flags::NONE, 0).at(arena.peers[peer].next, ahead);
        arena.give(&forged);
        arena.pass(Span::from_micros(10));
    }
    let after = figures(&arena);
    assert_eq!(after.congestion_window_octets, before.congestion_window_octets);
    assert_eq!(after.octets_acknowledged, 0);
    assert!(arena.shard.counters().dropped(DropReason::AckTooNew) == 31);
    arena.end();
}

// proves AT-12
#[test]
fn splitting_acknowledgements_buys_no_window() {
    let grown = |pieces: u32| {
        let mut arena = Arena::new(&Setup::default());
        let (peer, conn) = arena.opened(1);
        let index = arena.index_of(conn);
        arena.write(index, 60_000);
        arena.pass(Span::from_millis(20));
        let (una, total) = (arena.peers[peer].their_isn + 1, 10 * 1448);
        for piece in 1..=pieces {
            let ack = una + total * piece / pieces;
            let forged = arena.peers[peer].polite(Flags::NONE, 0).at(arena.peers[peer].next, ack);
            arena.give(&forged);
        }
        figures(&arena).congestion_window_octets
    };
    let (whole, split) = (grown(10), grown(10 * 1448));
    assert!(split <= whole + 1448, "{whole} {split}");
}

// proves AT-13
#[test]
fn duplicate_acknowledgements_inflate_nothing() {
    for offered in [modern(), Options { sack_permitted: false, ..modern() }] {
        let mut arena = Arena::new(&Setup::default());
        let peer = arena.add_peer(false, 1, PEER_PORT, Seq(7), offered);
        arena.open(peer);
        let conn = arena.accept().expect("open");
        let index = arena.index_of(conn);
        arena.write(index, 100_000);
        let flight = arena.peers[peer].their_next.since(arena.peers[peer].their_isn + 1);
        let before = arena.traffic.packets_out;
        for _ in 0..10_000 {
            let una = arena.peers[peer].their_isn + 1;
            let forged = arena.peers[peer].polite(Flags::NONE, 0).at(arena.peers[peer].next, una);
            arena.give(&forged);
        }
        let sent = arena.traffic.packets_out - before;
        assert!(sent <= u64::from(flight.div_ceil(1448)) + 3, "{sent} of {flight}");
        arena.end();
    }
}

// proves AT-17
#[test]
fn a_tiny_mss_is_not_honoured() {
    for mss in [0, 1, 48, 215] {
        let limits = Limits { connections: 8, hot_connections: 8, ..Limits::default() };
        let mut arena = Arena::new(&Setup { limits, ..Setup::default() });
        let offered = Options { mss: Some(mss), timestamps: None, ..modern() };
        let peer = arena.add_peer(false, 1, PEER_PORT, Seq(7), offered);
        arena.open(peer);
        let conn = arena.accept().expect("open");
        let index = arena.index_of(conn);
        let before = arena.traffic;
        let mut octets = 0;
        while octets < 200_000 {
            octets += arena.write(index, 200_000 - octets);
            let ack = arena.peers[peer].polite(Flags::NONE, 0);
            arena.give(&ack);
            arena.run(Span::from_millis(50));
        }
        let packets = arena.traffic.packets_out - before.packets_out;
        // One more for what each write ends with.
        assert!(packets <= 200_000 / 216 + 200, "MSS {mss}: {packets}");
        arena.end();
    }
}

// proves AT-20
#[test]
fn a_time_wait_is_neither_killed_nor_kept_for_ever() {
    let mut arena = Arena::new(&Setup::default());
    let (peer, conn) = arena.opened(1);
    arena.shard.close(arena.now, conn).expect("open");
    arena.settle();
    let fin = arena.peers[peer].polite(Flags::FIN, 0);
    arena.give(&fin);
    assert_eq!(arena.shard.usage().time_waits, 1);
    let before = arena.traffic.packets_out;
    let start = arena.now;
    while arena.now.since(start) < Span::from_secs(50) {
        let next = arena.peers[peer].next;
        let theirs = arena.peers[peer].their_next;
        for flags in [Flags::RST, Flags::RST | Flags::ACK, Flags::ACK, Flags::ACK | Flags::FIN] {
            for seq in [next, next - 1, next - 100, next + 5000] {
                let forged = arena.peers[peer].forge(flags).at(seq, theirs);
                arena.give(&forged.carrying(3));
            }
        }
        arena.pass(Span::from_millis(50));
    }
    assert_eq!(arena.shard.usage().time_waits, 1);
    let answers = arena.traffic.packets_out - before;
    assert!(answers <= 101, "{answers} in 50 s");
    arena.run(Span::from_secs(61));
    assert_eq!(arena.shard.usage().anchors, 0);
    arena.end();
}

// proves AT-26, IC-1, IC-2
#[test]
fn forged_icmp_changes_nothing_while_data_flows() {
    let mut arena = Arena::new(&Setup::default());
    let (peer, conn) = arena.opened(1);
    let index = arena.index_of(conn);
    let mss = figures(&arena).send_mss_octets;
    let mut prng = Prng::from_seed(6);
    for round in 0..200 {
        arena.write(index, 3000);
        let (remote, local) = arena.peers[peer].ends;
        for number in 0..100 {
            let seq = match number % 4 {
                // Even one that guesses what is in flight.
                0 => arena.peers[peer].their_next - 1,
                _ => Seq(prng.next_u32()),
            };
            let quote = Forged::new(local, remote, Flags::ACK).at(seq, Seq(1)).carrying(900);
            let quote = quote.packet();
            for (kind, word) in [((3, 3), 0), ((3, 2), 0), ((3, 4), 68), ((11, 0), 0), ((4, 0), 0)]
            {
                let octets = forge::icmp(remote.0, local.0, kind, word, &quote[..28]);
                arena.give_packet(&octets);
            }
        }
        arena.pass(Span::from_millis(1));
        let ack = arena.peers[peer].polite(Flags::NONE, 0);
        arena.give(&ack);
        assert_eq!(state(&arena), StateName::Established, "round {round}");
        assert_eq!(figures(&arena).send_mss_octets, mss, "round {round}");
    }
    arena.end();
}

// proves AT-27
#[test]
fn urgent_pointers_of_any_kind_leave_the_stream_intact() {
    let mut arena = Arena::new(&Setup::default());
    let (peer, conn) = arena.opened(1);
    let index = arena.index_of(conn);
    let mut total = 0;
    for urgent in [0, 1, 2, 99, 100, 101, 5000, 65_535, 0, 1] {
        for octets in [0, 1, 100] {
            for ahead in [0, 200] {
                let mut forged = arena.peers[peer].polite(Flags::URG, octets);
                if ahead > 0 {
                    // Out of order; the gap is filled by what comes next.
                    arena.peers[peer].next = forged.header.seq;
                    let seq = forged.header.seq + ahead;
                    forged = forged.at(seq, arena.peers[peer].their_next).carrying(octets);
                } else {
                    total += octets;
                }
                forged.header.urgent = urgent;
                arena.give(&forged);
            }
            // The reader's octets are judged by the arena.
            arena.read(index, 65_536);
        }
    }
    let mut last = arena.peers[peer].polite(Flags::FIN | Flags::URG, 300);
    last.header.urgent = 65_535;
    arena.give(&last);
    arena.read(index, 65_536);
    assert_eq!(arena.handles[index].read as usize, total + 300);
    assert_eq!(arena.shard.read(arena.now, conn, &mut [0; 9]), Ok(Read::End));
    let mut syn = arena.add_syn(2);
    syn.header.flags = Flags::SYN | Flags::URG;
    syn.header.urgent = 9;
    arena.give(&syn);
    arena.end();
}

// proves AT-38
#[test]
fn a_split_handshake_completes_as_a_simultaneous_open_only() {
    let mut arena = Arena::new(&Setup { settings: Settings::default(), ..Setup::default() });
    let conn = arena.connect((usertcp_hostile::arena::theirs(false, 3), 7000), None).expect("free");
    let syn = arena.peers[0].synchronise();
    arena.give(&syn);
    assert_eq!(arena.shard.info(arena.now, conn).expect("opening").state, StateName::SynReceived);
    let ack = arena.peers[0].polite(Flags::NONE, 10);
    arena.give(&ack);
    let index = arena.index_of(conn);
    assert_eq!(arena.read(index, 100), 10);
    arena.end();
}
