//! Programs of operations, decoded from bytes.
//!
//! Owns: which bytes mean which operation. Used by the fuzzer and by tests with random bytes.
//! Must not know: how a step is carried out or judged (`arena`).
//!
//! Segments are made relative to the books of a peer of a live connection, so that most of them
//! pass the first checks and reach what lies behind.

use crate::arena::{Arena, Messages, PEER_PORT, PORT, Setup, Traffic, ours, theirs};
use crate::choice::Choice;
use crate::forge::{self, Forged, Part};
use usertcp_base::{Counters, Ecn, Limits, Rate, Seq, Span};
use usertcp_cc::Algorithm;
use usertcp_frame::ChecksumState;
use usertcp_stack::{AuthAlgorithm, AuthKey, FastOpenListen, KeyKind, MasterKey, Scope};
use usertcp_tcp::{EcnMode, Settings, UserTimeoutOption};
use usertcp_wire::tcp::{
    AccurateEcn, Authentication, Cookie, Flags, Options, SackBlock, Timestamps,
};

/// Operations of one program at most.
const MOST_STEPS: usize = 400;

/// Runs the program that `bytes` spell, to its end and until nothing may be left. What was
/// counted tells how deep it went.
pub fn run(bytes: &[u8]) -> (Counters, Traffic) {
    let mut choice = Choice::new(bytes);
    let mut arena = begin(&mut choice);
    for _ in 0..MOST_STEPS {
        if choice.is_over() {
            break;
        }
        step(&mut arena, &mut choice);
    }
    arena.end();
    (arena.shard.counters().clone(), arena.traffic)
}

fn begin(choice: &mut Choice<'_>) -> Arena {
    let bits = choice.octet();
    let bit = |at: u8| bits >> at & 1 == 1;
    let tight = bit(1);
    let defaults = Limits::default();
    let limits = Limits {
        connections: if tight { 5 } else { 64 },
        hot_connections: if tight { 3 } else { 48 },
        embryos_per_listener: if tight { 2 } else { 64 },
        embryo_source_share: if tight { 1 } else { 4 },
        time_wait: if tight { 1 } else { 32 },
        fragment_octets: if tight { 16 << 10 } else { 1 << 20 },
        fragment_octets_per_source: if tight { 8 << 10 } else { 64 << 10 },
        icmp_errors_per_second: if tight { 2 } else { 1000 },
        reassembly_ranges: if tight { 4 } else { 64 },
        sack_ranges: if tight { 4 } else { 64 },
        receive_buffer_start_octets: if tight { 8 << 10 } else { 64 << 10 },
        receive_buffer_octets: if bit(2) { 32 << 10 } else { 512 << 10 },
        send_buffer_start_octets: if tight { 8 << 10 } else { 64 << 10 },
        send_buffer_octets: if bit(2) { 32 << 10 } else { 512 << 10 },
        ..defaults
    };
    let setup = Setup {
        limits,
        pool_octets: if bit(3) { 300 << 10 } else { 3 << 20 },
        offload: bit(4),
        settings: settings(Settings::default(), choice),
        algorithm: if bit(5) { Algorithm::Reno } else { Algorithm::Cubic },
        backlog: if tight { 2 } else { 8 },
        // Without cookies, so that random SYNs get behind them.
        fast_open: (bit(3) != bit(5)).then_some(FastOpenListen {
            pending: if tight { 1 } else { 16 },
            without_cookie: true,
        }),
        wrapping: bit(6),
    };
    let mut arena = Arena::new(&setup);
    let bits = choice.octet();
    if bits & 3 == 0 {
        protect(&mut arena);
    }
    arena.messages = manner(bits >> 2);
    let isn = first_number(choice);
    let offered = offer(choice);
    let peer = arena.add_peer(bit(0), 1, PEER_PORT, isn, offered);
    arena.open(peer);
    arena.accept();
    talk(&mut arena, peer, choice);
    if bit(7) {
        arena.connect((theirs(bit(0), 2), 7000), None);
        if let Some(peer) = arena.peers.get_mut(1) {
            peer.offered = offer(choice);
            let answer = peer.synchronise_back();
            arena.give(&answer);
        }
    }
    arena
}

fn manner(bits: u8) -> Messages {
    [Messages::Leaves, Messages::Leaves, Messages::Takes, Messages::Answers][usize::from(bits & 3)]
}

