//! The connection under test. Owns: its ends, and how numbers of the script and of the wire
//! correspond: sequence numbers relative to their initial ones, timestamps as recorded.
//! Must not know: the stack, what is expected.

use crate::script::Packet;
use crate::wire::{Opt, Wire};
use core::net::IpAddr;
use std::collections::HashMap;

const SYN: u16 = 2;
const ACK: u16 = 16;

/// An initial sequence number as the script has it, and as it is on the wire.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin {
    script: u32,
    live: u32,
}

impl Origin {
    fn live(self, number: u32, absolute: bool) -> u32 {
        let base = if absolute { self.script } else { 0 };
        number.wrapping_sub(base).wrapping_add(self.live)
    }
    fn script(self, number: u32, absolute: bool) -> u32 {
        let base = if absolute { self.script } else { 0 };
        number.wrapping_sub(self.live).wrapping_add(base)
    }
}

/// The connection under test.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Our end.
    pub local: (IpAddr, u16),
    /// The peer's.
    pub remote: (IpAddr, u16),
    /// Added to the peer's sequence numbers, so that they may wrap.
    pub peer_shift: u32,
    ours: Option<Origin>,
    theirs: Option<Origin>,
    /// Timestamps of ours: script value to wire value.
    stamps: HashMap<u32, u32>,
    /// The first of them.
    first_stamp: Option<(u32, u32)>,
    /// Echoes that were not recorded are scaled from the first one.
    pub scaled_echoes: bool,
}

impl Flow {
    /// A connection of which nothing is known.
    pub fn new(local: (IpAddr, u16), remote: (IpAddr, u16), peer_shift: u32) -> Flow {
        Flow {
            local,
            remote,
            peer_shift,
            ours: None,
            theirs: None,
            stamps: HashMap::new(),
            first_stamp: None,
            scaled_echoes: false,
        }
    }

    /// Our initial sequence number on the wire, once seen.
    pub fn initial(&self) -> Option<u32> {
        self.ours.map(|origin| origin.live)
    }

    /// Whether a packet of the stack belongs here.
    pub fn owns(&self, wire: &Wire) -> bool {
        wire.source == self.local && wire.destination == self.remote
    }

    /// A packet of the peer as it goes onto the wire.
    pub fn to_wire(&mut self, packet: &Packet) -> Result<Wire, String> {
        let absolute = packet.flags & SYN != 0;
        if absolute {
            // A second SYN of the peer does not move the origin.
            let live = packet.seq.wrapping_add(self.peer_shift);
            self.theirs.get_or_insert(Origin { script: packet.seq, live });
        }
        let shifted = Origin { script: 0, live: self.peer_shift };
        let theirs = self.theirs.unwrap_or(shifted);
        let ours = self.ours.unwrap_or_default();
        let mut options = packet.options.clone().unwrap_or_default();
        for option in &mut options {
            match option {
                Opt::Sack(blocks) => {
                    for (left, right) in blocks {
                        *left = ours.live(*left, false);
                        *right = ours.live(*right, false);
                    }
                }
                Opt::Ts { ecr, .. } if packet.flags & ACK != 0 => *ecr = self.echo(*ecr)?,
                _ => {}
            }
        }
        let (source, destination) = match packet.ports {
            Some((from, to)) => ((self.remote.0, from), (self.local.0, to)),
            None => (self.remote, self.local),
        };
        Ok(Wire {
            source,
            destination,
            tos: packet.tos.unwrap_or(0) | packet.ecn.map_or(0, |ecn| ecn.bits()),
            ttl: packet.ttl.unwrap_or(255),
            flags: packet.flags,
            seq: theirs.live(packet.seq, absolute),
            ack: packet.ack.map_or(0, |ack| ours.live(ack, absolute)),
            window: packet.window.unwrap_or(0),
            urgent: packet.urgent,
            options,
            payload: vec![0; packet.length as usize],
        })
    }

    /// A packet of ours, from its first sequence number and payload octets in the script's numbers.
    pub fn quoted(&self, about: (u32, u32)) -> Wire {
        Wire {
            source: self.local,
            destination: self.remote,
            tos: 0,
            ttl: 64,
            flags: ACK,
            seq: self.ours.unwrap_or_default().live(about.0, false),
            ack: 0,
            window: 0,
            urgent: 0,
            options: Vec::new(),
            payload: vec![0; about.1 as usize],
        }
    }

    fn echo(&self, script: u32) -> Result<u32, String> {
        let scaled = self.first_stamp.filter(|_| self.scaled_echoes);
        self.stamps
            .get(&script)
            .copied()
            .or_else(|| scaled.map(|first| script.wrapping_sub(first.0).wrapping_add(first.1)))
            .ok_or_else(|| format!("TS ecr {script} is no `val` of an outbound packet before"))
    }

    /// Takes note of what a packet of the stack says for the first time, as the script names it.
    pub fn learn(&mut self, wanted: &Packet, wire: &Wire) {
        if wire.flags & SYN != 0 && wanted.flags & SYN != 0 {
            self.ours.get_or_insert(Origin { script: wanted.seq, live: wire.seq });
        }
        let script = wanted.options.iter().flatten().find_map(stamp);
        if let (Some(script), Some(live)) = (script, wire.options.iter().find_map(stamp)) {
            self.stamps.insert(script, live);
            self.first_stamp.get_or_insert((script, live));
        }
    }

    /// How many ticks of its clock a packet's timestamp is off, counted from the first one.
    pub fn stamp_error(&self, wanted: &Packet, wire: &Wire) -> Option<u32> {
        let first = self.first_stamp?;
        let script = wanted.options.iter().flatten().find_map(stamp)?;
        let live = wire.options.iter().find_map(stamp)?;
        let expected = script.wrapping_sub(first.0).wrapping_add(first.1);
        Some((live.wrapping_sub(expected) as i32).unsigned_abs())
    }

    /// A packet of the stack in the script's numbers.
    pub fn to_script(&self, wire: &Wire) -> Wire {
        let absolute = wire.flags & SYN != 0;
        let (ours, theirs) = (self.ours.unwrap_or_default(), self.theirs.unwrap_or_default());
        let mut out = wire.clone();
        out.seq = ours.script(wire.seq, absolute);
        if wire.flags & ACK != 0 {
            out.ack = theirs.script(wire.ack, absolute);
        }
        for option in &mut out.options {
            if let Opt::Sack(blocks) = option {
                for (left, right) in blocks {
                    *left = theirs.script(*left, false);
                    *right = theirs.script(*right, false);
                }
            }
        }
        out
    }
}

fn stamp(option: &Opt) -> Option<u32> {
    match option {
        Opt::Ts { val, .. } => Some(*val),
        _ => None,
    }
}
