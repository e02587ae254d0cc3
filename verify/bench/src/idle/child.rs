//! One size in one process. Owns: the phases and what is taken down of each.
//! Must not know: other sizes, tables.

use super::figures::Figures;
use super::held::{Held, available_octets, pin_allocator, wait_nanos};
use super::options::{Options, Role};
use super::peers::Peers;
use super::progress::Progress;
use super::site::{Site, Turn, Turns, quicker};
use super::tuple::Family;
use crate::machine;
use std::time::Instant as Clock;
use usertcp_base::{ConnId, Span};
use usertcp_tcp::KeepAlive;

/// Packets that arrive together.
const BURST: u32 = 256;
/// Connections that are kept awake for comparison, and requests to them.
const WARM: u32 = 1000;
const WARM_REQUESTS: u32 = 100_000;
/// Virtual seconds a connection may take to fall asleep.
const SLEEP_S: u64 = 30;
/// Virtual seconds after which nobody who is awake will fall asleep any more.
const RESTLESS_S: u64 = 5;
/// Longer than TIME-WAIT.
const AFTER_TIME_WAIT: Span = Span::from_secs(61);
/// Octets that are left to the rest of the machine, and connections between looks at them.
const LEAVE_OCTETS: u64 = 2 << 30;
const LOOK_EVERY: u32 = 1 << 16;
/// Unanswered probes that end a connection.
const PROBES: u8 = 2;

/// A turn of keep-alive that takes longer is looked at in another run, which does the same, and so many runs at most.
const LONG_TURN_NANOS: u32 = 1_000_000;
const MOST_RUNS: u32 = 4;
/// More connections than these are promised nothing of the kind, and take long.
const MOST_IN_RUNS: u32 = 1_000_000;

/// When connections open, and so when they were heard last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Opening {
    /// At the rate asked for.
    InTurn,
    /// All at one moment of virtual time: the hardest for keep-alive.
    Together,
}

/// Measures, and says so on the standard output.
pub fn run(options: &Options, role: Role) -> Result<(), String> {
    pin_allocator();
    machine::catch_interrupt();
    let (family, count) = (options.families[0], options.connections[0]);
    let mut figures = Figures::default();
    let result = match role {
        Role::KeepAlive => keep_alive(options, Opening::InTurn, family, count, &mut figures),
        Role::Together => keep_alive(options, Opening::Together, family, count, &mut figures),
        _ => idle(options, family, count, &mut figures),
    };
    if machine::interrupted() {
        figures.set("interrupted", 1.0);
    }
    print!("{}", figures.lines());
    result
}

fn idle(
    options: &Options,
    family: Family,
    count: u32,
    figures: &mut Figures,
) -> Result<(), String> {
    let peers = Peers::new(family, count, options.touch, false);
    figures.set("kept_by_peers_octets", peers.kept_octets() as f64);
    // What a process needs once, it needs for few as for many.
    settle_in(family)?;
    let before = Held::now();
    let mut site = Site::new(family, count, None, peers)?;
    let opened = open(&mut site, count, |burst| gap(burst, options.rate), figures)?;
    fall_asleep(&mut site)?;
    let held = Held::now().since(&before);
    let each = |octets: u64| octets as f64 / f64::from(opened.max(1));
    let pool = site.shard.pool().stats();
    // The pool reserves its whole budget, and touches what it needs.
    let heap = held.heap.saturating_sub(pool.budget_octets as u64);
    let usage = site.shard.usage();
    figures.set("resident_each", each(held.resident));
    figures.set("heap_each", each(heap));
    figures.set("huge_each", each(held.huge));
    figures.set("page_tables_each", each(held.page_tables));
    figures.set("pool_octets", pool.peak_octets as f64);
    figures.set("tcbs", f64::from(usage.tcbs));
    figures.set("timers", f64::from(usage.timers));
    if opened < count && !machine::interrupted() {
        return Err(format!("the machine has no memory for more than {opened} of {count}"));
    }
    if options.touch > 0 && !machine::interrupted() {
        touch(&mut site, options, figures)?;
    }
    if options.close && !machine::interrupted() {
        close(&mut site, opened, &before, figures)?;
    }
    drop(site);
    if !machine::interrupted() {
        figures.set("memory_wait_ns", wait_nanos(held.resident as usize));
    }
    Ok(())
}

/// A small shard comes and goes.
fn settle_in(family: Family) -> Result<(), String> {
    let mut site = Site::new(family, BURST, None, Peers::new(family, BURST, 0, false))?;
    open_burst(&mut site, 0, BURST)?;
    site.pass(Span::from_secs(2), |_| true)
}

