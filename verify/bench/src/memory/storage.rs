//! `memory --storage`: what the tables of a shard cost for each connection, without the connections.
//!
//! Owns: filling slab, demultiplexer and ready lists as a shard does, and what memory grows by meanwhile.
//! Must not know: TCP.
//!
//! A record here has the size of an anchor, its links and a parked body included. Each number of records is
//! a process of its own, so that none finds memory that another left. While it grows, the resident memory
//! is looked at again and again: what is told is the most a connection ever cost from a hundred thousand
//! on.

use super::counting;
use crate::Outcome;
use crate::machine;
use crate::table::Table;
use std::process::Command;
use std::time::Duration;
use usertcp_base::{FlowKey, LocalIndex, RemoteAddr, Secrets};
use usertcp_stack::demux::Demux;
use usertcp_stack::ready::ReadyList;
use usertcp_stack::slab::Slab;

/// How many records there are when it is done.
const COUNTS: [u32; 3] = [100_000, 1_000_000, 10_000_000];
/// From so many on the cost of one is looked at.
const FEWEST: u32 = 100_000;
/// Octets that a connection may cost, all in.
const PROMISES: [(Width, f64); 2] = [(Width::V4, 97.0), (Width::V6, 110.0)];

/// Whose addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Width {
    /// Narrow records.
    V4,
    /// Wide ones.
    V6,
}

impl std::str::FromStr for Width {
    type Err = String;
    fn from_str(word: &str) -> Result<Width, String> {
        match word {
            "v4" => Ok(Width::V4),
            "v6" => Ok(Width::V6),
            other => Err(format!("v4 or v6, not {other}")),
        }
    }
}

/// As large as an anchor, and like it with values that a free slot can do without.
struct Record {
    address: u32,
    ports: u32,
    _rest: [u32; 12 + 6],
    _holder: Holder,
    _pending: [u8; 3],
}

#[allow(dead_code)]
enum Holder {
    Nobody,
    Application,
}

const _: () = assert!(size_of::<Record>() == 84 && size_of::<Option<Record>>() == 84);

/// The tables of a shard that grow with its connections.
struct Tables {
    anchors: Slab<Record, [u32; 3]>,
    demux: Demux,
    transmit: ReadyList,
    events: ReadyList,
}

impl Tables {
    fn new(count: u32) -> Option<Tables> {
        let demux = Demux::new(&Secrets::from_seed([8; 32])?);
        let (transmit, events) = (ReadyList::new(), ReadyList::new());
        Some(Tables { anchors: Slab::new(count), demux, transmit, events })
    }

    /// One more connection, which has something to send and to tell, once.
    fn add(&mut self, number: u32, width: Width) -> Option<()> {
        let (address, ports) = (number.wrapping_mul(0x9E37_79B1), ((number / 50_000) << 16) | 80);
        let record = Record {
            address,
            ports,
            _rest: [0; 18],
            _holder: Holder::Application,
            _pending: [0; 3],
        };
        let id = match width {
            Width::V4 => self.anchors.insert(record)?,
            Width::V6 => self.anchors.insert_wide(record, [0x20, 1, 0xD])?,
        };
        let Tables { anchors, demux, .. } = self;
        let key = key_of(anchors, id.slot);
        demux.insert_fresh(demux.hash_of(&key), &key, id.slot, |index| key_of(anchors, index));
        self.transmit.push(id.slot);
        self.events.push(id.slot);
        (self.transmit.pop() == Some(id.slot) && self.events.pop() == Some(id.slot)).then_some(())
    }

    fn remove(&mut self, slot: u32) -> bool {
        let Tables { anchors, demux, .. } = self;
        let key = key_of(anchors, slot);
        demux.remove(&key, slot, |index| key_of(anchors, index)) && anchors.discard(slot)
    }
}

fn key_of(anchors: &Slab<Record, [u32; 3]>, index: u32) -> FlowKey {
    let Some((_, record, annex)) = anchors.look_at(index) else { return FlowKey::default() };
    let mut remote = [0; 16];
    for (octets, word) in remote.chunks_mut(4).zip(annex.unwrap_or(&[0, 0, 0xFFFF])) {
        octets.copy_from_slice(&word.to_be_bytes());
    }
    remote[12..].copy_from_slice(&record.address.to_be_bytes());
    let (remote_port, local_port) = ((record.ports >> 16) as u16, record.ports as u16);
    FlowKey { remote: RemoteAddr(remote), local: LocalIndex(0), remote_port, local_port }
}

