//! Pings are answered.

use super::*;
use usertcp_base::Span;

fn reply(input: Input) -> Packet {
    match input {
        Input::Reply(packet) => packet,
        other => panic!("no reply: {other:?}"),
    }
}

/// Checks a whole reply's headers; returns the ICMP message.
fn message(octets: &[u8]) -> Vec<u8> {
    match octets[0] >> 4 {
        4 => {
            let (header, len) = ipv4::parse(octets, octets.len()).unwrap();
            assert_eq!(usize::from(header.total_octets), octets.len());
            assert_eq!(IpAddr::V4(header.source), ip(OURS));
            assert_eq!(IpAddr::V4(header.destination), ip(PEER));
            assert_eq!((header.protocol, header.ttl, header.dscp), (1, DEFAULT_TTL, 10));
            assert_eq!(checksum::finish(checksum::sum(&octets[len..])), 0);
            octets[len..].to_vec()
        }
        _ => {
            let header = ipv6::parse(octets, octets.len()).unwrap();
            assert_eq!(IpAddr::V6(header.source), ip(OURS_6));
            assert_eq!(IpAddr::V6(header.destination), ip(PEER_6));
            assert_eq!((header.next_header, header.hop_limit), (58, DEFAULT_TTL));
            let pseudo = pseudo_6(OURS_6, PEER_6, 58, octets.len() - 40);
            assert_eq!(checksum::finish(pseudo + checksum::sum(&octets[40..])), 0);
            octets[40..].to_vec()
        }
    }
}

fn request(six: bool, payload: &[u8]) -> Vec<u8> {
    let kind = if six { 128 } else { 8 };
    icmp(six, kind, 0, [0x12, 0x34, 0, 7], payload)
}

fn given(six: bool) -> Given {
    if six { v6(58) } else { v4(1) }
}

#[test]
fn a_ping_is_answered_in_its_own_frame() {
    for six in [false, true] {
        let (mut layer, pool) = (layer(), pool());
        let payload = counting(57);
        let octets = given(six).octets(&request(six, &payload));
        let packet = packet(&octets, &pool);
        let copied = pool.stats().octets_copied;
        let answer = reply(layer.input(NOW, packet, &pool));
        assert_eq!(pool.stats().octets_copied, copied, "the payload is not copied");
        assert_eq!((pool.stats().small_out, pool.stats().full_out), (1, 0));
        let message = message(&answer.octets.to_vec());
        assert_eq!(message[0], if six { 129 } else { 0 });
        assert_eq!(message[4..8], [0x12, 0x34, 0, 7]);
        assert_eq!(message[8..], payload);
        assert!(layer.poll_reply().is_none());
    }
}

#[test]
fn options_are_not_answered_in_kind() {
    let (mut layer, pool) = (layer(), pool());
    let given = Given { extra: vec![7, 7, 4, 0, 0, 0, 0, 0], ..v4(1) };
    let answer = reply(arrive(&mut layer, &given.octets(&request(false, &[9; 5])), &pool));
    assert_eq!(message(&answer.octets.to_vec())[8..], [9; 5]);
}

#[test]
fn a_shared_frame_is_left_alone() {
    for six in [false, true] {
        let (mut layer, pool) = (layer(), pool());
        let payload = counting(500);
        let packet = packet(&given(six).octets(&request(six, &payload)), &pool);
        let kept = packet.clone();
        let before = kept.octets.to_vec();
        let answer = reply(layer.input(NOW, packet, &pool));
        assert_eq!(kept.octets.to_vec(), before);
        assert_eq!(message(&answer.octets.to_vec())[8..], payload);
    }
}

#[test]
fn pieces_of_any_size_are_answered() {
    for (six, piece) in [(false, 9), (false, 21), (false, 100), (true, 33), (true, 60), (true, 1)] {
        let (mut layer, pool) = (layer(), pool());
        let payload = counting(301);
        let octets = given(six).octets(&request(six, &payload));
        let answer = reply(layer.input(NOW, packet_in_pieces(&octets, piece, &pool), &pool));
        assert_eq!(message(&answer.octets.to_vec())[8..], payload, "{six} {piece}");
        assert!(answer.octets.front().unwrap().len() >= 28);
    }
}

