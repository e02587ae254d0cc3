//! The packets of RFC 9235: key "testvector", identifiers 61 (client to server) and 84, each verified
//! by the receiving end and signed again, octet for octet, by the sending one.

use super::*;
use std::net::{Ipv4Addr, Ipv6Addr};

/// What the BGP messages of all vectors share, but for the AS number and the identifier.
const OPEN: [&str; 4] = [
    "ffffffffffffffffffffffffffffffff00430104",
    "00b4",
    "26020601040001000102028000020202000202420002064104 0000",
    "02084006006400010100",
];

struct Vector {
    section: &'static str,
    algorithm: Algorithm,
    cover_options: bool,
    /// SYN, SYN-ACK, data of the client, data of the server.
    packets: [&'static str; 4],
    /// AS number and identifier in the client's and the server's message.
    bgp: [(&'static str, &'static str); 2],
}

const BGP4: [(&str, &str); 2] = [("dabf", "0a0b0c0d"), ("dac0", "ac1b1c1d")];
const BGP6: [(&str, &str); 2] = [("fde8", "01010179"), ("fde8", "0101017a")];

const VECTORS: [Vector; 8] = [
    Vector {
        section: "4.1",
        algorithm: Algorithm::HmacSha1,
        cover_options: true,
        bgp: BGP4,
        packets: [
            "45e0004cdd0f4000ff06bf6b0a0b0c0dac1b1c1de9d700b3fbfbab5a00000000e002ffffcac40000020405b401030308
             0402080a00155ab7000000001d103d542ee437c6f8ede6d7c4d602e7",
            "45e0004c65064000ff063775ac1b1c1d0a0b0c0d00b3e9d711c14261fbfbab5be012ffff37760000020405b401030308
             0402080a84a50beb00155ab71d10543deeab0fe24c3010815116b3be",
            "45e0008736a14000ff06659f0a0b0c0dac1b1c1de9d700b3fbfbab5b11c14262c0180104a16200000101080a00155ac1
             84a50beb1d103d547064cf998cc6c315c2c2e2bf",
            "45e000871fa94000ff067c97ac1b1c1d0a0b0c0d00b3e9d711c14262fbfbab9ec0180100400c00000101080a84a50bf5
             00155ac11d10543da63f0ecbbb2e635c954deac7",
        ],
    },
    Vector {
        section: "4.2",
        algorithm: Algorithm::HmacSha1,
        cover_options: false,
        bgp: BGP4,
        packets: [
            "45e0004c53994000ff0648e20a0b0c0dac1b1c1dff1200b3cb0efbee00000000e002ffff541f0000020405b401030308
             0402080a00024cce000000001d103d5480af3cfeb85368937b8f9ec2",
            "45e0004c32844000ff0669f7ac1b1c1d0a0b0c0d00b3ff12acd5b5e1cb0efbefe012ffff388e0000020405b401030308
             0402080a576772f300024cce1d10543d09306f9acea63a8c68cb9a70",
            "45e00087a8f54000ff06f34a0a0b0c0dac1b1c1dff1200b3cb0efbefacd5b5e2c01801046c4500000101080a00024cce
             576772f31d103d54710608cc696c03a271c93aa5",
            "45e0008754374000ff064809ac1b1c1d0a0b0c0d00b3ff12acd5b5e2cb0efc32c018010046b600000101080a576772f3
             00024cce1d10543d97766e48ac262de9ae61b4f9",
        ],
    },
    Vector {
        section: "5.1",
        algorithm: Algorithm::AesCmac,
        cover_options: true,
        bgp: BGP4,
        packets: [
            "45e0004c7b9f4000ff0620dc0a0b0c0dac1b1c1dc4fa00b3787a1ddf00000000e002ffff5a0f0000020405b401030308
             0402080a00017ed0000000001d103d54e477e99c8040765498e55091",
            "45e0004c4bad4000ff0650ceac1b1c1d0a0b0c0d00b3c4fafadd6de9787a1de0e012fffff3f20000020405b401030308
             0402080a93f4e9e800017ed01d10543dd6ada7bc4cdd536d1769db5f",
            "45e00087fb4f4000ff06a0f00a0b0c0dac1b1c1dc4fa00b3787a1de0fadd6deac0180104950500000101080a00017ed0
             93f4e9e81d103d5477412742fa4dc433eff0973e",
            "45e00087b9144000ff06e32bac1b1c1d0a0b0c0d00b3c4fafadd6dea787a1e23c0180100e7db00000101080a93f4e9e8
             00017ed01d10543df6d965a78382a74845f72dac",
        ],
    },
    Vector {
        section: "5.2",
        algorithm: Algorithm::AesCmac,
        cover_options: false,
        bgp: BGP4,
        packets: [
            "45e0004cf22e4000ff06aa4c0a0b0c0dac1b1c1dda1c00b3389bed7100000000e002ffff70bf0000020405b401030308
             0402080a000185e1000000001d103d54c44e60cb31f7c0b1de3d2749",
            "45e0004c6cc04000ff062fbbac1b1c1d0a0b0c0d00b3da1cd3844a6f389bed72e012ffffe4450000020405b401030308
             0402080ace459838000185e11d10543d3a6abb207e49b1be7136db90",
            "45e00087ee914000ff06adae0a0b0c0dac1b1c1dda1c00b3389bed72d3844a70c0180104885100000101080a000185e1
             ce4598381d103d547585e9e9d5c3ec857b96f837",
            "45e000876a214000ff06321fac1b1c1d0a0b0c0d00b3da1cd3844a70389bed72c0180100044900000101080ace459838
             000185e11d10543d5c040fd9233304765c0982f4",
        ],
    },
    Vector {
        section: "6.1",
        algorithm: Algorithm::HmacSha1,
        cover_options: true,
        bgp: BGP6,
        packets: [
            "6e0891dc00380640fd000000000000000000000000000001fd000000000000000000000000000002f7e400b3176a833f
             00000000e002ffff47210000020405a0010303080402080a0041d087000000001d103d549033ec3d7334b64c5edd039f",
            "6e01009e00380640fd000000000000000000000000000002fd00000000000000000000000000000100b3f7e43f51994b
             176a8340e012ffffbfec0000020405a0010303080402080abd33129b0041d0871d10543df1cba346c3526163f71f1f55",
            "6e0891dc00730640fd000000000000000000000000000001fd000000000000000000000000000002f7e400b3176a8340
             3f51994cc0180100329c00000101080a0041d091bd33129b1d103d54bf0805feb4ac7b163d6fcdf2",
            "6e01009e00730640fd000000000000000000000000000002fd00000000000000000000000000000100b3f7e43f51994c
             176a8383c0180100ee6e00000101080abd3312a50041d0911d10543d6c48125c11335bab9a07a797",
        ],
    },
    Vector {
        section: "6.2",
        algorithm: Algorithm::HmacSha1,
        cover_options: false,
        bgp: BGP6,
        packets: [
            "6e078fcd00380640fd000000000000000000000000000001fd000000000000000000000000000002c6cd00b3020c1e69
             00000000e002ffffa41a0000020405a0010303080402080a009db95b000000001d103d54885698b0530ed4d5a15f8346",
            "6e0a7e1f00380640fd000000000000000000000000000002fd00000000000000000000000000000100b3c6cdeba3734d
             020c1e6ae012ffff774d0000020405a0010303080402080a5ec99b70009db95b1d10543d3c546bad9743f12df8b8010d",
            "6e078fcd00730640fd000000000000000000000000000001fd000000000000000000000000000002c6cd00b3020c1e6a
             eba3734ec018010083e600000101080a009db9655ec99b701d103d5448bd093b1924e001192f5bf0",
            "6e0a7e1f00730640fd000000000000000000000000000002fd00000000000000000000000000000100b3c6cdeba3734e
             020c1eadc0180100716a00000101080a5ec99b7a009db9651d10543d559a819445b4fde98d9e1317",
        ],
    },
    Vector {
        section: "7.1",
        algorithm: Algorithm::AesCmac,
        cover_options: true,
        bgp: BGP6,
        packets: [
            "6e04a70600380640fd000000000000000000000000000001fd000000000000000000000000000002f85a00b3193cccec
             00000000e002ffffde5d0000020405a0010303080402080a13e4ab99000000001d103d5459b588107481ac6dc3927040",
            "6e06152000380640fd000000000000000000000000000002fd00000000000000000000000000000100b3f85aa6744ecb
             193cccede012ffffeabb0000020405a0010303080402080a71daabc813e4ab991d10543ddc2843a84e78a6bcfdc5ed80",
            "6e04a70600730640fd000000000000000000000000000001fd000000000000000000000000000002f85a00b3193ccced
             a6744eccc0180100328000000101080a13e4aba371daabc81d103d547b6a455c0d4f5f01835baab3",
            "6e06152000730640fd000000000000000000000000000002fd00000000000000000000000000000100b3f85aa6744ecc
             193ccd30c018010052f400000101080a71daabd313e4aba31d10543dc1069b7dfd3d693a6df3f289",
        ],
    },
    Vector {
        section: "7.2",
        algorithm: Algorithm::AesCmac,
        cover_options: false,
        bgp: BGP6,
        packets: [
            "6e093d7600380640fd000000000000000000000000000001fd000000000000000000000000000002f28800b3b01da74a
             00000000e002ffff75ff0000020405a0010303080402080a14275b3b000000001d103d543d45b4342de8bb1530847898",
            "6e0c600a00380640fd000000000000000000000000000002fd00000000000000000000000000000100b3f288a6246145
             b01da74be012ffffa70c0000020405a0010303080402080a1782245b14275b3b1d10543d1d01f6c87c6f93acffa9d4b5",
            "6e093d7600730640fd000000000000000000000000000001fd000000000000000000000000000002f28800b3b01da74b
             a6246146c0180100c36d00000101080a14275b4f1782245b1d103d54290cf414ccb47a333276e7f8",
            "6e0c600a00730640fd000000000000000000000000000002fd00000000000000000000000000000100b3f288a6246146
             b01da78ec0180100345100000101080a1782246514275b4f1d10543d99515ffcd5403499f619fd1b",
        ],
    },
];

fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let value = |digit: u8| (digit as char).to_digit(16).unwrap() as u8;
    digits.chunks(2).map(|pair| value(pair[0]) << 4 | value(pair[1])).collect()
}