/// Two of the hosts that open connections have keys, which nobody here knows.
fn protect(arena: &mut Arena) {
    let Ok(master) = MasterKey::new(b"unknown to all peers") else { return };
    for v6 in [false, true] {
        for id in 0..2 {
            let (algorithm, cover_options) = (AuthAlgorithm::AesCmac, true);
            let master = master.clone();
            let kind =
                KeyKind::Ao { send_id: id, receive_id: id, algorithm, cover_options, master };
            let added =
                arena.shard.add_auth_key(AuthKey { scope: Scope::host(theirs(v6, 5)), kind });
            assert!(added.is_ok(), "{added:?}");
        }
        let kind = KeyKind::Md5(master.clone());
        let added = arena.shard.add_auth_key(AuthKey { scope: Scope::host(theirs(v6, 3)), kind });
        assert!(added.is_ok(), "{added:?}");
    }
}

fn first_number(choice: &mut Choice<'_>) -> Seq {
    match choice.below(3) {
        0 => Seq(7_000),
        1 => Seq(u32::MAX - u32::from(choice.octet())),
        _ => Seq((1 << 31) - u32::from(choice.octet())),
    }
}

fn offer(choice: &mut Choice<'_>) -> Options {
    let bits = choice.octet();
    let mss = [Some(1460), Some(1460), Some(536), Some(1), None, Some(0), Some(65_535), Some(216)];
    Options {
        mss: mss[usize::from(bits & 7)],
        scale: (bits & 8 == 0).then_some(if bits & 16 == 0 { 7 } else { choice.octet() % 16 }),
        sack_permitted: bits & 32 == 0,
        timestamps: (bits & 64 == 0).then_some(Timestamps {
            value: if bits & 128 == 0 { 1 } else { u32::MAX - 50 },
            echo: 0,
        }),
        ..Options::default()
    }
}

fn step(arena: &mut Arena, choice: &mut Choice<'_>) {
    match choice.octet() % 44 {
        0 => raw(arena, choice),
        1..=10 => {
            let forged = segment(arena, choice);
            give(arena, &forged, choice);
        }
        11..=15 => polite(arena, choice),
        16 | 17 => ahead(arena, choice),
        18 => selective(arena, choice),
        19 => signal(arena, choice),
        20 => fragments(arena, choice),
        21 => open(arena, choice),
        22 => {
            let span = Span::from_micros(u64::from(choice.pair()) * 16);
            arena.pass(span);
            age(arena, span);
        }
        23 | 24 => deadlines(arena, choice),
        25 => jump(arena, choice),
        26..=28 => write(arena, choice),
        29 | 30 => {
            let (index, most) = (handle(arena, choice), choice.pair() as usize);
            arena.read(index, most);
        }
        31 => {
            let index = handle(arena, choice);
            arena.read_slice(index, choice.one_in(2));
        }
        32 | 33 => let_go(arena, choice),
        34 => {
            while arena.accept().is_some() {
                if choice.one_in(2) {
                    break;
                }
            }
        }
        35 => connect(arena, choice),
        36 => listeners(arena, choice),
        37 => set(arena, choice),
        38 => tiny(arena, choice),
        39 => arena.messages = manner(choice.octet()),
        40..=42 => burst(arena, choice),
        _ => arena.held.truncate(choice.below(8) as usize),
    }
}

fn peer(arena: &Arena, choice: &mut Choice<'_>) -> usize {
    // Mostly the first two, whose connections are the oldest.
    let which = choice.octet();
    let most = arena.peers.len();
    usize::from(if which < 192 { which % 2 } else { which }) % most
}

fn handle(arena: &Arena, choice: &mut Choice<'_>) -> usize {
    usize::from(choice.octet()) % arena.handles.len().max(1)
}

