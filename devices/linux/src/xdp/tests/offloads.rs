//! Checksums left unfinished, told from all others.
use crate::xdp::PartialChecksums;
use crate::xdp::offload::checksum_state;
use usertcp_device::ChecksumState;

fn sum(octets: &[u8]) -> u16 {
    let mut sum: u32 = octets
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])))
        .sum();
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    sum as u16
}

/// A frame with a segment of `payload` octets, and its pseudo header.
fn segment(six: bool, options: usize, payload: usize) -> (Vec<u8>, Vec<u8>) {
    let tcp_octets = 20 + payload;
    let mut frame = vec![0xAA; 12];
    let (addresses, length) = if six {
        let addresses: Vec<u8> = (0..32_u8).map(|at| at.wrapping_mul(71)).collect();
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        frame.extend((tcp_octets as u16).to_be_bytes());
        frame.extend([6, 64]);
        (addresses, (tcp_octets as u32).to_be_bytes().to_vec())
    } else {
        let total = (20 + options + tcp_octets) as u16;
        frame.extend([8, 0, 0x45 + (options / 4) as u8, 0]);
        frame.extend(total.to_be_bytes());
        frame.extend([0, 1, 0x40, 0, 64, 6, 0, 0]);
        (vec![10, 0, 255, 1, 192, 168, 200, 2], (tcp_octets as u16).to_be_bytes().to_vec())
    };
    frame.extend(&addresses);
    frame.extend(vec![1; if six { 0 } else { options }]);
    frame.extend([0, 80, 0x30, 0x39, 1, 2, 3, 4, 5, 6, 7, 8, 0x50, 0x10, 4, 0, 0, 0, 0, 0]);
    frame.extend((0..payload).map(|at| at as u8 | 1));
    (frame, [&addresses[..], &[0, 6], &length].concat())
}

#[test]
fn the_pseudo_headers_sum_is_recognised_and_nothing_else() {
    for (six, options) in [(false, 0), (false, 8), (false, 40), (true, 0)] {
        for payload in [0, 1, 64, 1000, 1448] {
            let (mut frame, pseudo) = segment(six, options, payload);
            let at = frame.len() - payload - 4;
            let transport = frame.len() - payload - 20;
            let full = !sum(&[&pseudo[..], &frame[transport..]].concat());
            let partial = sum(&pseudo);
            let mut state = |field: u16| {
                frame[at..at + 2].copy_from_slice(&field.to_be_bytes());
                checksum_state(&frame)
            };
            assert_eq!(state(partial), ChecksumState::Verified);
            for other in [full, !partial, partial ^ 1, partial ^ 0x8000, 0, 0xFFFF] {
                assert_eq!(state(other), ChecksumState::Unverified, "{other:#x}");
            }
            // What follows in other buffers does not matter, padding behind does not either.
            assert_eq!(state(partial), ChecksumState::Verified);
            assert_eq!(checksum_state(&frame[..at + 4]), ChecksumState::Verified);
            let padded = [&frame[..], &[0; 6]].concat();
            assert_eq!(checksum_state(&padded), ChecksumState::Verified);
        }
    }
}

#[test]
fn what_is_not_a_whole_tcp_segment_is_not_vouched_for() {
    let (good, pseudo) = {
        let (mut frame, pseudo) = segment(false, 0, 10);
        let field = sum(&pseudo).to_be_bytes();
        frame[50..52].copy_from_slice(&field);
        (frame, pseudo)
    };
    assert_eq!(checksum_state(&good), ChecksumState::Verified);
    assert_eq!(pseudo.len(), 12);
    let changed = |at: usize, octet: u8| {
        let mut frame = good.clone();
        frame[at] = octet;
        checksum_state(&frame)
    };
    let changes = [
        (12, 9),    // another protocol above Ethernet
        (14, 0x65), // another version
        (14, 0x44), // a header too short
        (14, 0x4F), // a header beyond the packet
        (20, 0x20), // more fragments
        (21, 1),    // a fragment
        (23, 17),   // UDP
        (16, 1),    // another length
        (30, 11),   // another address
    ];
    for (at, octet) in changes {
        assert_eq!(changed(at, octet), ChecksumState::Unverified, "octet {at}");
    }
    for octets in 0..52 {
        assert_eq!(checksum_state(&good[..octets]), ChecksumState::Unverified);
    }
}

#[test]
fn only_devices_without_a_wire_are_trusted_by_themselves() {
    let decide =
        |how: PartialChecksums| ["veth", "virtio_net", "ixgbe", ""].map(|d| how.accepts(d));
    assert_eq!(decide(PartialChecksums::Auto), [true, false, false, false]);
    assert_eq!(decide(PartialChecksums::Accept), [true; 4]);
    assert_eq!(decide(PartialChecksums::Refuse), [false; 4]);
    assert_eq!(PartialChecksums::default(), PartialChecksums::Auto);
}