/// The TCP segments of a vector.
fn segments(vector: &Vector) -> [Vec<u8>; 4] {
    core::array::from_fn(|index| {
        let mut packet = octets(vector.packets[index]);
        if let Some((number, identifier)) = index.checked_sub(2).map(|at| vector.bgp[at]) {
            let [start, hold, options, rest] = OPEN;
            for part in [start, number, hold, identifier, options, number, rest] {
                packet.extend(octets(part));
            }
        }
        let header = if packet[0] >> 4 == 4 { 20 } else { 40 };
        packet.split_off(header)
    })
}

fn key(vector: &Vector, peer: IpAddr, send_id: u8, receive_id: u8) -> AuthKey {
    AuthKey {
        scope: Scope::host(peer),
        kind: KeyKind::Ao {
            send_id,
            receive_id,
            algorithm: vector.algorithm,
            cover_options: vector.cover_options,
            master: master(b"testvector"),
        },
    }
}

/// Client and server, with their keys.
fn ends(vector: &Vector, client_port: u16) -> (End, End) {
    let (client, server): (IpAddr, IpAddr) = if vector.section < "6" {
        (Ipv4Addr::new(10, 11, 12, 13).into(), Ipv4Addr::new(172, 27, 28, 29).into())
    } else {
        let address = |last| Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last).into();
        (address(1), address(2))
    };
    let mut near = End::new((client, client_port), (server, 179));
    let mut far = End::new((server, 179), (client, client_port));
    near.auth.add(key(vector, server, 61, 84)).unwrap();
    far.auth.add(key(vector, client, 84, 61)).unwrap();
    (near, far)
}