/// Opens all connections. How many it did.
fn open(
    site: &mut Site,
    count: u32,
    gap: impl Fn(u32) -> Span,
    figures: &mut Figures,
) -> Result<u32, String> {
    let mut progress = Progress::new(&format!("opening {count}"), u64::from(count));
    let (began, cpu) = (Clock::now(), site.cpu_nanos);
    // Where a table grows, a turn is long.
    site.turns = Some(Turns::new());
    let mut opened = 0;
    while opened < count && !machine::interrupted() {
        if opened.is_multiple_of(LOOK_EVERY) && available_octets() < LEAVE_OCTETS {
            figures.set("memory_short", 1.0);
            break;
        }
        let burst = BURST.min(count - opened);
        open_burst(site, opened, burst)?;
        opened += burst;
        site.now = site.now + gap(burst);
        progress.at(u64::from(opened));
    }
    progress.end(u64::from(opened));
    if site.accepted != opened || site.peers.opened != opened {
        let (accepted, connected) = (site.accepted, site.peers.opened);
        return Err(format!(
            "of {opened} SYNs {connected} were answered, {accepted} accepted: {}",
            drops(site)
        ));
    }
    figures.set("opened", f64::from(opened));
    figures.set("open_seconds", began.elapsed().as_secs_f64());
    if let Some(turns) = site.turns.take() {
        figures.set("open_turn_p999_us", turns.cpu.at(999_000) as f64 / 1e3);
        figures.set("open_turn_max_us", turns.cpu.max() as f64 / 1e3);
    }
    figures.set("open_cpu_us", (site.cpu_nanos - cpu) as f64 / 1e3 / f64::from(opened.max(1)));
    Ok(opened)
}

fn open_burst(site: &mut Site, first: u32, count: u32) -> Result<(), String> {
    for number in first..first + count {
        site.put(|peers, now, out| peers.syn(now, number, out))?;
    }
    site.settle()
}

/// Virtual time of `count` openings or requests.
fn gap(count: u32, rate: u32) -> Span {
    Span::from_micros(u64::from(count) * 1_000_000 / u64::from(rate))
}

/// Lets time pass until no connection has a TCB, or those that have keep it.
fn fall_asleep(site: &mut Site) -> Result<(), String> {
    let (mut awake, mut unchanged) = (site.shard.usage().tcbs, 0);
    for _ in 0..SLEEP_S {
        if awake == 0 || unchanged == RESTLESS_S || machine::interrupted() {
            break;
        }
        site.pass(Span::from_secs(1), |_| true)?;
        let still = site.shard.usage().tcbs;
        unchanged = if still == awake { unchanged + 1 } else { 0 };
        awake = still;
    }
    Ok(())
}

/// Requests to connections that sleep, then to some that do not.
fn touch(site: &mut Site, options: &Options, figures: &mut Figures) -> Result<(), String> {
    let places = site.peers.asking();
    let mut progress = Progress::new("requests", u64::from(options.touch));
    let cpu = site.cpu_nanos;
    let mut sent = 0;
    while sent < options.touch && !machine::interrupted() {
        let round = places.min(options.touch - sent);
        ask(site, round, options.rate, |done| progress.at(u64::from(sent + done)))?;
        sent += round;
        fall_asleep(site)?;
    }
    progress.end(site.peers.answered);
    let asked = site.peers.answered;
    figures.set("requests", asked as f64);
    figures.set("request_us", (site.cpu_nanos - cpu) as f64 / 1e3 / (asked.max(1) as f64));
    let (cpu, warm) = (site.cpu_nanos, WARM.min(places));
    while site.peers.answered - asked < u64::from(WARM_REQUESTS.min(options.touch))
        && !machine::interrupted()
    {
        ask(site, warm, options.rate, |_| {})?;
    }
    let asked = site.peers.answered - asked;
    figures.set("requests_warm", asked as f64);
    figures.set("request_warm_us", (site.cpu_nanos - cpu) as f64 / 1e3 / (asked.max(1) as f64));
    fall_asleep(site)
}

/// One request each of the first `places` peers in the order in which they are drawn.
fn ask(site: &mut Site, places: u32, rate: u32, mut done: impl FnMut(u32)) -> Result<(), String> {
    let mut first = 0;
    while first < places && !machine::interrupted() {
        let burst = BURST.min(places - first);
        let answered = site.peers.answered;
        for place in first..first + burst {
            site.put(|peers, now, out| peers.request(now, place, out))?;
        }
        site.settle()?;
        if site.peers.answered - answered != u64::from(burst) {
            let missing = u64::from(burst) - (site.peers.answered - answered);
            return Err(format!(
                "{missing} of {burst} requests were not answered: {}",
                drops(site)
            ));
        }
        first += burst;
        site.now = site.now + gap(burst, rate);
        done(first);
    }
    Ok(())
}