#[test]
fn a_long_ping_is_put_together_and_answered_in_fragments() {
    for six in [false, true] {
        for size in [1473, 2953, 4000, 65_500] {
            let (mut layer, pool) = (layer(), pool());
            let limits = Limits { fragment_octets_per_source: 1 << 20, ..Limits::default() };
            layer = if size > 4000 { layer_with(limits) } else { layer };
            let payload = counting(size);
            let whole = request(six, &payload);
            let mut answer = None;
            let step = if six { 1448 } else { 1480 };
            for (index, part) in whole.chunks(step).enumerate() {
                assert!(answer.is_none());
                let more = (index + 1) * step < whole.len();
                let fragment = Some((77, index * step, more));
                let octets = Given { fragment, ..given(six) }.octets(part);
                match arrive(&mut layer, &octets, &pool) {
                    Input::Consumed => assert!(more),
                    input => answer = Some(reply(input)),
                }
            }
            let mut packets = vec![answer.unwrap()];
            packets.extend(core::iter::from_fn(|| layer.poll_reply()));
            let message = put_together(six, &packets);
            assert_eq!(message[8..], payload, "{six} {size}");
            let pseudo = if six { pseudo_6(OURS_6, PEER_6, 58, message.len()) } else { 0 };
            assert_eq!(checksum::finish(pseudo + checksum::sum(&message)), 0);
            drop(packets);
            assert_eq!((pool.stats().used_octets, layer.stats().fragment_octets), (0, 0));
        }
    }
}

fn put_together(six: bool, packets: &[Packet]) -> Vec<u8> {
    let mut message = vec![];
    let mut identifications = vec![];
    for (index, packet) in packets.iter().enumerate() {
        let octets = packet.octets.to_vec();
        assert!(octets.len() <= 1500);
        let last = index + 1 == packets.len();
        let (offset, more, identification, header) = if six {
            let header = ipv6::parse(&octets, octets.len()).unwrap();
            let upper = ipv6::walk(header.next_header, &octets[40..]).unwrap();
            let fragment = upper.fragment.unwrap();
            assert_eq!((upper.protocol, upper.offset), (58, 8));
            (fragment.offset, fragment.more, fragment.identification, 48)
        } else {
            let (header, _) = ipv4::parse(&octets, octets.len()).unwrap();
            assert!(!header.dont_fragment);
            let identification = u32::from(header.identification);
            (header.fragment_offset, header.more_fragments, identification, 20)
        };
        assert_eq!((usize::from(offset), more), (message.len(), !last));
        assert!(packet.octets.front().unwrap().len() >= header + if index == 0 { 8 } else { 0 });
        identifications.push(identification);
        message.extend(&octets[header..]);
    }
    assert!(identifications.iter().all(|other| *other == identifications[0]));
    message
}

#[test]
fn pings_are_rate_limited() {
    let limits = Limits { echo_replies_per_second: 50, ..Limits::default() };
    let (mut layer, pool) = (layer_with(limits), pool());
    let octets = v4(1).octets(&request(false, &[]));
    let mut answered = 0;
    for micros in 0..10_000u64 {
        let now = NOW + Span::from_micros(micros * 100);
        match layer.input(now, packet(&octets, &pool), &pool) {
            Input::Reply(_) => answered += 1,
            input => assert_eq!(drop_reason(input), DropReason::IcmpLimited),
        }
    }
    assert!((50..=55).contains(&answered), "{answered}");
}

#[test]
fn an_empty_pool_lets_no_half_answer_out() {
    let mut layer = layer();
    let pool = FramePool::new(&PoolConfig { octets: 1 << 20, reserve_small: 0 });
    let whole = request(false, &counting(3000));
    let mut parts = vec![];
    for (index, part) in whole.chunks(1480).enumerate() {
        let fragment = Some((1, index * 1480, (index + 1) * 1480 < whole.len()));
        parts.push(packet(&Given { fragment, ..v4(1) }.octets(part), &pool));
    }
    let mut hoard = vec![];
    while let Some(frame) = pool.take_control(0) {
        hoard.push(frame);
    }
    hoard.pop();
    let mut last = Input::Consumed;
    for part in parts {
        last = layer.input(NOW, part, &pool);
    }
    assert_eq!(drop_reason(last), DropReason::PoolEmpty);
    assert!(layer.poll_reply().is_none());
}
