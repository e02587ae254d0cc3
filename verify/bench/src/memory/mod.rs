//! `memory`: what a connection costs while nothing happens on it.
//!
//! Owns: the counting, the table, the promised numbers. Must not know: how connections come about.
//!
//! Two shards are filled, one for a few records and one for many; what the second holds more is
//! divided by how many more they are. That leaves out what a shard costs by itself, and counts
//! everything else: the record, the TCB, the share of the demultiplexer and of every list, and slack
//! at the end of a chunk. What a shard holds is what the heap loses when it is dropped; frames are
//! counted by the pool.

pub mod counting;
mod pair;
pub mod storage;

use crate::Outcome;
use crate::json::Json;
use crate::machine;
use crate::options::{MemoryOptions, Storage};
use crate::stats::short;
use crate::table::Table;
use pair::{BATCH, Pair};
use usertcp_cc::AnyController;
use usertcp_tcp::{Handshake, Tcb, TimeWait};

/// What is measured.
struct Case {
    name: &'static str,
    /// Octets that a record may cost.
    promise: f64,
    fill: fn(u32) -> Result<Held, String>,
}

const CASES: [Case; 6] = [
    Case { name: "established, awake, accepted", promise: 1024.0, fill: accepted },
    Case { name: "established, awake, connected", promise: 1024.0, fill: connected },
    Case { name: "established, parked, accepted", promise: 128.0, fill: parked_accepted },
    Case { name: "established, parked, connected", promise: 128.0, fill: parked_connected },
    Case { name: "embryo", promise: 192.0, fill: embryo },
    Case { name: "TIME-WAIT", promise: 128.0, fill: time_wait },
];

/// What a shard with its records holds.
struct Held {
    heap_octets: usize,
    heap_blocks: usize,
    frame_octets: usize,
}

fn accepted(count: u32) -> Result<Held, String> {
    let mut pair = Pair::new(count, count)?;
    pair.establish(count)?;
    expect(pair.server.shard.usage().tcbs, count)?;
    Ok(held(pair.server))
}

fn connected(count: u32) -> Result<Held, String> {
    let mut pair = Pair::new(count, count)?;
    pair.establish(count)?;
    expect(pair.client.shard.usage().tcbs, count)?;
    Ok(held(pair.client))
}

fn parked_accepted(count: u32) -> Result<Held, String> {
    // No batch needs more TCBs than the one before.
    let mut pair = Pair::new(count, BATCH)?;
    pair.park(count)?;
    expect(pair.server.shard.usage().anchors, count)?;
    expect(pair.server.shard.usage().tcbs, 0)?;
    Ok(held(pair.server))
}

fn parked_connected(count: u32) -> Result<Held, String> {
    // No batch needs more TCBs than the one before.
    let mut pair = Pair::new(count, BATCH)?;
    pair.park(count)?;
    expect(pair.client.shard.usage().anchors, count)?;
    expect(pair.client.shard.usage().tcbs, 0)?;
    Ok(held(pair.client))
}

fn embryo(count: u32) -> Result<Held, String> {
    // An eighth of the records is not for half-open connections.
    let mut pair = Pair::new(count + count / 7 + 1, BATCH)?;
    pair.half_open(count)?;
    expect(pair.server.shard.usage().anchors, count)?;
    expect(pair.server.shard.usage().tcbs, 0)?;
    Ok(held(pair.server))
}

fn time_wait(count: u32) -> Result<Held, String> {
    let mut pair = Pair::new(count, BATCH)?;
    pair.close(count)?;
    expect(pair.client.shard.usage().time_waits, count)?;
    expect(pair.client.shard.usage().tcbs, 0)?;
    Ok(held(pair.client))
}

fn expect(found: u32, wanted: u32) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("{found} records instead of {wanted}")) }
}

fn held(end: pair::End) -> Held {
    let frame_octets = end.shard.pool().stats().used_octets;
    let full = counting::heap();
    drop(end);
    let empty = counting::heap();
    Held {
        heap_octets: full.octets.saturating_sub(empty.octets),
        heap_blocks: full.blocks.saturating_sub(empty.blocks),
        frame_octets,
    }
}

