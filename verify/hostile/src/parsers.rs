//! Bytes into every parser of the wire, and into the IP layer.
//! Owns: what must hold of a parsed header. Must not know: connections.

use crate::arena::{START, ours, theirs};
use crate::choice::Choice;
use crate::forge::{self, Part};
use core::net::IpAddr;
use usertcp_base::{DropReason, Ecn, Instant, Limits, Secrets, Span};
use usertcp_frame::{Chain, Class, FramePool, Packet, PoolConfig};
use usertcp_ip::{Cidr, Input, Ip, IpConfig, Link, LinkConfig};
use usertcp_wire::tcp::{self, EmitChecksum};
use usertcp_wire::{arp, checksum, ethernet, icmp, icmpv4, icmpv6, ipv4, ipv6, ndp};

/// Every parser over the same bytes, then the bytes as packets and fragments for the IP layer.
pub fn run(bytes: &[u8]) {
    headers(bytes);
    network(&mut Choice::new(bytes));
    link(bytes);
}

/// Each header parser alone: no panic, and what it claims lies within what there was.
pub fn headers(bytes: &[u8]) {
    for octets in [bytes.len(), bytes.len() + 1, 20, 60, 65_535] {
        if let Ok((header, options, taken)) = tcp::parse(bytes, octets) {
            assert!((20..=60).contains(&taken) && taken <= bytes.len() && taken <= octets);
            round_trip(&header, &options);
        }
        if let Ok((header, taken)) = ipv4::parse(bytes, octets) {
            assert!((20..=60).contains(&taken) && taken <= usize::from(header.total_octets));
            assert!(usize::from(header.total_octets) <= octets);
        }
        let _ = ipv6::parse(bytes, octets);
    }
    let _ = ipv4::parse_unverified(bytes);
    let _ = ipv6::parse_unverified(bytes);
    if let [kind, rest @ ..] = bytes
        && let Ok(upper) = ipv6::walk(*kind, rest)
    {
        assert!(upper.offset <= rest.len());
        assert!(upper.protocol_at.is_none_or(|at| at < upper.offset));
    }
    for message in [icmpv4::parse(bytes), icmpv6::parse(bytes)] {
        if let Ok(icmp::Message::Error { quote, .. }) = message {
            let _ = (icmp::quote_v4(quote), icmp::quote_v6(quote));
        }
    }
    let _ = (icmp::quote_v4(bytes), icmp::quote_v6(bytes));
    let _ = (ethernet::parse(bytes), arp::parse(bytes), ndp::is_discovery(bytes));
    if let Ok(packet) = ndp::parse(bytes) {
        let mut out = [0; ndp::LONGEST_OCTETS];
        let count = ndp::emit(&mut out, &packet);
        assert_eq!(ndp::parse(&out[..count]), Ok(packet));
    }
}

/// The link layer: the bytes as a frame for us, as ARP, as neighbour discovery with a sum that is
/// right, and as a packet to send.
fn link(bytes: &[u8]) {
    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
    let pool = FramePool::new(&PoolConfig { octets: 1 << 20, ..PoolConfig::default() });
    let Some(secrets) = Secrets::from_seed([3; 32]) else { return };
    let addresses =
        [Cidr::new(ours(false), 8), Cidr::new(ours(true), 64)].into_iter().flatten().collect();
    let limits = Limits { neighbours: 4, neighbours_unresolved: 2, ..Limits::default() };
    let config =
        LinkConfig { mac: MAC, addresses, gateways: vec![theirs(true, 9)], limits, secrets };
    let mut link = Link::new(config, START);
    for (number, fixed) in [
        (0x0800, &[][..]),
        (0x86DD, &[]),
        (0x0806, &[0, 1, 8, 0, 6, 4, 0]),
        (0x86DD, &[0x60, 0, 0, 0, 0, 32, 58, 255]),
    ] {
        let mut frame = MAC.to_vec();
        frame.extend([2, 0, 0, 0, 0, 9]);
        frame.extend(u16::to_be_bytes(number));
        frame.extend(fixed.iter().chain(bytes).take(400));
        if number == 0x86DD && !fixed.is_empty() {
            seal(&mut frame[14..]);
        }
        let Some(octets) = pool.copy_of(&frame, 0) else { continue };
        let _ = link.input(START, &mut Packet::plain(octets.into()), &pool);
    }
    if let Some(octets) = pool.copy_of(&bytes[..bytes.len().min(400)], 16) {
        let _ = link.output(START, &mut Packet::plain(octets.into()), &pool);
    }
    let stats = link.stats();
    assert!(stats.neighbours <= 4 && stats.incomplete <= 2, "{stats:?}");
    for second in 1..10 {
        link.expire(START + Span::from_secs(second), &pool);
    }
    while link.poll_frame().is_some() || link.poll_unreachable().is_some() {}
    assert_eq!((pool.stats().used_octets, link.next_deadline()), (0, None));
}

/// Makes the ICMP checksum of an IPv6 packet with a payload of 32 octets right.
fn seal(packet: &mut [u8]) {
    let Some((fixed, [kind, code, high, low, rest @ ..])) = packet.split_at_mut_checked(40) else {
        return;
    };
    let Some(rest) = rest.get(..28) else { return };
    let address = |at: usize| fixed[at..at + 16].try_into().unwrap_or_default();
    let pseudo = checksum::pseudo_v6(address(8), address(24), icmpv6::PROTOCOL, 32);
    let first = checksum::sum(&[*kind, *code]);
    let field = checksum::finish(pseudo + first + checksum::sum(rest));
    [*high, *low] = field.to_be_bytes();
}

