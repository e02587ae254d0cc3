//! How well limits are kept: streams with different ones, every packet seen where it leaves.
//!
//! Owns: the limits, the windows, the bounds. Must not know: how streams send.

use super::lab::{Drive, Lab, Left};
use crate::json::Json;
use crate::table::Table;
use usertcp_base::{Rate, Span};
use usertcp_tcp::release_octets;

/// Packets that each stream sends: some more than the windows have, …
const PACKETS: u32 = 600;
/// … and so many at the beginning, where slow start is the lower limit of the fast ones.
const FIRST: usize = 60;
pub const WINDOW: usize = 500;
const USUAL_PACKET: u32 = 1500;
const LOWEST: u64 = 100_000;
const HIGHEST: u64 = 100_000_000;

/// What an observer finds about the streams of some rates.
#[derive(Clone, Copy, Default)]
pub struct Found {
    streams: u32,
    /// In windows of 500 packets and more: the largest difference from the limit, per cent.
    pub off: f64,
    /// The same, where what a window lacks is not counted that would have left while nobody had the core.
    pub blamed: f64,
    pub windows: u64,
    /// In any window: octets ahead of the limit at most, of the quantum.
    pub ahead: f64,
    /// The same of a line that begins with the first packet.
    pub line: f64,
}

impl Found {
    fn add(&mut self, other: &Found) {
        self.streams += other.streams;
        self.off = self.off.max(other.off);
        self.blamed = self.blamed.max(other.blamed);
        self.windows += other.windows;
        self.ahead = self.ahead.max(other.ahead);
        self.line = self.line.max(other.line);
    }
}

/// By decades of the limit.
pub struct Precision {
    decades: Vec<(String, Found)>,
    sent_again: u64,
}

/// `streams` with limits from 100 kbit/s to 100 Mbit/s, evenly by factors. `when_due`: the application writes when what
/// it writes may leave.
pub fn measure(streams: usize, when_due: bool) -> Result<Precision, String> {
    let mut lab = Lab::open(streams, Drive::Limits, 128 << 10, when_due)?;
    lab.log = Some(vec![Vec::new(); streams]);
    lab.left_to_write = Some(vec![PACKETS * 1448; streams]);
    let rates: Vec<Rate> = (0..streams).map(|at| limit(at, streams)).collect();
    for (conn, rate) in lab.streams.clone().into_iter().zip(&rates) {
        lab.shard.set_rate(lab.now(), conn, *rate).map_err(|error| format!("{error:?}"))?;
    }
    lab.begin();
    lab.run(Span::from_micros(u64::from(PACKETS + 20) * 12_000 * 1_000_000 / LOWEST));
    let log = lab.log.take().unwrap_or_default();
    let names = ["100 kbit/s to 1 Mbit/s", "1 to 10 Mbit/s", "10 to 100 Mbit/s"];
    let mut decades: Vec<(String, Found)> =
        names.iter().map(|name| ((*name).to_owned(), Found::default())).collect();
    for (rate, left) in rates.iter().zip(&log) {
        if left.len() != PACKETS as usize {
            return Err(format!("{} packets at {rate:?}, not {PACKETS}", left.len()));
        }
        let bits = rate.octets_per_second() * 8;
        let decade = (bits / LOWEST).checked_ilog10().unwrap_or(0).min(2) as usize;
        let quantum = quantum(release_octets(*rate), USUAL_PACKET);
        decades[decade].1.add(&judge(&left[FIRST..], *rate, quantum, usize::MAX, &[]));
    }
    Ok(Precision { decades, sent_again: lab.shard.counters().segments_retransmitted })
}

fn limit(at: usize, streams: usize) -> Rate {
    let part = at as f64 / (streams.max(2) - 1) as f64;
    let bits = LOWEST as f64 * (HIGHEST as f64 / LOWEST as f64).powf(part);
    Rate::from_bits_per_second(bits.round() as u64)
}

/// Octets of what is released at once, twice, in whole packets.
pub fn quantum(release_octets: u32, packet_octets: u32) -> u32 {
    2 * release_octets.next_multiple_of(packet_octets)
}