/// Anything as a packet, or as a segment with the device's word for its checksum.
fn raw(arena: &mut Arena, choice: &mut Choice<'_>) {
    let length = choice.octet() as usize;
    let mut octets = choice.take(length).to_vec();
    match choice.below(3) {
        0 => {}
        1 => {
            let ends = arena.peers[peer(arena, choice)].ends;
            let protocol = choice.of([6, 1, 58, 17]);
            octets =
                forge::packet(ends.0.0, ends.1.0, protocol, &octets, Ecn::CongestionExperienced);
        }
        _ => {
            let mut forged = segment(arena, choice);
            forged.payload = octets;
            octets = forged.packet();
            if let Some(at) = octets.len().checked_sub(1 + choice.octet() as usize) {
                octets[at] = choice.octet();
            }
        }
    }
    let vouched = choice.one_in(2);
    let state = if vouched { ChecksumState::Verified } else { ChecksumState::Unverified };
    arena.give_as(&octets, state, choice);
}

fn give(arena: &mut Arena, forged: &Forged, choice: &mut Choice<'_>) {
    let octets = forged.packet();
    if choice.one_in(8) {
        arena.give_as(&octets, ChecksumState::Unverified, choice);
    } else {
        arena.give_packet(&octets);
    }
}

/// A segment of a live connection with every field a little, or very, wrong.
fn segment(arena: &Arena, choice: &mut Choice<'_>) -> Forged {
    let peer = &arena.peers[peer(arena, choice)];
    let flags = match choice.octet() {
        bits @ 0..=31 => Flags::from_bits(u16::from(bits) | u16::from(bits & 1) << 8),
        32..=63 => Flags::ACK | Flags::FIN,
        64..=79 => Flags::RST,
        80..=87 => Flags::RST | Flags::ACK,
        88..=95 => Flags::SYN,
        96..=103 => Flags::SYN | Flags::ACK,
        104..=119 => Flags::ACK | Flags::URG,
        120..=127 => Flags::ACK | Flags::ECE | Flags::CWR,
        bits => Flags::ACK | Flags::from_bits(u16::from(bits & 8)),
    };
    let seq = choice.of([peer.acked, peer.acked, peer.next, peer.edge, peer.isn]);
    let ack = choice.of([peer.their_next, peer.their_next, peer.their_isn]);
    let octets = match choice.octet() {
        0..=63 => 0,
        64..=95 => 1,
        length @ 96..=223 => usize::from(length),
        224..=247 => 1448,
        _ => usize::from(choice.pair()) % 9000,
    };
    let mut forged = peer
        .forge(flags)
        .at(seq + choice.distance(), ack + choice.distance())
        .with(options(peer.timestamps(), peer.their_isn, choice))
        .carrying(octets);
    forged.header.window.0 = match choice.below(5) {
        0 => 0,
        1 => u16::from(choice.octet()),
        2 => choice.pair(),
        _ => 60_000,
    };
    if flags.contains(Flags::URG) {
        forged.header.urgent = choice.of([0, 1, 5, 1000, 65_535]);
    }
    if choice.one_in(8) {
        let length = choice.below(41) as usize;
        forged.raw_options = choice.take(length).to_vec();
    }
    forged.spoil = u16::from(choice.one_in(64));
    forged.ecn = choice.of([Ecn::NotCapable, Ecn::NotCapable, Ecn::CongestionExperienced]);
    forged
}

fn options(polite: Options, una: Seq, choice: &mut Choice<'_>) -> Options {
    let mut options = polite;
    match choice.below(16) {
        0 => options.timestamps = None,
        1 | 2 => {
            if let Some(timestamps) = &mut options.timestamps {
                timestamps.value = timestamps.value.wrapping_add(choice.distance());
                timestamps.echo = timestamps.echo.wrapping_add(choice.distance());
            }
        }
        3..=6 => {
            for _ in 0..choice.below(5) {
                let left = una + choice.distance();
                options.sack.push(SackBlock { left, right: left + choice.distance() });
            }
        }
        7 => {
            options = offer(choice);
            options.fast_open = Cookie::new(choice.take(8));
            options.user_timeout = Some(choice.pair());
            options.accurate_ecn = Some(AccurateEcn { count: 3, ..AccurateEcn::default() });
        }
        8 | 9 => {
            let [key_id, next_key_id] = [choice.octet() % 3, choice.octet() % 3];
            let ao = Authentication::Ao { key_id, next_key_id };
            let one = if choice.octet() & 1 == 0 { ao } else { Authentication::Md5 };
            options.authentication = Some(one);
        }
        _ => {}
    }
    options
}

