//! What peers send: segments by the book, a little wrong and very wrong, fragments, ICMP.
//!
//! Owns: what bytes choose of each.
//! Must not know: how packets are put together (`forge`), what peers know (`peer`).
//!
//! Segments are made relative to the books of a peer of a live connection, so that most of them
//! pass the first checks and reach what lies behind.

use super::begin::{first_number, offer};
use crate::arena::{Arena, PEER_PORT, theirs};
use crate::choice::Choice;
use crate::forge::{self, Forged, Part};
use usertcp_base::{Ecn, Seq};
use usertcp_frame::ChecksumState;
use usertcp_wire::tcp::{AccurateEcn, Authentication, Cookie, Flags, Options, SackBlock};

/// Whose turn it is.
fn peer(arena: &Arena, choice: &mut Choice<'_>) -> usize {
    // Mostly the first two, whose connections are the oldest.
    let which = choice.octet();
    let most = arena.peers.len();
    usize::from(if which < 192 { which % 2 } else { which }) % most
}

/// Anything as a packet, or as a segment with the device's word for its checksum.
pub(super) fn raw(arena: &mut Arena, choice: &mut Choice<'_>) {
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

/// A segment arrives, now and then in pieces.
pub(super) fn give(arena: &mut Arena, forged: &Forged, choice: &mut Choice<'_>) {
    let octets = forged.packet();
    if choice.one_in(8) {
        arena.give_as(&octets, ChecksumState::Unverified, choice);
    } else {
        arena.give_packet(&octets);
    }
}

/// A segment of a live connection with every field a little, or very, wrong.
pub(super) fn segment(arena: &Arena, choice: &mut Choice<'_>) -> Forged {
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

/// Options that are a little, or very, wrong.
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
pub(super) fn polite(arena: &mut Arena, choice: &mut Choice<'_>) {
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
pub(super) fn talk(arena: &mut Arena, index: usize, choice: &mut Choice<'_>) {
    for _ in 0..choice.below(4) * choice.below(4) {
        let octets = 1 + choice.octet() as usize % 150;
        let question = arena.peers[index].polite(Flags::NONE, octets);
        arena.give(&question);
    }
}

/// The same from both of the oldest connections in one burst: some of it goes on where the one before ended, and one
/// of it may not.
pub(super) fn burst(arena: &mut Arena, choice: &mut Choice<'_>) {
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
pub(super) fn ahead(arena: &mut Arena, choice: &mut Choice<'_>) {
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
pub(super) fn selective(arena: &mut Arena, choice: &mut Choice<'_>) {
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
pub(super) fn signal(arena: &mut Arena, choice: &mut Choice<'_>) {
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
pub(super) fn fragments(arena: &mut Arena, choice: &mut Choice<'_>) {
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
pub(super) fn open(arena: &mut Arena, choice: &mut Choice<'_>) {
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

/// Many segments of an octet or two, every second number.
pub(super) fn tiny(arena: &mut Arena, choice: &mut Choice<'_>) {
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