/// The server closes, every peer too; then nothing is left.
fn close(site: &mut Site, opened: u32, before: &Held, figures: &mut Figures) -> Result<(), String> {
    let mut progress = Progress::new("closing", u64::from(opened));
    let cpu = site.cpu_nanos;
    // Few of these lists, and none long: they are of the bench.
    let batch = (opened / 64).max(16_384) as usize;
    while site.shard.usage().anchors > 0 && !machine::interrupted() {
        let closed = site.peers.closed;
        let some: Vec<ConnId> = site.shard.connections().take(batch).collect();
        for burst in some.chunks(BURST as usize) {
            if machine::interrupted() {
                break;
            }
            site.close(burst)?;
            site.settle()?;
        }
        drop(some);
        site.pass(AFTER_TIME_WAIT, |_| true)?;
        progress.at(u64::from(site.peers.closed));
        if site.peers.closed == closed && !machine::interrupted() {
            return Err(format!("{:?} and nothing to close", site.shard.usage()));
        }
    }
    progress.end(u64::from(site.peers.closed));
    let left = site.shard.usage();
    if !machine::interrupted() && (site.peers.closed != opened || left.timers + left.demux != 0) {
        return Err(format!("{} of {opened} closed, left {left:?}", site.peers.closed));
    }
    let closed = f64::from(site.peers.closed.max(1));
    figures.set("closed", closed);
    figures.set("close_cpu_us", (site.cpu_nanos - cpu) as f64 / 1e3 / closed);
    let after = Held::now().since(before);
    let heap = after.heap.saturating_sub(site.shard.pool().stats().budget_octets as u64);
    figures.set("resident_after_each", after.resident as f64 / f64::from(opened.max(1)));
    figures.set("heap_after_each", heap as f64 / f64::from(opened.max(1)));
    Ok(())
}

/// One run, and others if a turn took long: what all of them take long for is ours, and not the machine's.
fn keep_alive(
    options: &Options,
    opening: Opening,
    family: Family,
    count: u32,
    figures: &mut Figures,
) -> Result<(), String> {
    let run = |figures: &mut Figures| probed(options, opening, family, count, figures);
    let (mut turns, mut runs) = (run(figures)?, 1);
    let longest = |turns: &[Turn]| turns.iter().copied().max_by_key(|turn| turn.cpu_nanos);
    let is_long = |turn: Turn| turn.cpu_nanos > LONG_TURN_NANOS;
    let most_runs = if count > MOST_IN_RUNS { 1 } else { MOST_RUNS };
    while longest(&turns).is_some_and(is_long) && runs < most_runs {
        eprintln!("a turn took long: the same once more");
        let again = run(&mut Figures::default())?;
        if machine::interrupted() {
            break;
        }
        turns = quicker(&turns, &again)?;
        runs += 1;
    }
    if let Some(turn) = longest(&turns) {
        figures.set("turn_runs", f64::from(runs));
        figures.set("turn_cpu_max_in_all_us", f64::from(turn.cpu_nanos) / 1e3);
        figures.set("turn_longest_in_all_packets", f64::from(turn.packets));
    }
    Ok(())
}

/// One run of keep-alive, and its turns.
fn probed(
    options: &Options,
    opening: Opening,
    family: Family,
    count: u32,
    figures: &mut Figures,
) -> Result<Vec<Turn>, String> {
    let interval = Span::from_secs(u64::from(options.keep_alive_s));
    let length = interval.saturating_mul(u64::from(options.intervals));
    let setting = KeepAlive { enabled: true, idle: interval, interval, probes: PROBES };
    let mut peers = Peers::new(family, count, 0, true);
    let gap = |burst| match opening {
        Opening::InTurn => gap(burst, options.rate),
        Opening::Together => Span::ZERO,
    };
    let all = gap(count).saturating_add(length).saturating_add(interval.saturating_mul(2));
    let mut site = {
        peers.expect_probes(usertcp_base::Instant::ZERO, count, interval, all);
        Site::new(family, count, Some(setting), peers)?
    };
    let opened = open(&mut site, count, gap, figures)?;
    if machine::interrupted() {
        return Ok(Vec::new());
    }
    if opened < count {
        return Err(format!("the machine has no memory for more than {opened} of {count}"));
    }
    let probes = |site: &Site| site.peers.probed().map_or(0, |probed| probed.probes);
    let (cpu, began, first) = (site.cpu_nanos, site.now, probes(&site));
    site.turns = Some(Turns::of_each());
    let mut progress = Progress::new("keep-alive, virtual seconds", length.as_micros() / 1_000_000);
    site.pass(length, |site| {
        progress.at(site.now.since(began).as_micros() / 1_000_000);
        !machine::interrupted()
    })?;
    let taken = site.now.since(began);
    progress.end(taken.as_micros() / 1_000_000);
    let cpu = (site.cpu_nanos - cpu) as f64;
    let sent = probes(&site) - first;
    figures.set("probes", sent as f64);
    figures.set("probe_us", cpu / 1e3 / (sent.max(1) as f64));
    figures.set("core_share", cpu / 1e3 / (taken.as_micros().max(1) as f64));
    note_turns(&site, figures);
    note_gaps(&site, opened, figures);
    judge(&site, opened)?;
    Ok(site.turns.take().map(Turns::into_each).unwrap_or_default())
}

