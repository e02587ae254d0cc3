//! One protected connection.
//!
//! Owns: initial numbers, extensions, which key signs and which is asked for, derived keys.
//! Must not know: whom keys are for, how octets are signed.
//! Implements: RFC 5925 §5.2 (traffic keys), §6.1 (per-connection state), §7.4, §7.5 (key changes).

use crate::key::{KeyHandle, KeyKind};
use crate::mac::TrafficKey;
use crate::sequence::Extended;
use alloc::vec::Vec;
use core::net::IpAddr;
use usertcp_base::{FlowKey, Seq};

/// The session of one flow.
#[derive(Clone, Debug)]
pub(crate) enum Session {
    Md5(KeyHandle),
    Ao(AoSession),
}

/// Both ends of a flow as a traffic key counts them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub local: IpAddr,
    pub remote: IpAddr,
    pub local_port: u16,
    pub remote_port: u16,
}

impl Pair {
    pub(crate) fn new(local: IpAddr, remote: IpAddr, flow: &FlowKey) -> Pair {
        Pair { local, remote, local_port: flow.local_port, remote_port: flow.remote_port }
    }
}

/// The two initial numbers of a direction: of the sender and of the receiver (zero in a SYN).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    pub sender: Seq,
    pub receiver: Seq,
}

/// A key for what we send, or for what the peer sends.
pub(crate) fn traffic_key(
    kind: &KeyKind,
    pair: &Pair,
    numbers: Numbers,
    sends: Direction,
) -> Option<TrafficKey> {
    let KeyKind::Ao { algorithm, master, .. } = kind else { return None };
    let (source, destination) = ((pair.local, pair.local_port), (pair.remote, pair.remote_port));
    let (source, destination) = match sends {
        Direction::We => (source, destination),
        Direction::ThePeer => (destination, source),
    };
    let (from, to) = (Octets::of(source.0), Octets::of(destination.0));
    Some(TrafficKey::derive(
        *algorithm,
        master.octets(),
        &[
            from.octets(),
            to.octets(),
            &source.1.to_be_bytes(),
            &destination.1.to_be_bytes(),
            &numbers.sender.0.to_be_bytes(),
            &numbers.receiver.0.to_be_bytes(),
        ],
    ))
}

/// Who sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    We,
    ThePeer,
}

enum Octets {
    V4([u8; 4]),
    V6([u8; 16]),
}

impl Octets {
    fn of(address: IpAddr) -> Octets {
        match address {
            IpAddr::V4(address) => Octets::V4(address.octets()),
            IpAddr::V6(address) => Octets::V6(address.octets()),
        }
    }
    fn octets(&self) -> &[u8] {
        match self {
            Octets::V4(octets) => octets,
            Octets::V6(octets) => octets,
        }
    }
}

#[derive(Clone, Debug)]
struct Derived {
    key: KeyHandle,
    send: TrafficKey,
    receive: TrafficKey,
}

/// TCP-AO on one connection.
#[derive(Clone, Debug)]
pub(crate) struct AoSession {
    pub local_isn: Seq,
    /// Unknown while only our SYN is out.
    remote_isn: Option<Seq>,
    sent: Extended,
    received: Extended,
    /// Current_key: what we sign with.
    pub current: KeyHandle,
    /// Rnext_key: what we ask the peer to sign with.
    pub next: KeyHandle,
    derived: Vec<Derived>,
}

impl AoSession {
    pub(crate) fn new(local_isn: Seq, remote_isn: Option<Seq>, key: KeyHandle) -> AoSession {
        AoSession {
            local_isn,
            remote_isn,
            sent: Extended::new(local_isn),
            received: Extended::new(remote_isn.unwrap_or_default()),
            current: key,
            next: key,
            derived: Vec::new(),
        }
    }

    pub(crate) fn remote_isn(&self) -> Option<Seq> {
        self.remote_isn
    }

    /// The peer's number is known now, from a segment that was verified.
    pub(crate) fn learn(&mut self, remote_isn: Seq) {
        if self.remote_isn.is_none() {
            self.remote_isn = Some(remote_isn);
            self.received = Extended::new(remote_isn);
        }
    }

    /// SNE of a segment of ours.
    pub(crate) fn extend_sent(&mut self, seq: Seq) -> u32 {
        let extension = self.sent.extension(seq);
        self.sent.advance(seq);
        extension
    }

    /// SNE of a segment that came.
    pub(crate) fn extension_received(&self, seq: Seq) -> u32 {
        self.received.extension(seq)
    }

    /// A segment at `seq` was verified.
    pub(crate) fn advance_received(&mut self, seq: Seq) {
        self.received.advance(seq);
    }

    /// The key of a direction, derived once. `None` while the peer's number is unknown.
    pub(crate) fn traffic(
        &mut self,
        handle: KeyHandle,
        kind: &KeyKind,
        pair: &Pair,
        direction: Direction,
    ) -> Option<&TrafficKey> {
        let remote_isn = self.remote_isn?;
        if !self.derived.iter().any(|derived| derived.key == handle) {
            let ours = Numbers { sender: self.local_isn, receiver: remote_isn };
            let theirs = Numbers { sender: remote_isn, receiver: self.local_isn };
            self.derived.push(Derived {
                key: handle,
                send: traffic_key(kind, pair, ours, Direction::We)?,
                receive: traffic_key(kind, pair, theirs, Direction::ThePeer)?,
            });
        }
        let derived = self.derived.iter().find(|derived| derived.key == handle)?;
        Some(match direction {
            Direction::We => &derived.send,
            Direction::ThePeer => &derived.receive,
        })
    }

    /// A key was taken away: nothing derived from it is left.
    pub(crate) fn forget(&mut self, handle: KeyHandle) {
        self.derived.retain(|derived| derived.key != handle);
    }
}
