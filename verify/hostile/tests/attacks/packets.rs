//! Packets that lie about themselves: AT-28, AT-29, PR-1, PR-2.

use usertcp_base::{DropReason, Ecn, Seq};
use usertcp_hostile::arena::{Arena, PEER_PORT, PORT, Setup, ours, theirs};
use usertcp_hostile::forge::{self, Forged};
use usertcp_wire::tcp::Flags;

fn syn(port: u16) -> Forged {
    let ends = ((theirs(false, 1), port), (ours(false), PORT));
    Forged::new(ends.0, ends.1, Flags::SYN).at(Seq(1), Seq(0))
}

// proves AT-28, PR-1, PR-2
#[test]
fn every_kind_and_length_of_option_at_every_place() {
    let mut arena = Arena::new(&Setup::default());
    arena.judging = false;
    let mut broken = 0;
    for kind in 2..=255_u8 {
        for length in (0..=41_u8).chain([255]) {
            for before in [0, 1, 37, 38] {
                let mut segment = syn(PEER_PORT);
                segment.header.flags = Flags::RST;
                segment.raw_options = vec![1; before];
                segment.raw_options.extend([kind, length]);
                segment.raw_options.resize(40, 1);
                arena.give(&segment);
                let past = before + usize::from(length) > 40;
                broken += u64::from(length < 2 || past);
            }
        }
    }
    assert_eq!(arena.shard.counters().dropped(DropReason::TcpOptions), broken);
    assert_eq!(arena.traffic.packets_out, 0);
    arena.end();
}

// proves AT-28
#[test]
fn lengths_that_do_not_fit_are_dropped() {
    let mut arena = Arena::new(&Setup::default());
    let sound = syn(PEER_PORT).carrying(20).packet();
    for offset in 0..16_u8 {
        let mut packet = sound.clone();
        packet[32] = offset << 4;
        // The checksum is the device's word: the header is judged alone.
        let state = usertcp_frame::ChecksumState::Verified;
        arena.give_as(&packet, state, &mut usertcp_hostile::choice::Choice::new(&[]));
    }
    for length in (0..sound.len()).chain([sound.len() + 1, 65_535]) {
        let mut packet = sound.clone();
        packet[2..4].copy_from_slice(&(length as u16).to_be_bytes());
        packet[10..12].fill(0);
        let sum = usertcp_wire::checksum::sum(&packet[..20]);
        packet[10..12].copy_from_slice(&usertcp_wire::checksum::finish(sum).to_be_bytes());
        arena.give_packet(&packet);
    }
    for words in 0..16_u8 {
        let mut packet = sound.clone();
        packet[0] = 0x40 | words;
        arena.give_packet(&packet);
    }
    for length in 0..sound.len() {
        arena.give_packet(&sound[..length]);
    }
    arena.end();
}

// proves AT-29
#[test]
fn tunnels_and_long_chains_of_headers_are_not_followed() {
    let mut arena = Arena::new(&Setup::default());
    for v6 in [false, true] {
        let ends = ((theirs(v6, 1), PEER_PORT), (ours(v6), PORT));
        let inner = Forged::new(ends.0, ends.1, Flags::SYN).at(Seq(1), Seq(0));
        let mut packet = inner.packet();
        for _ in 0..10 {
            let protocol = if v6 { 41 } else { 4 };
            packet = forge::packet(ends.0.0, ends.1.0, protocol, &packet, Ecn::NotCapable);
            arena.give_packet(&packet);
        }
        assert_eq!(arena.shard.usage().anchors, 0, "a tunnel was followed");
    }
    let ends = ((theirs(true, 1), PEER_PORT), (ours(true), PORT));
    let inner = Forged::new(ends.0, ends.1, Flags::SYN).at(Seq(1), Seq(0)).segment();
    for count in 1..40_u64 {
        let mut body = Vec::new();
        for number in 0..count {
            let next = if number + 1 == count { 6 } else { 60 };
            body.extend([next, 0, 1, 4, 0, 0, 0, 0]);
        }
        body.extend_from_slice(&inner);
        let packet = forge::packet(ends.0.0, ends.1.0, 60, &body, Ecn::NotCapable);
        arena.give_packet(&packet);
        let dropped = arena.shard.counters().dropped(DropReason::IpExtension);
        assert_eq!(dropped, count.saturating_sub(8), "{count}");
    }
    arena.end();
}