fn note_turns(site: &Site, figures: &mut Figures) {
    let Some(turns) = &site.turns else { return };
    let us = |nanos: u64| nanos as f64 / 1e3;
    figures.set("turns", turns.cpu.len() as f64);
    figures.set("turn_cpu_p50_us", us(turns.cpu.at(500_000)));
    figures.set("turn_cpu_p999_us", us(turns.cpu.at(999_000)));
    figures.set("turn_cpu_max_us", us(turns.cpu.max()));
    figures.set("turn_longest_packets", turns.longest_packets as f64);
    figures.set("turn_most_packets", turns.most_packets as f64);
    figures.set("turn_wall_p50_us", us(turns.wall.at(500_000)));
    figures.set("turn_wall_p999_us", us(turns.wall.at(999_000)));
    figures.set("turn_wall_max_us", us(turns.wall.max()));
}

fn dead(site: &Site, opened: u32) -> u32 {
    (0..opened).filter(|number| site.peers.is_dead(*number)).count() as u32
}

fn note_gaps(site: &Site, opened: u32, figures: &mut Figures) {
    let Some(probed) = site.peers.probed() else { return };
    figures.set("gap_least_s", probed.gaps.min() as f64 / 1e3);
    figures.set("gap_most_s", probed.gaps.max() as f64 / 1e3);
    figures.set("gaps_outside", probed.outside as f64);
    figures.set("missed", f64::from(site.peers.missed(site.now, opened)));
    figures.set("dead", f64::from(dead(site, opened)));
    figures.set("dead_reported", f64::from(site.dead_reported));
}

/// What must hold whatever the machine.
fn judge(site: &Site, opened: u32) -> Result<(), String> {
    if machine::interrupted() {
        return Ok(());
    }
    let (missed, dead) = (site.peers.missed(site.now, opened), dead(site, opened));
    let outside = site.peers.probed().map_or(0, |probed| probed.outside);
    if missed > 0 || outside > 0 {
        return Err(format!(
            "{missed} peers were not probed in time, {outside} gaps are wrong: {}",
            drops(site)
        ));
    }
    if site.dead_reported != dead {
        return Err(format!("{} of {dead} dead peers were reported", site.dead_reported));
    }
    Ok(())
}

fn drops(site: &Site) -> String {
    format!("{:?}", site.shard.counters())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_open_answer_and_go() {
        let options = Options { touch: 3000, ..Options::default() };
        for family in [Family::V4, Family::V6] {
            let mut figures = Figures::default();
            idle(&options, family, 1500, &mut figures).unwrap();
            let found = ["opened", "requests", "closed"].map(|name| figures.get(name));
            assert_eq!(found, [Some(1500.0), Some(3000.0), Some(1500.0)]);
            assert!(figures.get("heap_each").unwrap() > 50.0, "{figures:?}");
        }
    }

    #[test]
    fn every_peer_is_probed_and_the_dead_are_found() {
        let options = Options { keep_alive_s: 10, ..Options::default() };
        for opening in [Opening::InTurn, Opening::Together] {
            let mut figures = Figures::default();
            keep_alive(&options, opening, Family::V4, 5000, &mut figures).unwrap();
            assert_eq!(figures.get("dead_reported"), figures.get("dead"));
            assert!(figures.get("dead").unwrap() > 0.0);
            assert!(
                figures.get("turns").unwrap() > 0.0 && figures.get("turn_runs").unwrap() >= 1.0
            );
            // Four intervals of those who answer.
            assert!(figures.get("probes").unwrap() >= 3.0 * 4900.0, "{figures:?}");
        }
    }
}