/// What was parsed, emitted, parses to the same where emission keeps it.
fn round_trip(header: &tcp::Header, options: &tcp::Options) {
    let mut out = [0; 60];
    let octets = tcp::emit(&mut out, header, options, EmitChecksum::Full(0));
    assert_eq!(octets, tcp::header_len(options, header.flags));
    let again = tcp::parse(&out[..octets], octets);
    let Ok((same, kept, taken)) = again else { panic!("cannot read our own header: {again:?}") };
    assert_eq!((same, taken), (*header, octets));
    assert_eq!(kept.timestamps, options.timestamps, "{options:?} {kept:?}");
    assert_eq!(kept.mss, options.mss);
    assert_eq!(kept.sack_permitted, options.sack_permitted);
    assert!(options.sack.starts_with(&kept.sack));
}

/// The IP layer: packets and fragments until the bytes are used up, then time.
pub fn network(choice: &mut Choice<'_>) {
    let pool = FramePool::new(&PoolConfig { octets: 1 << 20, ..PoolConfig::default() });
    let Some(secrets) = Secrets::from_seed([3; 32]) else { return };
    let address = |v6, prefix| Cidr::new(ours(v6), prefix).ok();
    let limits = Limits {
        fragment_octets: 64 << 10,
        fragment_octets_per_source: 16 << 10,
        ..Limits::default()
    };
    let mut ip = Ip::new(IpConfig {
        addresses: [address(false, 8), address(true, 64)].into_iter().flatten().collect(),
        mtu: 1500,
        limits: limits.clone(),
        secrets,
    });
    let mut now = START;
    for _ in 0..64 {
        if choice.is_over() {
            break;
        }
        let octets = next_packet(choice);
        let Some(chain) = in_pieces(&pool, &octets, choice) else { continue };
        input(&mut ip, now, chain, &pool);
        assert!(ip.stats().fragment_octets <= limits.fragment_octets as usize);
        if choice.one_in(16) {
            now = now + Span::from_micros(u64::from(choice.word()));
            ip.expire(now);
        }
    }
    now = now + Span::from_secs(3600);
    ip.expire(now);
    while ip.poll_drop().is_some() {}
    assert!(ip.next_deadline().is_none() && ip.stats().incomplete == 0, "{:?}", ip.stats());
    assert_eq!(pool.stats().used_octets, 0, "{:?}", pool.stats());
}

fn input(ip: &mut Ip, now: Instant, chain: Chain, pool: &FramePool) {
    let octets = chain.len();
    match ip.input(now, Packet::plain(chain), pool) {
        Input::Tcp(input) => {
            if let Some(front) = input.octets.front()
                && let Err(reason) = tcp::parse(front, input.octets.len())
            {
                let whole = input.octets.to_vec();
                let again = tcp::parse(&whole, whole.len());
                assert_eq!(again.map(|_| ()).err(), Some(reason), "a header cut in two");
            }
        }
        Input::Reply(packet) => {
            let mut sent = packet.len();
            while let Some(more) = ip.poll_reply() {
                sent += more.len();
            }
            // The echo of a reassembled datagram has more headers than its last fragment.
            assert!(sent <= octets.max(66_000) + 1280, "{octets} brought {sent}");
        }
        Input::Signal(_) | Input::Consumed => {}
        Input::Drop(reason) => {
            let _: DropReason = reason;
        }
    }
    while ip.poll_drop().is_some() {}
}

/// A packet: anything, or an IP header that is right around anything.
fn next_packet(choice: &mut Choice<'_>) -> Vec<u8> {
    let selector = choice.octet();
    let v6 = selector & 1 == 1;
    let source = if selector & 0x30 == 0x30 { address(choice, v6) } else { theirs(v6, 1) };
    let destination = if selector & 0xC0 == 0xC0 { address(choice, v6) } else { ours(v6) };
    let protocol = choice.of([6, 1, 58, 17, 0, 43, 44, 50, 51, 59, 60, 4, 41, 255]);
    let length = match choice.below(8) {
        7 => choice.pair() as usize % 3000,
        _ => choice.octet() as usize,
    };
    let mut body = choice.take(length).to_vec();
    if choice.one_in(4) {
        body.resize(body.len().max(length), selector);
    }
    match (selector >> 1) % 8 {
        0 => body,
        1..=3 => {
            let part = Part {
                identification: u32::from(choice.octet() % 4),
                offset: choice.octet() as u16 % 64 * 8,
                more: choice.one_in(2),
            };
            forge::part(source, destination, protocol, &body, Ecn::NotCapable, part)
        }
        4 => {
            let kind = (choice.octet(), choice.octet() % 16);
            forge::icmp(source, destination, kind, choice.word(), &body)
        }
        _ => forge::packet(source, destination, protocol, &body, Ecn::NotCapable),
    }
}

fn address(choice: &mut Choice<'_>, v6: bool) -> IpAddr {
    if v6 {
        let mut octets = [0; 16];
        for (to, from) in octets.iter_mut().zip(choice.take(16)) {
            *to = *from;
        }
        IpAddr::V6(octets.into())
    } else {
        IpAddr::V4(choice.word().into())
    }
}

fn in_pieces(pool: &FramePool, octets: &[u8], choice: &mut Choice<'_>) -> Option<Chain> {
    let mut chain = Chain::new();
    let mut rest = octets;
    let small = choice.one_in(4);
    while !rest.is_empty() {
        let most = if small { 1 + choice.below(64) as usize } else { usize::MAX };
        let mut frame = pool.take(Class::Full, 0)?;
        let taken = frame.extend(&rest[..rest.len().min(most)]);
        rest = &rest[taken..];
        chain.push_back(frame.into_slice());
    }
    Some(chain)
}
