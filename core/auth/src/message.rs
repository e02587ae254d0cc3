//! What a code is computed over.
//!
//! Owns: pseudo-header, header with or without options, payload, in the order of the RFCs.
//! Must not know: keys, algorithms, sessions.
//! Implements: RFC 5925 §5.1, RFC 2385 §2.0.

use crate::mac::Running;
use core::net::IpAddr;
use usertcp_wire::tcp::{CHECKSUM_OFFSET, HEADER_OCTETS, PROTOCOL, raw_options};

/// The kind of the authentication option.
pub(crate) const AO_KIND: u8 = 29;
/// The kind of the MD5 option.
pub(crate) const MD5_KIND: u8 = 19;

/// Where a segment comes from and goes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ends {
    /// Source address; of the same family as the destination.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
}

impl Ends {
    /// The other direction.
    #[must_use]
    pub fn reversed(self) -> Ends {
        Ends { source: self.destination, destination: self.source }
    }

    fn pseudo_header(&self, code: &mut Running, octets: u32) {
        feed(code, self.source);
        feed(code, self.destination);
        if self.source.is_ipv4() {
            let [_, _, high, low] = octets.to_be_bytes();
            code.update(&[0, PROTOCOL, high, low]);
        } else {
            code.update(&octets.to_be_bytes());
            code.update(&[0, 0, 0, PROTOCOL]);
        }
    }
}

/// The octets of an address.
pub(crate) fn feed(code: &mut Running, address: IpAddr) {
    match address {
        IpAddr::V4(address) => code.update(&address.octets()),
        IpAddr::V6(address) => code.update(&address.octets()),
    }
}

/// A segment as octets: a whole header, and the payload in pieces.
pub(crate) struct Message<'h, P> {
    pub ends: Ends,
    pub header: &'h [u8],
    pub payload: P,
    pub payload_octets: usize,
}

impl<'h, 'p, P: Iterator<Item = &'p [u8]> + Clone> Message<'h, P> {
    pub(crate) fn new(ends: Ends, header: &'h [u8], payload: P) -> Message<'h, P> {
        let payload_octets = payload.clone().map(<[u8]>::len).sum();
        Message { ends, header, payload, payload_octets }
    }

    fn octets(&self) -> u32 {
        u32::try_from(self.header.len() + self.payload_octets).unwrap_or(u32::MAX)
    }

    /// SNE, pseudo-header, header with a checksum and a MAC of zero, data. Without `options` the
    /// authentication option is the only one of the header that counts.
    pub(crate) fn feed_ao(self, code: &mut Running, extension: u32, options: bool) {
        code.update(&extension.to_be_bytes());
        self.ends.pseudo_header(code, self.octets());
        let (fixed, area) = self.header.split_at(HEADER_OCTETS.min(self.header.len()));
        feed_fixed(code, fixed);
        let option = raw_options(self.header).find(|option| option.kind == AO_KIND);
        if let Some(option) = option {
            let start = usize::from(option.offset).saturating_sub(HEADER_OCTETS);
            let end = start + usize::from(option.octets);
            // Kind, length, two key numbers; then the MAC, as zeros.
            let (front, mac) = (area.get(start..start + 4), area.get(start + 4..end));
            if options {
                code.update(area.get(..start).unwrap_or(&[]));
            }
            code.update(front.unwrap_or(&[]));
            for _ in mac.unwrap_or(&[]) {
                code.update(&[0]);
            }
            if options {
                code.update(area.get(end..).unwrap_or(&[]));
            }
        }
        self.payload.for_each(|part| code.update(part));
    }

    /// Pseudo-header, the fixed header with a checksum of zero, data, key.
    pub(crate) fn feed_md5(self, code: &mut Running, key: &[u8]) {
        self.ends.pseudo_header(code, self.octets());
        feed_fixed(code, self.header.get(..HEADER_OCTETS).unwrap_or(&[]));
        self.payload.for_each(|part| code.update(part));
        code.update(key);
    }
}

fn feed_fixed(code: &mut Running, fixed: &[u8]) {
    code.update(fixed.get(..CHECKSUM_OFFSET).unwrap_or(&[]));
    code.update(&[0, 0]);
    code.update(fixed.get(CHECKSUM_OFFSET + 2..).unwrap_or(&[]));
}
