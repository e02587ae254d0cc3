//! Which frames the kernel hands over.
//! Owns: the program of the socket's filter (classic BPF). Must not know: sockets.
//!
//! A packet socket sees what the whole host receives. Only frames for our own addresses, ARP, and
//! IPv6 groups (neighbour discovery) are to cost us anything. The kernel takes VLAN tags off before
//! we see a frame: one that had a tag is of another network, and is refused here, as nobody could
//! tell later.

use std::net::IpAddr;

/// One instruction: operation, jumps if true and if false, operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Instruction {
    pub(super) code: u16,
    pub(super) if_true: u8,
    pub(super) if_false: u8,
    pub(super) operand: u32,
}

/// Load a word, a half, an octet from an offset; compare; jump; return.
const LOAD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_OCTET: u16 = 0x30;
const EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
/// Where the kernel tells whether there was a VLAN tag (SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT).
const HAD_VLAN_TAG: u32 = -0x1000i32 as u32 + 48;

/// Offsets in an Ethernet frame.
const KIND: u32 = 12;
const NEXT_HEADER_V6: u32 = 14 + 6;
const ICMP_TYPE_V6: u32 = 14 + 40;
const DESTINATION_V4: u32 = 14 + 16;
const DESTINATION_V6: u32 = 14 + 24;
/// With more addresses of a family than this, frames for others are refused by the stack alone.
const MOST_ADDRESSES: usize = 16;

fn step(code: u16, operand: u32) -> Instruction {
    Instruction { code, if_true: 0, if_false: 0, operand }
}

/// Goes on when the value is `operand`, else jumps over `skip` instructions.
fn only_if(operand: u32, skip: usize) -> Instruction {
    // Every block is shorter than 256 instructions: sixteen addresses of nine at most.
    let if_false = u8::try_from(skip).unwrap_or(u8::MAX);
    Instruction { code: EQUAL, if_true: 0, if_false, operand }
}

fn accept() -> Instruction {
    step(RETURN, u32::MAX)
}

fn refuse() -> Instruction {
    step(RETURN, 0)
}

/// What a socket is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    /// Everything that is ours: it is the only one.
    All,
    /// Packets. What is about neighbours comes by another socket.
    Packets,
    /// What is about neighbours: every shard must hear it.
    Neighbours,
}

/// The program for our `addresses`.
pub(super) fn program(addresses: &[IpAddr], purpose: Purpose) -> Vec<Instruction> {
    const SOLICITATION: u32 = 135;
    const ADVERTISEMENT: u32 = 136;
    const ICMP: u32 = 58;
    let (arp, four, six) = match purpose {
        Purpose::All => (accept(), for_v4(addresses), for_v6(addresses)),
        Purpose::Packets => (refuse(), for_v4(addresses), for_v6(addresses)),
        Purpose::Neighbours => (accept(), vec![refuse()], Vec::new()),
    };
    let is_neighbours = if purpose == Purpose::Neighbours { accept() } else { refuse() };
    let six = match purpose {
        Purpose::All => six,
        Purpose::Packets | Purpose::Neighbours => {
            let mut block = vec![step(LOAD_OCTET, NEXT_HEADER_V6), only_if(ICMP, 5)];
            block.push(step(LOAD_OCTET, ICMP_TYPE_V6));
            for kind in [SOLICITATION, ADVERTISEMENT] {
                block.extend([only_if(kind, 1), is_neighbours]);
            }
            if purpose == Purpose::Neighbours {
                block.push(refuse());
            }
            block.extend(six);
            block
        }
    };
    // Without a tag, over the refusal.
    let untagged = Instruction { if_true: 1, ..step(EQUAL, 0) };
    let mut program = vec![step(LOAD, HAD_VLAN_TAG), untagged, refuse(), step(LOAD_HALF, KIND)];
    for (kind, block) in [(0x0806, vec![arp]), (0x0800, four), (0x86DD, six)] {
        program.push(only_if(kind, block.len()));
        program.extend(block);
    }
    program.push(refuse());
    program
}

/// Ends for every frame of IPv4.
fn for_v4(addresses: &[IpAddr]) -> Vec<Instruction> {
    let ours: Vec<u32> = addresses
        .iter()
        .filter_map(|address| match address {
            IpAddr::V4(address) => Some(address.to_bits()),
            IpAddr::V6(_) => None,
        })
        .collect();
    if ours.len() > MOST_ADDRESSES {
        return vec![accept()];
    }
    let mut block = vec![step(LOAD, DESTINATION_V4)];
    for address in ours {
        block.extend([only_if(address, 1), accept()]);
    }
    block.push(refuse());
    block
}

/// Ends for every frame of IPv6.
fn for_v6(addresses: &[IpAddr]) -> Vec<Instruction> {
    let ours: Vec<[u8; 16]> = addresses
        .iter()
        .filter_map(|address| match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => Some(address.octets()),
        })
        .collect();
    if ours.is_empty() {
        return vec![refuse()];
    }
    if ours.len() > MOST_ADDRESSES {
        return vec![accept()];
    }
    let mut block = vec![step(LOAD_OCTET, DESTINATION_V6), only_if(0xFF, 1), accept()];
    for address in ours {
        let words = address.as_chunks::<4>().0;
        for (at, word) in (0u32..).zip(words) {
            // What is left of this address: three instructions for each word, the last accepts.
            let left = (words.len() - at as usize - 1) * 2 + 1;
            block.push(step(LOAD, DESTINATION_V6 + 4 * at));
            block.push(only_if(u32::from_be_bytes(*word), left));
        }
        block.push(accept());
    }
    block.push(refuse());
    block
}
