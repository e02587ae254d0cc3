//! The short way of usual packets against the general way.

use super::*;
use crate::TcpInput;
use proptest::prelude::*;
use std::format;
use std::string::String;

/// Peers, ourselves, and what is nobody's.
const SOURCES: [&str; 7] =
    [PEER, PEER, OURS, "10.0.0.255", "255.255.255.255", "127.0.0.1", "224.0.0.9"];
const DESTINATIONS: [&str; 5] = [OURS, OURS, OURS, "10.0.0.255", "10.0.0.77"];

/// All that an answer says, and its octets, however they lie in slices.
fn said(mut input: Input) -> (String, Vec<u8>) {
    let octets = match &mut input {
        Input::Tcp(TcpInput { octets, .. }) => core::mem::take(octets).to_vec(),
        Input::Reply(packet) => core::mem::take(&mut packet.octets).to_vec(),
        _ => Vec::new(),
    };
    (format!("{input:?}"), octets)
}

proptest! {
    #[test]
    fn it_makes_of_a_packet_what_the_general_way_makes(
        source in 0..SOURCES.len(),
        destination in 0..DESTINATIONS.len(),
        payload in 0usize..200,
        padding in 0usize..9,
        piece in 20usize..400,
        change in proptest::option::of((0usize..40, 0u8..8)),
        sound: bool,
    ) {
        let way = Given { source: SOURCES[source], destination: DESTINATIONS[destination], ..v4(6) };
        let mut octets = way.octets(&tcp_segment(5, payload));
        if let Some((at, bit)) = change {
            octets[at] ^= 1 << bit;
            if sound && octets[0] >> 4 == 4 && usize::from(octets[0] & 0xF) * 4 <= octets.len() {
                fix_header_checksum(&mut octets);
            }
        }
        octets.resize(octets.len() + padding, 0);
        let pool = pool();
        let (mut short, mut general) = (layer(), layer());
        let one = short.input(NOW, packet_in_pieces(&octets, piece, &pool), &pool);
        let other = general.input_of_any(NOW, packet_in_pieces(&octets, piece, &pool), &pool);
        prop_assert_eq!(said(one), said(other));
        prop_assert_eq!(short.poll_drop(), general.poll_drop());
    }
}

#[test]
fn the_usual_packet_goes_the_short_way() {
    let (layer, pool) = (layer(), pool());
    let mut usual = packet(&v4(6).octets(&tcp_segment(8, 64)), &pool);
    assert!(layer.usual(&mut usual).is_some());
    let mut six = packet(&v6(6).octets(&tcp_segment(8, 64)), &pool);
    assert!(layer.usual(&mut six).is_none());
}