/// Windows of 500 packets and up to `more` others. As a longer one consists of shorter ones, 500 more are
/// all there are. `taken`: for each packet, how many microseconds before it nobody had the core; empty where
/// that is not known, or never was so.
pub fn judge(left: &[Left], rate: Rate, quantum: u32, more: usize, taken: &[u64]) -> Found {
    let octets_per_second = rate.octets_per_second() as f64;
    let mut found = Found { streams: 1, ..Found::default() };
    let quantum = f64::from(quantum);
    // How far the stream is ahead of its line after each packet.
    let (mut after, mut octets, mut least) = (Vec::new(), 0.0, f64::MAX);
    for one in left {
        let ideal = octets_per_second * one.at.as_micros() as f64 / 1e6;
        least = f64::min(least, octets - ideal);
        octets += f64::from(one.octets);
        after.push(octets - ideal);
        found.ahead = found.ahead.max((octets - ideal - least) / quantum);
        let begun = octets_per_second * left[0].at.as_micros() as f64 / 1e6;
        found.line = found.line.max((octets - ideal + begun) / quantum);
    }
    for (from, start) in after.iter().enumerate() {
        for (to, end) in after.iter().enumerate().skip(from + WINDOW).take(more) {
            let span = left[to].at.since(left[from].at).as_micros() as f64 / 1e6;
            let (surplus, ideal) = (end - start, octets_per_second * span);
            found.off = found.off.max(surplus.abs() / ideal * 100.0);
            let gaps_micros = taken.get(to).map_or(0, |last| last - taken[from]);
            let excused = (octets_per_second * gaps_micros as f64 / 1e6).min((-surplus).max(0.0));
            found.blamed = found.blamed.max((surplus + excused).abs() / ideal * 100.0);
            found.windows += 1;
        }
    }
    found
}

impl Precision {
    /// The table.
    pub fn text(&self) -> String {
        let header = ["limits", "streams", "windows", "off at most", "ahead at most"];
        let mut table = Table::new(&header, 1);
        for (name, found) in &self.decades {
            table.push(vec![
                name.clone(),
                found.streams.to_string(),
                found.windows.to_string(),
                format!("{:.2} %", found.off),
                format!("{:.2} quanta", found.ahead),
            ]);
        }
        format!(
            "limits, seen from the wire: off is in windows of {WINDOW} packets and more, ahead in any window\n\n{}",
            table.text()
        )
    }

    /// What is not as asked.
    pub fn problem(&self) -> Option<String> {
        let bad = self.decades.iter().find(|(_, found)| found.off > 1.0 || found.ahead > 1.0);
        if let Some((name, found)) = bad {
            return Some(format!(
                "{name}: {:.2} % off, {:.2} quanta ahead",
                found.off, found.ahead
            ));
        }
        (self.sent_again > 0).then(|| format!("{} segments were sent again", self.sent_again))
    }

    /// The figures.
    pub fn json(&self) -> Json {
        let line = |(name, found): &(String, Found)| {
            Json::Object(vec![
                ("limits", Json::text(name.as_str())),
                ("streams", found.streams.into()),
                ("windows", (found.windows as f64).into()),
                ("off_per_cent", found.off.into()),
                ("ahead_quanta", found.ahead.into()),
            ])
        };
        Json::List(self.decades.iter().map(line).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use usertcp_base::Instant;

    // A packet a millisecond, and in the middle for 30 ms none. The limit is 1 % more than that.
    #[test]
    fn what_left_not_while_nobody_had_the_core_is_told_apart() {
        let rate = Rate::from_octets_per_second(1_515_000);
        let at = |packet: u64| packet * 1000 + if packet < 300 { 0 } else { 30_000 };
        let packet = |number| Left { at: Instant::from_micros(at(number)), octets: 1500 };
        let left: Vec<Left> = (0..600).map(packet).collect();
        let known: Vec<u64> = (0..600).map(|packet| at(packet) - packet * 1000).collect();
        let [blind, knowing] = [&[][..], &known].map(|taken| judge(&left, rate, 6000, 100, taken));
        assert!((6.0..7.0).contains(&blind.off) && blind.off == blind.blamed, "{}", blind.off);
        assert_eq!(knowing.off, blind.off);
        assert!((0.9..1.1).contains(&knowing.blamed), "{}", knowing.blamed);
    }

    // What is more than the limit is not excused.
    #[test]
    fn what_left_too_soon_counts_whatever_the_core_did() {
        let rate = Rate::from_octets_per_second(1_470_000);
        let packet = |number: u64| Left { at: Instant::from_micros(number * 1000), octets: 1500 };
        let left: Vec<Left> = (0..600).map(packet).collect();
        let found = judge(&left, rate, 6000, 100, &[0; 600]);
        assert!(found.off > 2.0 && found.off == found.blamed, "{}", found.off);
        let gaps: Vec<u64> = (0..600).map(|packet| packet * 10).collect();
        assert_eq!(judge(&left, rate, 6000, 100, &gaps).blamed, found.off);
    }
}