/// What a well-behaved peer would send: progress, so that deeper states are reached.
fn polite(arena: &mut Arena, choice: &mut Choice<'_>) {
    let index = peer(arena, choice);
    let bits = choice.octet();
    let octets = match bits & 3 {
        0 | 1 => 0,
        2 => choice.octet() as usize,
        _ => 1448,
    };
    let fin = if bits & 0xF0 == 0xF0 { Flags::FIN } else { Flags::NONE };
    let times = if bits & 4 == 0 { 1 } else { 1 + choice.below(8) };
    for _ in 0..times {
        let forged = arena.peers[index].polite(fin, octets);
        let forged = if bits & 8 == 0 { forged } else { forged.window(choice.pair()) };
        arena.give(&forged);
    }
}

/// A young connection's peer asks, again and again, before anything else happens to it.
fn talk(arena: &mut Arena, index: usize, choice: &mut Choice<'_>) {
    for _ in 0..choice.below(4) * choice.below(4) {
        let octets = 1 + choice.octet() as usize % 150;
        let question = arena.peers[index].polite(Flags::NONE, octets);
        arena.give(&question);
    }
}

/// The same from both of the oldest connections in one burst: some of it goes on where the one before ended, and one
/// of it may not.
fn burst(arena: &mut Arena, choice: &mut Choice<'_>) {
    let checksum =
        choice.of([ChecksumState::Unverified, ChecksumState::Verified, ChecksumState::Unverified]);
    let mut burst = Vec::new();
    for _ in 0..1 + choice.below(3) {
        let index = peer(arena, choice);
        let bits = choice.octet();
        let octets = match bits & 3 {
            0 => 0,
            1 => usize::from(choice.octet()),
            _ => 1448,
        };
        for _ in 0..1 + (bits >> 2 & 7) {
            burst.push(arena.peers[index].polite(Flags::NONE, octets));
        }
        if bits & 0xE0 == 0xE0 {
            burst.push(arena.peers[index].polite(Flags::FIN, octets));
        }
    }
    if choice.one_in(4) {
        let at = choice.below(burst.len() as u32) as usize;
        burst[at] = segment(arena, choice);
    }
    if choice.one_in(8) {
        let at = choice.below(burst.len() as u32) as usize;
        burst[at].spoil = 1;
    }
    arena.give_burst(&burst, checksum);
}

/// Data ahead of a gap, near what was acknowledged.
fn ahead(arena: &mut Arena, choice: &mut Choice<'_>) {
    let peer = &arena.peers[peer(arena, choice)];
    let seq = peer.acked + u32::from(choice.pair() % 4096);
    let octets = choice.octet() as usize * 8;
    let fin = if choice.one_in(16) { Flags::FIN } else { Flags::NONE };
    let forged = peer
        .forge(Flags::ACK | fin)
        .at(seq, peer.their_next)
        .with(peer.timestamps())
        .carrying(octets);
    give(arena, &forged, choice);
}

/// An acknowledgement of part of what is in flight, with blocks beyond it.
fn selective(arena: &mut Arena, choice: &mut Choice<'_>) {
    let peer = &arena.peers[peer(arena, choice)];
    let flight = peer.their_next.since(peer.their_isn);
    let near = |choice: &mut Choice<'_>| {
        peer.their_isn + flight.saturating_sub(u32::from(choice.pair()) % (flight + 2).max(1))
    };
    let ack = if choice.one_in(4) { near(choice) } else { peer.their_isn + 1 };
    let mut options = peer.timestamps();
    for _ in 0..1 + choice.below(4) {
        let (a, b) = (near(choice), near(choice));
        options.sack.push(SackBlock { left: a.earliest(b), right: a.latest(b) });
    }
    let forged = peer.forge(Flags::ACK).at(peer.acked, ack).with(options);
    give(arena, &forged, choice);
}