/// What came of adding records.
struct Filled {
    tables: Tables,
    /// The most a record cost, of those times from [`FEWEST`] on that it was looked at.
    most_octets: f64,
    /// CPU time, of all and of the one that took longest.
    time: Duration,
    longest: Duration,
}

fn fill(count: u32, width: Width, grown: impl Fn() -> f64) -> Result<Filled, String> {
    let mut tables = Tables::new(count).ok_or("no secrets")?;
    let (started, mut before) = (machine::thread_cpu(), machine::thread_cpu());
    let (mut longest, mut most_octets) = (Duration::ZERO, 0.0_f64);
    let mut look = FEWEST;
    for number in 0..count {
        tables.add(number, width).ok_or("a record was lost")?;
        if number + 1 == look {
            most_octets = most_octets.max(grown() / f64::from(look));
            look += look / 16;
            before = machine::thread_cpu();
        }
        let after = machine::thread_cpu();
        longest = longest.max(after.saturating_sub(before));
        before = after;
    }
    let time = before.saturating_sub(started);
    Ok(Filled { tables, most_octets, time, longest })
}

/// One number of records, in this process: a line of figures.
pub fn measure(count: u32, width: Width) -> Result<(), String> {
    // The pages of the program itself come with their first use.
    drop(fill(FEWEST / 100, width, || machine::resident_octets() as f64)?);
    let (resident, heap) = (machine::resident_octets(), counting::heap().octets);
    let grown = || machine::resident_octets().saturating_sub(resident) as f64;
    let Filled { mut tables, most_octets, time, longest } = fill(count, width, grown)?;
    let each = |all: f64| all / f64::from(count);
    let (end, asked) = (grown(), counting::heap().octets.saturating_sub(heap) as f64);
    for slot in 0..tables.anchors.end() {
        if tables.anchors.at(slot).is_some() && !tables.remove(slot) {
            return Err("a record could not be found".into());
        }
    }
    println!(
        "{:.1} {:.1} {:.1} {:.0} {:.0} {:.1}",
        each(end),
        most_octets.max(each(end)),
        each(asked),
        each(time.as_secs_f64() * 1e9),
        longest.as_secs_f64() * 1e6,
        each(grown()),
    );
    Ok(())
}

/// All of them, each in a process, and whether the promises are kept.
pub fn run() -> Result<Outcome, String> {
    let header = [
        "addresses",
        "records",
        "resident octets",
        "at most on the way",
        "asked for",
        "CPU ns to add one",
        "the longest, µs",
        "left when all are gone",
        "promise",
    ];
    let mut table = Table::new(&header, 1);
    let mut broken = Vec::new();
    for (width, promise) in PROMISES {
        let word = if width == Width::V4 { "v4" } else { "v6" };
        for count in COUNTS {
            let line = child(count, word)?;
            let mut cells = vec![word.to_owned(), count.to_string()];
            cells.extend(line.split_whitespace().map(str::to_owned));
            let most = cells.get(3).and_then(|most| most.parse::<f64>().ok()).unwrap_or(f64::MAX);
            if most > promise {
                broken.push(format!("{count} of {word}: {most} octets, {promise} promised"));
            }
            cells.push(format!("{promise}"));
            table.push(cells);
        }
    }
    println!("usertcp {}: octets of a shard's tables for each connection\n", machine::revision());
    print!("{}", table.text());
    if broken.is_empty() { Ok(Outcome::Done) } else { Err(broken.join("\nerror: ")) }
}

fn child(count: u32, word: &str) -> Result<String, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let of = format!("{word}:{count}");
    let output = Command::new(own).args(["memory", "--storage-of", &of]).output();
    let output = output.map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_find_what_they_are_given() {
        for width in [Width::V4, Width::V6] {
            let mut tables = Tables::new(10_000).unwrap();
            (0..10_000).for_each(|number| tables.add(number, width).unwrap());
            for slot in 0..tables.anchors.end() {
                assert_eq!(tables.anchors.at(slot).is_some(), tables.remove(slot));
            }
            assert_eq!((tables.demux.len(), tables.anchors.len()), (0, 0));
        }
    }
}
