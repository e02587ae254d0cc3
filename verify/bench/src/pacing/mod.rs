//! `pacing`: what rate limits cost, and how well they are kept, by the number of streams.
//!
//! Owns: which numbers of streams are compared, the limits they have, what is asked of the figures.
//! Must not know: how streams send (`lab`), how windows are judged (`precision`).
//!
//! Cost: so many streams share a total of 12.5 Gbit/s by limits of their own, so that the same packets leave whatever their
//! number: 125 Mbit/s each of a hundred, 125 kbit/s each of a hundred thousand. Measured is this thread's CPU in the
//! shard and in the writing application, for each packet with data, the acknowledgements that answer it included. The
//! application either writes when what it writes is due (`Settings::write_when_due`), or ahead, whenever there is room:
//! then what waits lies in memory, more of it the more streams there are. Beside it in the same round: the same streams
//! without limits, written to by the application in turn at the same rate. The difference is what pacing costs.

mod lab;
mod precision;
mod tun;

use crate::Outcome;
use crate::json::Json;
use crate::kernel;
use crate::machine;
use crate::plot::{Plot, Series, YScale};
use crate::stats::{Spread, short};
use crate::table::Table;
use lab::{Drive, Lab};
use std::time::Duration;
use usertcp_base::{Rate, Span};

const HELP: &str = "\
Usage: usertcp-bench pacing [OPTIONS]

  --streams LIST     numbers of streams whose cost is compared    [100,1000,10000,100000]
  --rounds N         each measures every number in turn           [5]
  --packets N        of one measurement                           [400000]
  --precision N      streams with different limits, every window looked at; 0: none  [10000]
  --instructions     of a packet too, by callgrind; needs valgrind, and minutes
  --json FILE        write figures as JSON
  --svg FILE         write a plot
  --smoke            a small form that fails if a limit is not kept
  --tun              instead of all that: limits over TUN, in real time, the kernel reading, and then groups (root; 10,000 files)
  --tun-streams N    so many                                      [10000]
  --mtu N            octets of the largest packet over TUN, 576 to 65535: the larger, the fewer packets a second,
                     and the longer a window of 500 lasts         [1500]
  --tun-seconds S    of which three are not judged, 18 with an MTU of 9000  [as the slowest stream needs for a window of
                     500 packets and 100 more, 75 at 100 kbit/s with an MTU of 1500, 450 with 9000]
  --tun-total M      Mbit/s that their limits, from 0.1 to 100 Mbit/s, come to at most, if they can  [1400]
  --tun-poll M,N     the stack's thread polls for so many microseconds before it sleeps, and with groups: on a kernel that is
                     not preemptible a sleep may end a millisecond late. Under chrt the kernel stops who is busy for
                     more than 95 % for 50 ms of a second  [0,0]
  --raw DRIVE        one number of streams once, driven by due, limits (ahead), group or application: for callgrind
";

/// Of all streams together.
const TOTAL_BITS_PER_SECOND: u64 = 12_500_000_000;
const PACKET_BITS: u64 = 1500 * 8;

/// What lets the streams send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// A limit of each one's own, and the application writes when it lets what is written leave.
    Due,
    /// A limit of each one's own, and the application writes whenever there is room.
    Limits,
    /// One group of all.
    Group,
    /// The application.
    Application,
}

const KINDS: [(&str, Kind); 4] = [
    ("due", Kind::Due),
    ("limits", Kind::Limits),
    ("group", Kind::Group),
    ("application", Kind::Application),
];

struct Options {
    streams: Vec<usize>,
    rounds: u32,
    packets: u64,
    precision: usize,
    json: Option<String>,
    svg: Option<String>,
    instructions: bool,
    raw: Option<Kind>,
    tun: Option<tun::Wanted>,
}

