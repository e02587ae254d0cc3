//! Tests of the whole: published vectors, and what a connection goes through.

mod sessions;
mod vectors;

use crate::*;
use core::net::IpAddr;
use std::vec::Vec;
use usertcp_base::{DropReason, FlowKey, LocalIndex, RemoteAddr};
use usertcp_wire::tcp::{self, Authentication, Header, Options, raw_options};

/// One end: its keys, and the flow as it sees it.
pub struct End {
    pub auth: Auth,
    pub local: IpAddr,
    pub remote: IpAddr,
    pub flow: FlowKey,
    /// The flow has a connection.
    pub known: bool,
}

impl End {
    pub fn new(local: (IpAddr, u16), remote: (IpAddr, u16)) -> End {
        let mut octets = [0; 16];
        match remote.0 {
            IpAddr::V4(address) => octets[12..].copy_from_slice(&address.octets()),
            IpAddr::V6(address) => octets = address.octets(),
        }
        let flow = FlowKey {
            remote: RemoteAddr(octets),
            local: LocalIndex(0),
            remote_port: remote.1,
            local_port: local.1,
        };
        End { auth: Auth::new(), local: local.0, remote: remote.0, flow, known: false }
    }

    pub fn ends(&self) -> Ends {
        Ends { source: self.local, destination: self.remote }
    }

    /// Signs `segment` (header and payload) in place; the option it was given.
    pub fn sign(&mut self, segment: &mut [u8]) -> Option<Authentication> {
        let (header, _, octets) = parse(segment);
        let option = self.auth.reserve(self.remote, &self.flow, &header);
        let (front, payload) = segment.split_at_mut(octets);
        let parts = payload.chunks(7);
        if option.is_some() {
            assert!(self.auth.sign(self.ends(), &self.flow, &header, front, parts));
        }
        option
    }

    pub fn verify(&mut self, segment: &[u8]) -> Result<(), Refusal> {
        let (header, options, octets) = parse(segment);
        let (front, payload) = segment.split_at(octets);
        let (ends, flow, known) = (self.ends().reversed(), self.flow, self.known);
        let authentication = options.authentication;
        let parts = payload.chunks(5);
        self.auth.verify(ends, &flow, &header, authentication, front, parts, known)
    }
}

pub fn parse(segment: &[u8]) -> (Header, Options, usize) {
    let parsed: Result<_, DropReason> = tcp::parse(segment, segment.len());
    parsed.unwrap()
}

/// The same segment with the code taken out.
pub fn blank(segment: &[u8]) -> Vec<u8> {
    let (_, _, octets) = parse(segment);
    let mut out = segment.to_vec();
    for option in raw_options(&segment[..octets]) {
        let skip = match option.kind {
            29 => 4,
            19 => 2,
            _ => continue,
        };
        let start = usize::from(option.offset) + skip;
        out[start..usize::from(option.offset + option.octets)].fill(0);
    }
    out
}

pub fn master(octets: &[u8]) -> MasterKey {
    MasterKey::new(octets).unwrap()
}