/// ICMP about a live connection, or about nothing, or an echo.
fn signal(arena: &mut Arena, choice: &mut Choice<'_>) {
    let peer = &arena.peers[peer(arena, choice)];
    let (remote, local) = peer.ends;
    let seq = choice.of([peer.their_next - 1, peer.their_isn, peer.their_next]) + choice.distance();
    let quoted = Forged::new(local, remote, Flags::ACK).at(seq, peer.acked).carrying(64);
    let quote = quoted.packet();
    let length = choice.of([28, 8, 64, 128]);
    let kinds = if remote.0.is_ipv4() {
        [(3, 4), (3, 3), (3, 1), (11, 0), (12, 0), (8, 0)]
    } else {
        [(2, 0), (1, 4), (1, 0), (3, 0), (4, 1), (128, 0)]
    };
    let kind = choice.of(kinds);
    let word = match choice.below(4) {
        0 => u32::from(choice.octet()),
        1 => 576,
        2 => 1300,
        _ => choice.word(),
    };
    let from = if choice.one_in(2) { remote.0 } else { theirs(remote.0.is_ipv6(), 99) };
    let octets = forge::icmp(from, local.0, kind, word, &quote[..quote.len().min(length)]);
    arena.give_packet(&octets);
}

/// A segment in fragments: cut anywhere, some twice, some missing, some overlapping.
fn fragments(arena: &mut Arena, choice: &mut Choice<'_>) {
    let forged = segment(arena, choice);
    arena.note_given(&forged.packet());
    let body = forged.segment();
    let identification = u32::from(choice.octet() % 4);
    let size = 8 * (1 + choice.below(100) as usize);
    let odd = choice.octet();
    for (index, piece) in body.chunks(size).enumerate().take(64) {
        if odd == index as u8 {
            continue;
        }
        let offset = index * size + if odd == 100 + index as u8 { 8 } else { 0 };
        let more = index * size + piece.len() < body.len();
        let part = Part { identification, offset: offset as u16, more };
        let (from, to) = (forged.source, forged.destination);
        let octets = forge::part(from, to, 6, piece, forged.ecn, part);
        arena.give_packet(&octets);
        if odd > 200 {
            arena.give_packet(&octets);
        }
    }
}

/// Another handshake: of a new peer, or of an old one from the start.
fn open(arena: &mut Arena, choice: &mut Choice<'_>) {
    let bits = choice.octet();
    let (isn, offered) = (first_number(choice), offer(choice));
    let index = if bits & 1 == 0 && arena.peers.len() < 24 {
        let port = PEER_PORT + u16::from(choice.octet());
        arena.add_peer(bits & 2 != 0, 3 + bits % 4, port, isn, offered)
    } else {
        let index = peer(arena, choice);
        let peer = &mut arena.peers[index];
        peer.isn = peer.next + choice.distance();
        peer.offered = offered;
        index
    };
    if bits & 4 == 0 {
        arena.open(index);
        talk(arena, index, choice);
    } else {
        let octets = choice.octet() as usize;
        let syn = arena.peers[index].synchronise().carrying(octets);
        arena.give(&syn);
    }
}

fn deadlines(arena: &mut Arena, choice: &mut Choice<'_>) {
    for _ in 0..1 + choice.below(8) {
        if let Some(next) = arena.shard.next_deadline() {
            let span = next.since(arena.now);
            arena.pass(span);
            age(arena, span);
        }
    }
}

fn jump(arena: &mut Arena, choice: &mut Choice<'_>) {
    let span = match choice.below(8) {
        0..=4 => Span::from_micros(u64::from(choice.word()) / 64),
        5 | 6 => Span::from_micros(u64::from(choice.word())),
        // Beyond every circle that time is kept in.
        _ => Span::from_micros(u64::from(choice.word()) << choice.below(12)),
    };
    arena.pass(span);
    age(arena, span);
}

fn age(arena: &mut Arena, span: Span) {
    for peer in &mut arena.peers {
        peer.stamp = peer.stamp.wrapping_add(span.as_millis() as u32);
    }
}

fn write(arena: &mut Arena, choice: &mut Choice<'_>) {
    let index = handle(arena, choice);
    let octets = match choice.below(4) {
        0 => choice.octet() as usize,
        1 => choice.pair() as usize % 4096,
        _ => choice.pair() as usize,
    };
    if choice.one_in(4) {
        arena.write_chain(index, octets, 1 + choice.pair() as usize % 2000);
    } else {
        arena.write(index, octets);
    }
}

fn let_go(arena: &mut Arena, choice: &mut Choice<'_>) {
    let index = handle(arena, choice);
    let Some(conn) = arena.handles.get(index).map(|handle| handle.conn) else { return };
    let now = arena.now;
    match choice.below(4) {
        0 | 1 => {
            let _ = arena.shard.shutdown_write(now, conn);
        }
        2 => {
            let _ = arena.shard.close(now, conn);
        }
        _ => arena.shard.abort(now, conn),
    }
    arena.settle();
}