fn read(mut words: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options {
        streams: vec![100, 1000, 10_000, 100_000],
        rounds: 5,
        packets: 400_000,
        precision: 10_000,
        json: None,
        svg: None,
        instructions: false,
        raw: None,
        tun: None,
    };
    let all = tun::Wanted {
        streams: 10_000,
        seconds: None,
        mtu: 1500,
        total_bits_per_second: 1.4e9,
        poll: [Duration::ZERO; 2],
    };
    let mut mtu = None;
    while let Some(word) = words.next() {
        if word == "help" || word == "--help" {
            return Ok(None);
        }
        if word == "--smoke" {
            (options.streams, options.rounds) = (vec![100, 1000], 1);
            (options.packets, options.precision) = (20_000, 200);
            continue;
        }
        if word == "--tun" {
            options.tun.get_or_insert(all);
            continue;
        }
        if word == "--instructions" {
            options.instructions = true;
            continue;
        }
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{word} {value}: not a number"));
        match word.as_str() {
            "--streams" => {
                let list = value.split(',').map(|n| n.parse().ok().filter(|n| *n > 0));
                let list: Option<Vec<usize>> = list.collect();
                options.streams = list.ok_or_else(|| format!("{word} {value}: not numbers"))?;
            }
            "--rounds" => options.rounds = number()?.clamp(1, 1000) as u32,
            "--packets" => options.packets = number()?.max(1000),
            "--precision" => options.precision = number()? as usize,
            "--tun-streams" => {
                options.tun.get_or_insert(all).streams = number()?.clamp(2, 15_000) as usize;
            }
            "--tun-seconds" => {
                options.tun.get_or_insert(all).seconds = Some(number()?.clamp(5, MOST_SECONDS));
            }
            "--mtu" => {
                let wanted = u16::try_from(number()?).ok().filter(|mtu| tun::MTUS.contains(mtu));
                let (least, most) = (tun::MTUS.start(), tun::MTUS.end());
                mtu = Some(wanted.ok_or_else(|| format!("--mtu {value}: from {least} to {most}"))?);
            }
            "--tun-poll" => {
                let micros = value.split_once(',').map(|(one, other)| [one.parse(), other.parse()]);
                let [Ok(one), Ok(other)] = micros.ok_or_else(|| format!("{word}: not two"))? else {
                    return Err(format!("{word} {value}: not numbers"));
                };
                options.tun.get_or_insert(all).poll = [one, other].map(Duration::from_micros);
            }
            "--tun-total" => {
                options.tun.get_or_insert(all).total_bits_per_second = number()? as f64 * 1e6;
            }
            "--json" => options.json = Some(value),
            "--svg" => options.svg = Some(value),
            "--raw" => {
                let kind = KINDS.iter().find(|(name, _)| *name == value);
                options.raw = Some(kind.ok_or_else(|| format!("--raw {value}: unknown"))?.1);
            }
            _ => return Err(format!("{word}: unknown; `pacing help` lists the options")),
        }
    }
    if let Some(mtu) = mtu {
        let tun = options.tun.as_mut();
        tun.ok_or("--mtu is for --tun: elsewhere packets are of 1500 octets")?.mtu = mtu;
    }
    Ok(Some(options))
}