// proves 5925-1, 5925-2, OPT-29, RG-2
#[test]
fn every_packet_is_verified_and_signed_alike() {
    for vector in &VECTORS {
        let all = segments(vector);
        let (mut client, mut server) = ends(vector, parse(&all[0]).0.source_port);
        for (index, segment) in all.iter().enumerate() {
            let context = (vector.section, index);
            let (from, to) = if index % 2 == 0 {
                (&mut client, &mut server)
            } else {
                (&mut server, &mut client)
            };
            let mut again = blank(segment);
            let ids = (again != *segment).then(|| from.sign(&mut again)).flatten();
            let expected = if index % 2 == 0 { (61, 84) } else { (84, 61) };
            let option = Authentication::Ao { key_id: expected.0, next_key_id: expected.1 };
            assert_eq!(ids, Some(option), "{context:?}");
            assert_eq!(again, *segment, "{context:?}");
            assert_eq!(to.verify(segment), Ok(()), "{context:?}");
            (from.known, to.known) = (true, true);
        }
    }
}

// proves 5925-4
#[test]
fn every_flipped_bit_is_noticed() {
    for vector in &VECTORS {
        let all = segments(vector);
        let (mut client, mut server) = ends(vector, parse(&all[0]).0.source_port);
        for (index, segment) in all.iter().enumerate() {
            let (from, to) = if index % 2 == 0 {
                (&mut client, &mut server)
            } else {
                (&mut server, &mut client)
            };
            let (_, _, header_octets) = parse(segment);
            for bit in 0..segment.len() * 8 {
                let at = bit / 8;
                // Ports are the flow; the checksum is not covered; with options left out, they are not.
                let uncovered = at < 4 || (16..18).contains(&at) || at == 12;
                let optional = !vector.cover_options && (20..header_octets - 16).contains(&at);
                if uncovered || optional || (20..header_octets).contains(&at) && at % 3 != 0 {
                    continue;
                }
                let mut wrong = segment.clone();
                wrong[at] ^= 1 << (bit % 8);
                if tcp::parse(&wrong, wrong.len()).is_ok() {
                    assert!(to.verify(&wrong).is_err(), "{} {index} {bit}", vector.section);
                }
            }
            let _ = from.sign(&mut segment.clone());
            assert_eq!(to.verify(segment), Ok(()));
            (from.known, to.known) = (true, true);
        }
    }
}
