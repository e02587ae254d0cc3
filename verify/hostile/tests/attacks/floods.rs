//! Floods without a connection, or towards one: AT-1, AT-2, AT-15, AT-16, AT-21, AT-22, AT-33, AT-34, AT-42.

use crate::heap;
use core::net::{IpAddr, Ipv4Addr};
use usertcp_base::{DropReason, Limits, Prng, Seq, Span};
use usertcp_hostile::arena::{Arena, PORT, Setup, modern, ours, theirs};
use usertcp_hostile::forge::Forged;
use usertcp_stack::FastOpenListen;
use usertcp_wire::tcp::{Cookie, Flags, Options};

/// An arena with the default bounds, whose judge rests.
fn flooded() -> Arena {
    let limits = Limits { connections: 16_384, hot_connections: 4096, ..Limits::default() };
    let mut arena = Arena::new(&Setup { limits, backlog: 64, ..Setup::default() });
    arena.judging = false;
    arena
}

fn anyone(prng: &mut Prng) -> (IpAddr, u16) {
    let [_, b, c, d] = prng.next_u32().to_be_bytes();
    (Ipv4Addr::new(100, b, c, d | 1).into(), 1 + prng.below(65_535) as u16)
}

fn stray(prng: &mut Prng, flags: Flags, port: u16) -> Forged {
    Forged::new(anyone(prng), (ours(false), port), flags)
        .at(Seq(prng.next_u32()), Seq(prng.next_u32()))
}

// proves AT-1, BG-4, BG-5
#[test]
fn a_flood_of_100_000_syns_costs_a_megabyte_and_lets_everyone_else_in() {
    let mut arena = flooded();
    let mut prng = Prng::from_seed(1);
    // The memory of the first TCBs is that of legitimate connections.
    let (_, conn) = arena.opened(1);
    arena.shard.abort(arena.now, conn);
    arena.settle();
    let before = heap::held();
    let mut opened = 0;
    for number in 0..100_000_u32 {
        let mut syn = stray(&mut prng, Flags::SYN, PORT);
        syn.header.ack = Seq(0);
        arena.give(&syn);
        if number % 1000 == 999 {
            arena.pass(Span::from_millis(1));
            let host = (number / 1000) as u8;
            let peer = arena.add_peer(false, host, 2000, Seq(number), modern());
            arena.open(peer);
            let conn = arena.accept().expect("a legitimate connection opens");
            opened += 1;
            arena.shard.abort(arena.now, conn);
            arena.settle();
            arena.peers.clear();
            arena.handles.clear();
        }
    }
    assert_eq!(opened, 100);
    let usage = arena.shard.usage();
    assert_eq!(usage.anchors, arena.shard.limits().embryos_per_listener);
    let grown = heap::held() - before;
    assert!(grown <= 1 << 20, "{grown} octets");
    // A bare SYN of 40 octets is answered by 44.
    let traffic = arena.traffic;
    assert!(traffic.packets_out <= traffic.packets_in, "{traffic:?}");
    assert!(traffic.octets_out * 10 <= traffic.octets_in * 11, "{traffic:?}");
}

// proves AT-2, AT-22, BG-3
#[test]
fn a_flood_of_strays_is_answered_by_the_bucket_and_remembered_by_nobody() {
    let mut arena = flooded();
    let mut prng = Prng::from_seed(2);
    let before = heap::held();
    let mut after_a_burst = 0;
    for number in 0..200_000_u32 {
        arena.give(&any_stray(&mut prng, number));
        if number % 100 == 0 {
            arena.pass(Span::from_millis(1));
        }
        if number == 100 {
            after_a_burst = heap::held();
        }
    }
    // Two seconds: two thousand, and the bucket's first thousand.
    assert!(arena.traffic.resets_out <= 3000, "{:?}", arena.traffic);
    assert!(arena.traffic.octets_out <= arena.traffic.octets_in);
    assert_eq!(arena.shard.usage().anchors, 0);
    // What a burst's packets lie in stays, and serves again: more strays need no more.
    assert!(after_a_burst - before < 8 << 10, "{} octets", after_a_burst - before);
    assert!(heap::held() - after_a_burst < 4096);
}

/// A segment for no connection. A quarter is for the listener, where a SYN alone would be taken.
fn any_stray(prng: &mut Prng, number: u32) -> Forged {
    let kinds = [
        Flags::ACK,
        Flags::ACK | Flags::PSH,
        Flags::ACK | Flags::FIN,
        Flags::SYN,
        Flags::RST,
        Flags::RST | Flags::ACK,
        Flags::NONE,
    ];
    let flags = kinds[number as usize % kinds.len()];
    let port =
        if number.is_multiple_of(4) && flags != Flags::SYN { PORT } else { 1 + number as u16 / 2 };
    let port = if port == PORT && flags == Flags::SYN { 81 } else { port };
    stray(prng, flags, port).carrying(number as usize % 3)
}