fn connect(arena: &mut Arena, choice: &mut Choice<'_>) {
    let bits = choice.octet();
    let v6 = bits & 1 == 1;
    let to = match bits >> 1 & 3 {
        // To where a peer comes from: its port, our listening port, or our own address.
        0 => (theirs(v6, 1), PEER_PORT),
        1 => (ours(v6), PORT),
        _ => (theirs(v6, 2 + bits % 4), 7000 + u16::from(bits >> 3)),
    };
    let port = match bits >> 6 {
        0 => Some(PORT),
        1 => Some(5000 + u16::from(choice.octet() % 4)),
        _ => None,
    };
    let before = arena.peers.len();
    if arena.connect(to, port).is_some() && arena.peers.len() > before && choice.one_in(2) {
        let answer = arena.peers[before].synchronise_back();
        arena.give(&answer);
    }
}

fn listeners(arena: &mut Arena, choice: &mut Choice<'_>) {
    match choice.below(4) {
        0 => arena.listen(None),
        1 if !arena.listeners.is_empty() => {
            let which = choice.octet() as usize % arena.listeners.len();
            let listener = arena.listeners.swap_remove(which);
            arena.shard.close_listener(arena.now, listener);
            arena.settle();
        }
        _ => arena.listen(Some(PORT)),
    }
}

fn set(arena: &mut Arena, choice: &mut Choice<'_>) {
    let index = handle(arena, choice);
    let Some(conn) = arena.handles.get(index).map(|handle| handle.conn) else { return };
    let change = |settings: &mut Settings| *settings = self::settings(*settings, choice);
    let _ = arena.shard.set_option(arena.now, conn, change);
    arena.settle();
}

fn settings(before: Settings, choice: &mut Choice<'_>) -> Settings {
    let bits = choice.octet();
    let mut settings = before;
    settings.no_delay = bits & 1 == 1;
    settings.cork = bits & 6 == 6;
    settings.timestamps = bits & 0x18 != 0x18;
    settings.sack = bits & 0x30 != 0x30;
    settings.window_scaling = bits & 0x60 != 0x60;
    if bits & 0x80 != 0 {
        let more = choice.octet();
        settings.keep_alive.enabled = more & 1 == 1;
        settings.keep_alive.idle = Span::from_secs(1 + u64::from(more));
        settings.keep_alive.interval = Span::from_millis(1 + u64::from(more) * 100);
        settings.keep_alive.probes = more >> 4;
        settings.give_up = Some(Span::from_millis(1 + u64::from(choice.octet()) * 1000));
        settings.user_timeout_option = match more % 3 {
            0 => UserTimeoutOption::Off,
            1 => UserTimeoutOption::Advise,
            _ => UserTimeoutOption::FOLLOW,
        };
        settings.persist_limit = (more & 2 != 0).then_some(Span::from_secs(u64::from(more)));
        settings.ack_delay = Span::from_millis(u64::from(more) % 200);
        settings.ecn = [
            EcnMode::Off,
            EcnMode::Accept,
            EcnMode::Ask,
            EcnMode::AcceptAccurate,
            EcnMode::AskClassic,
            EcnMode::AskAccurate,
        ][usize::from(more) % 6];
        settings.rto_min = Span::from_millis(1 + u64::from(more) * 4);
        settings.write_when_due = more & 16 != 0;
        settings.mss_limit_octets = if more & 4 != 0 { u16::from(more) * 8 } else { 0 };
        if more & 8 != 0 {
            let rate = 1000 + u64::from(choice.pair()) * 1000;
            settings.rate_limit = Rate::from_octets_per_second(rate);
        }
    }
    settings
}

/// Many segments of an octet or two, every second number.
fn tiny(arena: &mut Arena, choice: &mut Choice<'_>) {
    let index = peer(arena, choice);
    let first = 1 + u32::from(choice.pair() % 2048);
    let gap = 2 + choice.below(3);
    for number in 0..1 + choice.below(64) {
        let peer = &arena.peers[index];
        let forged = peer
            .forge(Flags::ACK)
            .at(peer.acked + first + number * gap, peer.their_next)
            .with(peer.timestamps())
            .carrying(1);
        arena.give(&forged);
    }
}
