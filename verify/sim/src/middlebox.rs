//! Boxes on the path that do not know accurate ECN. Owns: what one does to a packet.
//! Must not know: connections; a box here has no memory.
//! The checksum is corrected, as by a box that means to be harmless.

use crate::view::complete;
use usertcp_wire::checksum;

/// What is done to TCP packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Middlebox {
    /// Nothing.
    #[default]
    Transparent,
    /// Options of accurate ECN are overwritten with NOPs.
    StripsOption,
    /// Their counters become zero.
    ZeroesOption,
    /// Packets with such an option are lost.
    DropsOption,
    /// The three bits are cleared on packets without SYN.
    ClearsAce,
    /// The three bits are cleared on all packets.
    ClearsFlags,
    /// SYNs with any of the three bits are lost.
    DropsSyn,
    /// The ECN field of the IP header is cleared.
    Bleaches,
}

const SYN: u8 = 0x02;
const ECN_FLAGS: u8 = 0xC0;

/// Passes `packet` on, changed or not; false when it is lost.
pub fn pass(middlebox: Middlebox, packet: &mut [u8]) -> bool {
    if middlebox == Middlebox::Bleaches {
        bleach(packet);
        return true;
    }
    let Some(start) = tcp_start(packet) else { return true };
    let syn = packet[start + 13] & SYN != 0;
    let flagged = packet[start + 13] & ECN_FLAGS != 0 || packet[start + 12] & 1 != 0;
    let options = accurate_options(packet, start);
    match middlebox {
        Middlebox::Transparent | Middlebox::Bleaches => return true,
        Middlebox::DropsOption => return options.is_empty(),
        Middlebox::DropsSyn => return !(syn && flagged && packet[start + 13] & 0x10 == 0),
        Middlebox::StripsOption => options.iter().for_each(|option| packet[option.clone()].fill(1)),
        Middlebox::ZeroesOption => {
            options.iter().for_each(|option| packet[option.start + 2..option.end].fill(0));
        }
        Middlebox::ClearsAce | Middlebox::ClearsFlags => {
            if syn && middlebox == Middlebox::ClearsAce {
                return true;
            }
            packet[start + 13] &= !ECN_FLAGS;
            packet[start + 12] &= !1;
        }
    }
    complete(packet, start);
    true
}

/// Where the TCP header begins, if a whole one is there and nothing lies between.
fn tcp_start(packet: &[u8]) -> Option<usize> {
    let (start, protocol) = match packet.first()? >> 4 {
        4 => (usize::from(packet[0] & 15) * 4, *packet.get(9)?),
        _ => (40, *packet.get(6)?),
    };
    let words = usize::from(*packet.get(start + 12)? >> 4);
    let fragment = packet[0] >> 4 == 4 && (packet[6] & 0x3F, packet[7]) != (0, 0);
    let whole = words >= 5 && packet.len() >= start + words * 4;
    (protocol == 6 && whole && !fragment).then_some(start)
}

/// Where the options of accurate ECN lie.
fn accurate_options(packet: &[u8], start: usize) -> Vec<std::ops::Range<usize>> {
    let end = start + usize::from(packet[start + 12] >> 4) * 4;
    let (mut at, mut found) = (start + 20, Vec::new());
    while at < end && packet[at] != 0 {
        if packet[at] == 1 {
            at += 1;
            continue;
        }
        let Some(length) = packet.get(at + 1).map(|length| usize::from(*length)) else { break };
        if length < 2 || at + length > end {
            break;
        }
        if matches!(packet[at], 172 | 174) {
            found.push(at..at + length);
        }
        at += length;
    }
    found
}

fn bleach(packet: &mut [u8]) {
    match packet.first().map(|first| first >> 4) {
        Some(4) if packet.len() >= 20 => {
            packet[1] &= !3;
            let header = usize::from(packet[0] & 15) * 4;
            packet[10..12].fill(0);
            let sum = checksum::finish(checksum::sum(&packet[..header.min(packet.len())]));
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        Some(6) if packet.len() >= 40 => packet[1] &= !0x30,
        _ => {}
    }
}