// proves AT-34
#[test]
fn a_million_guessed_cookies_open_nothing() {
    let mut arena = flooded();
    let mut prng = Prng::from_seed(3);
    let full = arena.shard.limits().embryos_per_listener + 10;
    for _ in 0..full {
        let mut syn = stray(&mut prng, Flags::SYN, PORT);
        syn.header.ack = Seq(0);
        arena.give(&syn);
    }
    assert!(arena.shard.counters().cookies_out > 0);
    let mut guess = stray(&mut prng, Flags::ACK, PORT).packet();
    for number in 0..1_000_000_u32 {
        // In place, as the forging would take most of the time: numbers, and their sum.
        let (seq, ack) = (prng.next_u32(), prng.next_u32());
        patch(&mut guess, seq, ack);
        arena.give_packet(&guess);
        if number % 65_536 == 0 {
            arena.pass(Span::from_secs(1));
            let mut syn = stray(&mut prng, Flags::SYN, PORT);
            syn.header.ack = Seq(0);
            arena.give(&syn);
        }
    }
    let accepted = arena.shard.counters().cookies_accepted;
    assert!(accepted <= 1, "{accepted}");
    assert!(arena.shard.counters().dropped(DropReason::CookieInvalid) > 990_000);
}

/// Puts numbers into an IPv4 packet without options and repairs the checksum.
fn patch(packet: &mut [u8], seq: u32, ack: u32) {
    packet[24..28].copy_from_slice(&seq.to_be_bytes());
    packet[28..32].copy_from_slice(&ack.to_be_bytes());
    packet[36..38].fill(0);
    let ends = [&packet[12..16], &packet[16..20]].map(|octets| {
        let mut address = [0; 4];
        address.copy_from_slice(octets);
        address
    });
    use usertcp_wire::checksum;
    let length = packet.len() as u32 - 20;
    let pseudo = checksum::pseudo_v4(ends[0], ends[1], 6, length);
    let sum = checksum::finish(checksum::combine(pseudo, checksum::sum(&packet[20..]), false));
    packet[36..38].copy_from_slice(&sum.to_be_bytes());
}

// proves AT-42
#[test]
fn connections_that_nobody_accepts_stay_within_the_backlog() {
    let mut arena = flooded();
    let mut prng = Prng::from_seed(4);
    for number in 0..100_000_u32 {
        let source = anyone(&mut prng);
        let mut peer = usertcp_hostile::peer::Peer::new(
            (source, (ours(false), PORT)),
            Seq(number),
            Options::default(),
        );
        arena.peers.clear();
        let syn = peer.synchronise();
        arena.peers.push(peer);
        arena.give(&syn);
        if arena.peers[0].answered.is_some() {
            let ack = arena.peers[0].polite(Flags::NONE, 0);
            arena.give(&ack);
        }
        if number % 1000 == 0 {
            assert!(arena.shard.usage().tcbs <= 64);
        }
    }
    assert_eq!(arena.shard.usage().tcbs, 64);
    assert!(arena.shard.usage().anchors <= 64 + 4096);
    assert!(arena.shard.counters().dropped(DropReason::BacklogFull) > 90_000);
    arena.end();
}

// proves AT-15
#[test]
fn a_segment_from_ourselves_is_answered_by_nothing() {
    let mut arena = Arena::new(&Setup::default());
    for v6 in [false, true] {
        for bits in 0..512 {
            for port in [PORT, 81] {
                let ends = (ours(v6), port);
                arena.give(&Forged::new(ends, ends, Flags::from_bits(bits)).at(Seq(9), Seq(8)));
            }
        }
        let portless = Forged::new((theirs(v6, 1), 0), (ours(v6), PORT), Flags::SYN);
        arena.give(&portless);
        arena.give(&Forged::new((theirs(v6, 1), 7), (ours(v6), 0), Flags::SYN));
    }
    assert_eq!(arena.traffic.packets_out, 0);
    assert_eq!(arena.shard.usage().anchors, 0);
}

