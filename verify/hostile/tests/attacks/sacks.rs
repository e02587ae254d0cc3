//! Selective acknowledgements that hurt: AT-6, AT-8, AT-14.

use usertcp_base::{ConnId, Limits, Prng, Seq, Span};
use usertcp_hostile::arena::{Arena, PEER_PORT, Setup, modern};
use usertcp_wire::tcp::{Flags, Options, SackBlock};

/// A sender with a large flight of small segments.
fn in_flight(mss: u16, wanted: u32) -> (Arena, ConnId) {
    let limits = Limits {
        connections: 8,
        hot_connections: 8,
        send_buffer_start_octets: 2 << 20,
        ..Limits::default()
    };
    let mut arena = Arena::new(&Setup { limits, pool_octets: 48 << 20, ..Setup::default() });
    let offered = Options { mss: Some(mss), scale: Some(10), ..modern() };
    let peer = arena.add_peer(false, 1, PEER_PORT, Seq(7), offered);
    arena.open(peer);
    let conn = arena.accept().expect("open");
    let index = arena.index_of(conn);
    for _ in 0..200 {
        arena.write(index, 1 << 20);
        let flight = arena.shard.info(arena.now, conn).unwrap().figures.unwrap().in_flight_octets;
        if flight >= wanted {
            break;
        }
        arena.now = arena.now + Span::from_millis(10);
        arena.peers[peer].stamp += 10;
        let ack = arena.peers[peer].polite(Flags::NONE, 0);
        arena.give(&ack);
        arena.run(Span::from_millis(10));
    }
    (arena, conn)
}

fn sack(arena: &mut Arena, ack: Seq, blocks: &[(Seq, Seq)]) {
    let mut forged = arena.peers[0].polite(Flags::NONE, 0);
    let at = forged.header.seq;
    for (left, right) in blocks {
        forged.options.sack.push(SackBlock { left: *left, right: *right });
    }
    arena.give(&forged.at(at, ack));
}

/// An honest peer takes over: everything is acknowledged, and the connection is well.
fn recovers(arena: &mut Arena, conn: ConnId) {
    for _ in 0..2000 {
        let ack = arena.peers[0].polite(Flags::NONE, 0);
        arena.give(&ack);
        let figures = arena.shard.info(arena.now, conn).unwrap().figures.unwrap();
        if figures.send_queue_octets == 0 {
            return;
        }
        arena.run(Span::from_millis(20));
    }
    panic!("it does not recover: {:?}", arena.shard.info(arena.now, conn));
}

// proves AT-6
#[test]
fn a_tiny_mss_and_a_sieve_of_selective_acknowledgements_overflow_nothing() {
    let (mut arena, conn) = in_flight(48, 60_000);
    let una = {
        let figures = arena.shard.info(arena.now, conn).unwrap().figures.unwrap();
        arena.peers[0].their_next - figures.in_flight_octets
    };
    let flight = arena.peers[0].their_next.since(una);
    assert!(flight >= 60_000, "{flight}");
    // Pieces far smaller than a segment, then holes of every size.
    for step in [17, 204, 216, 1000] {
        for at in (1..flight - 20).step_by(step * 3) {
            let left = una + at;
            let blocks: Vec<_> =
                (0..3).map(|n| (left + n * step as u32, left + n * step as u32 + 17)).collect();
            sack(&mut arena, una, &blocks);
        }
        arena.pass(Span::from_millis(1));
    }
    arena.run(Span::from_secs(3));
    recovers(&mut arena, conn);
    arena.end();
}

// proves AT-8
#[test]
fn random_blocks_on_a_large_flight_end_in_delivery() {
    let (mut arena, conn) = in_flight(216, 400_000);
    let una = {
        let figures = arena.shard.info(arena.now, conn).unwrap().figures.unwrap();
        arena.peers[0].their_next - figures.in_flight_octets
    };
    let mut prng = Prng::from_seed(8);
    for number in 0..5000 {
        let flight = u64::from(arena.peers[0].their_next.since(una));
        let blocks: Vec<_> = (0..3)
            .map(|_| {
                let left = una + prng.below(flight + 100) as u32;
                (left, left + prng.below(3000) as u32)
            })
            .collect();
        sack(&mut arena, una, &blocks);
        if number % 100 == 0 {
            arena.pass(Span::from_millis(5));
        }
    }
    recovers(&mut arena, conn);
    arena.end();
}

// proves AT-14
#[test]
fn a_peer_that_takes_back_what_it_acknowledged_selectively_gets_it_again() {
    let (mut arena, conn) = in_flight(1460, 60_000);
    let una = {
        let figures = arena.shard.info(arena.now, conn).unwrap().figures.unwrap();
        arena.peers[0].their_next - figures.in_flight_octets
    };
    let end = arena.peers[0].their_next;
    sack(&mut arena, una, &[(una + 1448, end)]);
    // Now it has thrown all of it away, and says nothing until the timeout.
    arena.run(Span::from_secs(2));
    let again = arena.shard.info(arena.now, conn).unwrap().figures.unwrap().octets_retransmitted;
    assert!(again > 0);
    sack(&mut arena, una + 1448, &[]);
    arena.run(Span::from_secs(5));
    recovers(&mut arena, conn);
    arena.end();
}
