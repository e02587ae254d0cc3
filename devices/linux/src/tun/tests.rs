//! Tests that need no device.
use super::*;
use crate::offload;
use usertcp_device::{ChecksumState, Gso, GsoKind, Offload};

/// A header in the machine's byte order.
fn header(flags: u8, gso: u8, words: [u16; 4]) -> [u8; offload::HEADER_OCTETS] {
    let mut out = [flags, gso, 0, 0, 0, 0, 0, 0, 0, 0];
    for (pair, word) in out[2..].chunks_mut(2).zip(words) {
        pair.copy_from_slice(&word.to_ne_bytes());
    }
    out
}

#[test]
fn received_headers_become_offloads() {
    let plain = offload::decode(&header(0, 0, [0; 4])).unwrap();
    assert_eq!(plain, Offload::default());
    let partial = offload::decode(&header(1, 0, [0, 0, 20, 16])).unwrap();
    assert_eq!(partial.checksum, ChecksumState::Verified);
    assert_eq!(offload::decode(&header(2, 0, [0; 4])).unwrap().checksum, ChecksumState::Verified);
    let marked = offload::decode(&header(1, 0x81, [60, 1448, 20, 16])).unwrap();
    assert_eq!(marked.gso, Some(Gso { kind: GsoKind::Tcp4, segment_octets: 1448 }));
    assert_eq!(marked.header_octets, 60);
    let six = offload::decode(&header(1, 4, [80, 1428, 40, 16])).unwrap();
    assert_eq!(six.gso.unwrap().kind, GsoKind::Tcp6);
    assert!(offload::decode(&header(1, 5, [0; 4])).is_none(), "UDP was not agreed to");
    assert_eq!(offload::decode(&header(0, 1, [0; 4])).unwrap().gso, None, "no size, no cut");
}

#[test]
fn offloads_become_headers_to_send() {
    assert_eq!(offload::encode(&Offload::default(), &[]), header(0, 0, [0; 4]));
    let mut wanted = Offload {
        checksum: ChecksumState::Partial { start: 20, offset: 16 },
        gso: Some(Gso { kind: GsoKind::Tcp4, segment_octets: 1448 }),
        header_octets: 52,
    };
    let mut packet = [0; 60];
    assert_eq!(offload::encode(&wanted, &packet), header(1, 1, [52, 1448, 20, 16]));
    packet[33] = 0x80; // CWR
    wanted.gso = Some(Gso { kind: GsoKind::Tcp6, segment_octets: 1448 });
    assert_eq!(offload::encode(&wanted, &packet), header(1, 0x84, [52, 1448, 20, 16]));
    wanted.gso = None;
    assert_eq!(offload::encode(&wanted, &packet), header(1, 0, [52, 0, 20, 16]));
}

#[test]
fn prefixes_are_read_and_written() {
    for text in ["10.9.0.1/24", "fd00::1/64", "0.0.0.0/0", "::/0"] {
        assert_eq!(text.parse::<Cidr>().unwrap().to_string(), text);
    }
    assert_eq!("10.9.0.1".parse::<Cidr>().unwrap().prefix_bits, 32);
    assert_eq!("::1".parse::<Cidr>().unwrap().prefix_bits, 128);
    for wrong in ["", "10.9.0.1/33", "::1/129", "10.9.0/24", "10.9.0.1/", "10.9.0.1/-1"] {
        let error = wrong.parse::<Cidr>().unwrap_err();
        assert!(error.to_string().contains("10.9.0.1/24"));
    }
    let network = |text: &str| text.parse::<Cidr>().unwrap().network().to_string();
    assert_eq!(network("10.9.255.1/20"), "10.9.240.0/20");
    assert_eq!(network("fd00:1:2:3:4::5/48"), "fd00:1:2::/48");
    assert_eq!(
        (network("1.2.3.4/0"), network("1.2.3.4/32")),
        ("0.0.0.0/0".into(), "1.2.3.4/32".into())
    );
}

#[test]
fn impossible_configurations_are_refused_before_anything_is_opened() {
    for name in ["", "a-name-too-long!", "a/b", "a b", "..", "utcp%d", "a:b", "ü"] {
        let config = TunConfig { name: name.into(), ..TunConfig::default() };
        assert!(matches!(Tun::open(&config), Err(OpenError::BadName { .. })), "{name:?}");
    }
    let six = vec!["fd00::1/64".parse().unwrap()];
    let configs = [
        TunConfig { queues: 0, ..TunConfig::default() },
        TunConfig { queues: 257, ..TunConfig::default() },
        TunConfig { mtu: 67, ..TunConfig::default() },
        TunConfig { mtu: 1279, addresses: six, ..TunConfig::default() },
    ];
    for config in configs {
        assert!(matches!(Tun::open(&config), Err(OpenError::BadConfig { .. })));
    }
}