// proves AT-16, FL-X
#[test]
fn of_all_combinations_of_flags_only_a_syn_opens() {
    let mut arena = Arena::new(&Setup { backlog: 64, ..Setup::default() });
    for bits in 0..512_u16 {
        for payload in [0, 5] {
            let flags = Flags::from_bits(bits);
            let before = arena.traffic;
            arena.pass(Span::from_millis(5));
            let source = (theirs(false, payload as u8 + 1), 2000 + bits);
            let probe = Forged::new(source, (ours(false), PORT), flags).at(Seq(1), Seq(77));
            let anchors = arena.shard.usage().anchors;
            arena.give(&probe.carrying(payload));
            let opens = flags.contains(Flags::SYN)
                && !flags.intersects(Flags::ACK | Flags::RST | Flags::FIN);
            let opened =
                arena.shard.usage().anchors > anchors || arena.shard.counters().cookies_out > 0;
            assert!(opens || !opened, "{flags:?}");
            let resets = arena.traffic.resets_out - before.resets_out;
            let due = flags.contains(Flags::ACK) && !flags.contains(Flags::RST);
            assert_eq!(resets, u64::from(due), "{flags:?}");
        }
    }
    arena.end();
}

// proves AT-21, BG-3
#[test]
fn what_comes_out_of_the_blue_is_not_reflected() {
    let mut arena = Arena::new(&Setup::default());
    let mut port = 2000;
    for v6 in [false, true] {
        for flags in [Flags::SYN, Flags::PSH | Flags::ACK, Flags::ACK, Flags::FIN, Flags::NONE] {
            for to in [PORT, 81] {
                for octets in [0, 1, 7, 100, 536, 1400] {
                    port += 1;
                    let before = arena.traffic;
                    let question = Forged::new((theirs(v6, 9), port), (ours(v6), to), flags);
                    arena.give(&question.at(Seq(5), Seq(6)).carrying(octets));
                    let asked = arena.traffic.octets_in - before.octets_in;
                    let answered = arena.traffic.octets_out - before.octets_out;
                    assert!(arena.traffic.packets_out - before.packets_out <= 1);
                    let bare = flags == Flags::SYN && octets == 0;
                    let allowed = if bare { asked * 11 / 10 } else { asked.max(44 + 20) };
                    assert!(answered <= allowed, "{flags:?} {octets}: {asked} -> {answered}");
                }
            }
        }
    }
    arena.end();
}

// proves AT-33, 7413-2, 7413-4
#[test]
fn guessed_cookies_open_nothing_and_draw_no_more_than_a_syn_ack() {
    let fast_open = Some(FastOpenListen::default());
    let limits = Limits { connections: 16_384, hot_connections: 4096, ..Limits::default() };
    let setup = Setup { limits, backlog: 4096, fast_open, ..Setup::default() };
    let mut arena = Arena::new(&setup);
    arena.judging = false;
    let mut prng = Prng::from_seed(33);
    for _ in 0..20_000 {
        let mut syn = stray(&mut prng, Flags::SYN, PORT).carrying(1000);
        syn.header.ack = Seq(0);
        syn.options.fast_open = Cookie::new(&prng.next_u64().to_be_bytes());
        let before = arena.traffic;
        arena.give(&syn);
        assert_eq!(arena.traffic.packets_out - before.packets_out, 1);
        assert!(arena.traffic.octets_out - before.octets_out <= 20 + 20 + 40);
    }
    assert!(arena.accept().is_none());
    assert_eq!((arena.shard.usage().tcbs, arena.shard.counters().fast_opens_in), (0, 0));
}

// proves AT-33, 7413-4: the attacker has a good cookie, and bots
#[test]
fn good_cookies_hold_no_more_connections_than_may_be_pending() {
    // As if all of them had cookies: none is needed.
    let fast_open = Some(FastOpenListen { pending: 128, without_cookie: true });
    let limits = Limits { connections: 16_384, hot_connections: 4096, ..Limits::default() };
    let setup = Setup { limits, backlog: 4096, fast_open, ..Setup::default() };
    let mut arena = Arena::new(&setup);
    arena.judging = false;
    let mut prng = Prng::from_seed(34);
    for _ in 0..20_000 {
        let mut syn = stray(&mut prng, Flags::SYN, PORT).carrying(1000);
        syn.header.ack = Seq(0);
        arena.give(&syn);
        // Resetting it at once frees no place.
        syn.header.flags = Flags::RST;
        syn.header.seq += 1001;
        arena.give(&syn.carrying(0));
    }
    assert_eq!(arena.shard.counters().fast_opens_in, 128);
    while arena.accept().is_some() {}
    let (usage, pool) = (arena.shard.usage(), arena.shard.pool().stats());
    assert!(usage.tcbs <= 128 && pool.used_octets <= 128 * 4096, "{usage:?} {pool:?}");
}
