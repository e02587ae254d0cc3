//! Shared by the tests of the TCP header.

mod emit;
mod parse;
mod roundtrip;

use super::*;
use crate::checksum;
use std::vec::Vec;

/// A header of ACK with `area` as its option octets, padded with zero to a word.
pub(super) fn packet(flags: u16, area: &[u8]) -> Vec<u8> {
    let mut area = area.to_vec();
    area.resize(area.len().next_multiple_of(4), 0);
    assert!(area.len() <= OPTION_OCTETS);
    let mut octets = std::vec![0; HEADER_OCTETS];
    octets[12] = ((5 + area.len() / 4) << 4) as u8 | (flags >> 8) as u8;
    octets[13] = flags as u8;
    octets.extend(area);
    octets
}

pub(super) fn parsed(flags: u16, area: &[u8]) -> Result<Options, usertcp_base::DropReason> {
    let packet = packet(flags, area);
    parse(&packet, packet.len()).map(|(_, options, len)| {
        assert_eq!(len, packet.len());
        options
    })
}

pub(super) const SYN: u16 = 2;
pub(super) const ACK: u16 = 16;

pub(super) fn verifies(octets: &[u8], partial: u32) -> bool {
    checksum::finish(partial + checksum::sum(octets)) == 0
}