/// Reads `words`, measures, prints.
pub fn run(words: impl Iterator<Item = String>) -> Result<Outcome, String> {
    let Some(options) = read(words)? else {
        print!("{HELP}");
        return Ok(Outcome::Done);
    };
    if let Some(kind) = options.raw {
        for streams in &options.streams {
            let cost = measure(*streams, kind, options.packets)?;
            println!("operations={} nanos={:.1}", cost.packets, cost.nanos);
        }
        return Ok(Outcome::Done);
    }
    let mut members = vec![("bench", Json::text("pacing"))];
    members.extend(machine::facts());
    if let Some(wanted) = options.tun {
        return over_tun(&wanted, members, options.json.as_deref());
    }
    let costs = costs(&options)?;
    println!("usertcp {}: nanoseconds of CPU for a packet, in virtual time\n", machine::revision());
    print!("{}", table_of(&costs).text());
    if let (Some(first), Some(last)) = (costs.first(), costs.last()) {
        let times = |of: fn(&Costs) -> f64| of(last) / of(first);
        let (growth, ahead) = (times(|cost| cost.due.median), times(|cost| cost.limits.median));
        println!(
            "\nfrom {} to {} streams: a paced packet costs {growth:.2} times as much written when due, {ahead:.2} times written \
             ahead, and {:.2} times unpaced; of it pacing {:.0} ns at first and {:.0} ns at last",
            first.streams,
            last.streams,
            times(|cost| cost.application.median),
            first.pacing(),
            last.pacing(),
        );
        members.push(("growth", growth.into()));
        members.push(("growth_ahead", ahead.into()));
    }
    if options.instructions {
        let mut lines = Vec::new();
        println!();
        let (fewest, most) = (options.streams.first(), options.streams.last());
        for (name, _) in KINDS {
            let few = instructions(*fewest.unwrap_or(&100), name)?;
            let many = instructions(*most.unwrap_or(&100), name)?;
            println!(
                "{name}: {few:.0} instructions a packet at first, {many:.0} at last, the bench's peer included"
            );
            lines.push(Json::Object(vec![
                ("driven_by", Json::text(name)),
                ("fewest", few.into()),
                ("most", many.into()),
            ]));
        }
        members.push(("instructions", Json::List(lines)));
    }
    members.push(("cost", Json::List(costs.iter().map(Costs::json).collect())));
    if options.precision > 0 {
        for (name, key, when_due) in
            [("written when due", "precision", true), ("written ahead", "precision_ahead", false)]
        {
            let found = precision::measure(options.precision, when_due)?;
            println!("\n{name}; {}", found.text());
            members.push((key, found.json()));
            if let Some(problem) = found.problem() {
                return Err(format!("{name}: {problem}"));
            }
        }
    }
    if let Some(path) = &options.svg {
        std::fs::write(path, plot(&costs)).map_err(|error| format!("{path}: {error}"))?;
    }
    if let Some(path) = &options.json {
        std::fs::write(path, format!("{}\n", Json::Object(members)))
            .map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(Outcome::Done)
}

/// Of a run over TUN: moments are microseconds in 32 bits.
const MOST_SECONDS: u64 = 4000;

/// Limits over TUN instead of all else.
fn over_tun(
    wanted: &tun::Wanted,
    mut members: Vec<(&'static str, Json)>,
    json: Option<&str>,
) -> Result<Outcome, String> {
    kernel::own_network()?;
    let kept = tun::measure(wanted)?;
    println!("usertcp {}: limits over TUN, {}", machine::revision(), kept.text());
    members.push(("tun", kept.json()));
    let shared = tun::measure_groups(wanted)?;
    println!("\nrates that are shared, {}", shared.text());
    members.push(("tun_groups", shared.json()));
    if let Some(path) = json {
        std::fs::write(path, format!("{}\n", Json::Object(members)))
            .map_err(|error| format!("{path}: {error}"))?;
    }
    let problems: Vec<String> = kept.problem().into_iter().chain(shared.problem()).collect();
    if problems.is_empty() { Ok(Outcome::Done) } else { Err(problems.join("; ")) }
}

struct Cost {
    packets: u64,
    nanos: f64,
}

/// What one number of streams costs, nanoseconds for a packet.
struct Costs {
    streams: usize,
    due: Spread,
    limits: Spread,
    group: Spread,
    application: Spread,
}

impl Costs {
    fn pacing(&self) -> f64 {
        self.due.median - self.application.median
    }

    fn json(&self) -> Json {
        Json::Object(vec![
            ("streams", (self.streams as u32).into()),
            ("due_ns", self.due.median.into()),
            ("limits_ns", self.limits.median.into()),
            ("group_ns", self.group.median.into()),
            ("unpaced_ns", self.application.median.into()),
        ])
    }
}

/// All of a round before the next one, so that a busy moment of the machine does not fall on one number alone.
fn costs(options: &Options) -> Result<Vec<Costs>, String> {
    let mut values = vec![[const { Vec::new() }; 4]; options.streams.len()];
    for _ in 0..options.rounds {
        for (streams, values) in options.streams.iter().zip(&mut values) {
            for ((_, kind), values) in KINDS.iter().zip(values) {
                values.push(measure(*streams, *kind, options.packets)?.nanos);
            }
        }
    }
    let spread = |values: &[f64]| Spread::of(values).ok_or("nothing was measured".to_owned());
    options
        .streams
        .iter()
        .zip(&values)
        .map(|(streams, [due, limits, group, application])| {
            Ok(Costs {
                streams: *streams,
                due: spread(due)?,
                limits: spread(limits)?,
                group: spread(group)?,
                application: spread(application)?,
            })
        })
        .collect()
}

fn measure(streams: usize, kind: Kind, packets: u64) -> Result<Cost, String> {
    let rate = TOTAL_BITS_PER_SECOND / PACKET_BITS;
    let drive = if kind == Kind::Application { Drive::Application(rate) } else { Drive::Limits };
    // Two round trips' worth of its part, and four packets: nothing but the rate keeps a stream.
    // In whole writes: else packets are pieced together from two of them, where the buffer is small.
    let room = 4 * 1448 + TOTAL_BITS_PER_SECOND / 8 / 250 / streams as u64;
    let room = room.next_multiple_of(2 * 1448);
    let mut lab = Lab::open(streams, drive, room as u32, kind == Kind::Due)?;
    let now = lab.now();
    let problem = |error| format!("{error:?}");
    match kind {
        Kind::Due | Kind::Limits => {
            for at in 0..streams {
                let each = Rate::from_bits_per_second(TOTAL_BITS_PER_SECOND / streams as u64);
                let conn = lab.streams[at];
                lab.shard.set_rate(now, conn, each).map_err(problem)?;
            }
        }
        Kind::Group => {
            let total = Rate::from_bits_per_second(TOTAL_BITS_PER_SECOND);
            let group = lab.shard.create_rate_group(now, total).map_err(|e| format!("{e:?}"))?;
            for at in 0..streams {
                let conn = lab.streams[at];
                lab.shard.join_rate_group(now, conn, group, 1).map_err(problem)?;
            }
        }
        Kind::Application => {}
    }
    // Spread over the time in which each sends two packets, and then that time twice.
    let period = Span::from_micros(2 * streams as u64 * 1_000_000 / rate);
    lab.begin_over(period);
    lab.run(Span::from_millis((2 * period.as_millis()).max(20)));
    (lab.packets, lab.nanos) = (0, 0);
    while lab.packets < packets {
        let before = lab.packets;
        lab.run(Span::from_millis(20));
        if lab.packets == before {
            return Err(format!("{streams} streams stopped sending after {before} packets"));
        }
    }
    Ok(Cost { packets: lab.packets, nanos: lab.nanos as f64 / lab.packets as f64 })
}

/// Instructions of a packet: what twice the packets cost more, the bench's peer included.
fn instructions(streams: usize, kind: &str) -> Result<f64, String> {
    let few = callgrind(streams, kind, 100_000)?;
    let many = callgrind(streams, kind, 200_000)?;
    if many.0 <= few.0 {
        return Err("no more packets".into());
    }
    Ok((many.1 - few.1) as f64 / (many.0 - few.0) as f64)
}

/// Packets, and instructions of the whole run.
fn callgrind(streams: usize, kind: &str, packets: u64) -> Result<(u64, u64), String> {
    let own = std::env::current_exe().map_err(|error| format!("current program: {error}"))?;
    let file = std::env::temp_dir().join(format!("pacing-{}.out", std::process::id()));
    let output = std::process::Command::new("valgrind")
        .args(["-q", "--tool=callgrind", "--dump-instr=no"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(own)
        .args(["pacing", "--streams", &streams.to_string(), "--packets", &packets.to_string()])
        .args(["--raw", kind])
        .output()
        .map_err(|error| format!("valgrind cannot be started: {error}"))?;
    let text = std::fs::read_to_string(&file).map_err(|error| error.to_string());
    let _ = std::fs::remove_file(&file);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let word = said.split_whitespace().find_map(|word| word.strip_prefix("operations="));
    let done = word.and_then(|word| word.parse().ok());
    let text = text?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let total = total.and_then(|total| total.trim().parse().ok());
    done.zip(total).ok_or_else(|| format!("not understood: {said}"))
}

fn table_of(costs: &[Costs]) -> Table {
    let header = ["streams", "written when due", "ahead", "one group", "unpaced", "pacing"];
    let mut table = Table::new(&header, 0);
    for cost in costs {
        table.push(vec![
            short(cost.streams as f64),
            cost.due.text(),
            cost.limits.text(),
            cost.group.text(),
            cost.application.text(),
            short(cost.pacing()),
        ]);
    }
    table
}

fn plot(costs: &[Costs]) -> String {
    let line = |name: &str, of: fn(&Costs) -> f64| Series {
        name: name.into(),
        points: costs.iter().map(|cost| (cost.streams as f64, of(cost))).collect(),
        quoted: false,
    };
    let plot = Plot {
        title: "CPU of a packet by the number of paced streams".into(),
        x_label: "streams".into(),
        y_label: "nanoseconds a packet".into(),
        y_scale: YScale::Linear,
        series: vec![
            line("a limit each, written when due", |cost| cost.due.median),
            line("a limit each, written ahead", |cost| cost.limits.median),
            line("one group of all", |cost| cost.group.median),
            line("unpaced", |cost| cost.application.median),
        ],
    };
    plot.svg()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_line(line: &str) -> Result<Option<Options>, String> {
        read(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn an_mtu_is_for_tun() {
        for line in ["--mtu 9000 --tun", "--tun --mtu 9000", "--mtu 9000 --tun-poll 80,300"] {
            let tun = read_line(line).unwrap().unwrap().tun.unwrap();
            assert_eq!((tun.mtu, tun.seconds), (9000, None), "{line}");
        }
        assert_eq!(read_line("--tun").unwrap().unwrap().tun.unwrap().mtu, 1500);
        for line in ["--mtu 9000", "--tun --mtu 575", "--tun --mtu 65536", "--tun --mtu x"] {
            let told = read_line(line).err().unwrap();
            assert!(told.starts_with("--mtu"), "{line}: {told}");
        }
    }

    // Their buffers are larger than what the application writes at once.
    #[test]
    fn few_streams_do_not_stop() {
        for kind in [Kind::Due, Kind::Limits, Kind::Group, Kind::Application] {
            for streams in [1, 2, 10] {
                let sent = measure(streams, kind, 1000).map(|cost| cost.packets >= 1000);
                assert_eq!(sent, Ok(true), "{streams} streams");
            }
        }
    }
}