/// What one record costs.
struct Cost {
    octets: f64,
    frame_octets: f64,
    blocks: f64,
}

fn cost(case: &Case, connections: u32) -> Result<Cost, String> {
    let failed = |problem| format!("{}: {problem}", case.name);
    let few = (case.fill)(BATCH).map_err(failed)?;
    let many = (case.fill)(connections).map_err(failed)?;
    let each =
        |few: usize, many: usize| (many as f64 - few as f64) / f64::from(connections - BATCH);
    let frame_octets = each(few.frame_octets, many.frame_octets);
    Ok(Cost {
        octets: each(few.heap_octets, many.heap_octets) + frame_octets,
        frame_octets,
        blocks: each(few.heap_blocks, many.heap_blocks),
    })
}

/// Measures, prints, and fails if a promise is broken.
pub fn run(options: &MemoryOptions) -> Result<Outcome, String> {
    match options.storage {
        Some(Storage::All) => return storage::run(),
        Some(Storage::Of(width, count)) => {
            return storage::measure(count, width).map(|()| Outcome::Done);
        }
        None => {}
    }
    let count = options.connections;
    // First of all, while the heap has nothing to give again.
    let resident = resident_each(count)?;
    let mut table =
        Table::new(&["record", "octets", "of them frames", "allocations", "at most"], 1);
    let mut lines = Vec::new();
    let mut broken = Vec::new();
    for case in &CASES {
        let cost = cost(case, count)?;
        if cost.octets > case.promise {
            broken.push(format!(
                "{}: {} octets, {} promised",
                case.name,
                short(cost.octets),
                short(case.promise)
            ));
        }
        table.push(vec![
            case.name.into(),
            format!("{:.1}", cost.octets),
            format!("{:.1}", cost.frame_octets),
            format!("{:.3}", cost.blocks),
            short(case.promise),
        ]);
        lines.push(Json::Object(vec![
            ("record", Json::text(case.name)),
            ("octets", cost.octets.into()),
            ("frame_octets", cost.frame_octets.into()),
            ("allocations", cost.blocks.into()),
            ("promise", case.promise.into()),
        ]));
    }
    println!("usertcp {}: octets of one record, {count} of them\n", machine::revision());
    print!("{}", table.text());
    println!(
        "\nresident memory grew by {} octets for each established end\nsizes: TCB {}, handshake {}, \
         TIME-WAIT {}, each beside its record",
        short(resident),
        size_of::<Tcb<AnyController>>(),
        size_of::<Handshake>(),
        size_of::<TimeWait>(),
    );
    if let Some(path) = &options.json {
        let mut members = vec![("bench", Json::text("memory"))];
        members.extend(machine::facts());
        members.push(("connections", count.into()));
        members.push(("resident_octets", resident.into()));
        members.push(("records", Json::List(lines)));
        std::fs::write(path, format!("{}\n", Json::Object(members)))
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if broken.is_empty() { Ok(Outcome::Done) } else { Err(broken.join("\nerror: ")) }
}

/// Resident octets that each end of `count` established connections adds, both ends alike.
fn resident_each(count: u32) -> Result<f64, String> {
    let mut pair = Pair::new(count, count)?;
    let before = machine::resident_octets();
    pair.establish(count)?;
    let grown = machine::resident_octets().saturating_sub(before);
    Ok(grown as f64 / f64::from(2 * count))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// About what can be wrong by far: the promises are kept by the command, with more records.
    #[test]
    fn idle_records_hold_no_frames_and_no_allocations_of_their_own() {
        for case in &CASES {
            let cost = cost(case, 16_384).unwrap();
            assert!(cost.frame_octets < 1.0, "{}: {}", case.name, cost.frame_octets);
            assert!(cost.blocks < 0.1, "{}: {}", case.name, cost.blocks);
            assert!((16.0..4096.0).contains(&cost.octets), "{}: {}", case.name, cost.octets);
        }
    }
}
