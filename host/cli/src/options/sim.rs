//! Options of `usertcp sim`. Owns: how values are written: lists, chances, times, what shares a link.
//! Must not know: how a trial runs.

use crate::fault::Fault;
use crate::units;
use clap::Args;
use std::path::PathBuf;
use usertcp::Algorithm;
use usertcp_base::{Rate, Span};
use usertcp_sim::trial::Reorder;

/// Options of `usertcp sim`.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Lists are separated by commas; every combination is tried. What is joined by + shares\n\
    one bottleneck: --cc cubic+reno, --rtt 20ms+100ms.\n\nExamples:\n  \
    usertcp sim\n  \
    usertcp sim --rate 1gbit --rtt 1ms,20ms,100ms --loss 0,0.01% --plot goodput.svg\n  \
    usertcp sim --flows 8 --cc cubic+reno --loss 0 --seconds 60 --plot shares.svg\n  \
    usertcp sim --reorder 0,1%,5%/3packets,5%/10ms --loss 0\n\n\
    The time is virtual and the same options give the same figures on every machine."
)]
pub struct SimArgs {
    /// Chances that a data packet is lost
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "0,0.01%,0.1%,1%,3%", value_parser = parse_chance)]
    pub loss: Vec<u32>,
    /// Round trips with empty queues
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "20ms", value_parser = parse_rtts)]
    pub rtt: Vec<Rtts>,
    /// Packets out of order: 1% (overtaken by up to 3), 5%/2packets, 5%/10ms (late by up to 10 ms)
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "0", value_parser = parse_reorder)]
    pub reorder: Vec<Disorder>,
    /// Rates of the bottleneck
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "10mbit", value_parser = parse_link_rate)]
    pub rate: Vec<Rate>,
    /// Buffers of the bottleneck, as multiples of rate × round trip; ten packets at least
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "1", value_parser = parse_buffer)]
    pub buffer: Vec<u64>,
    /// Congestion controls: reno, cubic
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "cubic,reno", value_parser = parse_controllers)]
    pub cc: Vec<Controllers>,
    /// Numbers of flows, 1 to 128 [default: as many as are joined by +]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = parse_flows)]
    pub flows: Vec<usize>,
    /// The bottleneck marks at half its buffer (ECN), and the flows ask for it
    #[arg(long)]
    pub ecn: bool,
    /// Virtual seconds of each trial
    #[arg(long, default_value_t = 30, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,
    /// End a trial before that when so much was received in all: 10MB
    #[arg(long, value_name = "SIZE", value_parser = units::parse_size)]
    pub octets: Option<u64>,
    /// Faults are drawn from it
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// Print JSON lines instead of a table
    #[arg(long)]
    pub json: bool,
    /// Draw an SVG: of one trial its course, of several their goodput and retransmissions
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
}

/// Round trips that share a bottleneck.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rtts(pub Vec<Span>);

/// Congestion controls that share a bottleneck.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Controllers(pub Vec<Algorithm>);

/// Reordering as written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Disorder(pub Reorder);

/// "0", "0.01%": parts per million.
fn parse_chance(text: &str) -> Result<u32, Fault> {
    const REMEDY: &str = "write a percentage such as 0.1%, or 0";
    if text == "0" {
        return Ok(0);
    }
    let number = text
        .strip_suffix('%')
        .ok_or_else(|| Fault::usage("there is no unit", format!("write {text}% or 0")))?;
    let per_million = scaled(number, 4).ok_or_else(|| Fault::usage("that is no chance", REMEDY))?;
    u32::try_from(per_million)
        .ok()
        .filter(|chance| *chance <= 500_000)
        .ok_or_else(|| Fault::usage("that is more than any path loses", "use at most 50%"))
}

/// "20ms", "20ms+100ms".
fn parse_rtts(text: &str) -> Result<Rtts, Fault> {
    text.split('+').map(parse_rtt).collect::<Result<_, _>>().map(Rtts)
}

fn parse_rtt(text: &str) -> Result<Span, Fault> {
    let span = parse_span(text)?;
    let sound = (100..=10_000_000).contains(&span.as_micros());
    sound
        .then_some(span)
        .ok_or_else(|| Fault::usage("that is no round trip to try", "use 100us to 10s"))
}

/// "500us", "20ms", "1.5s".
fn parse_span(text: &str) -> Result<Span, Fault> {
    const REMEDY: &str = "write a number and a unit, such as 500us, 20ms or 1s";
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let places = match unit {
        "us" => 0,
        "ms" => 3,
        "s" => 6,
        "" if !number.is_empty() => {
            return Err(Fault::usage("there is no unit", format!("write {text}ms")));
        }
        _ => return Err(Fault::usage("that is no time", REMEDY)),
    };
    let micros = scaled(number, places).ok_or_else(|| Fault::usage("that is no time", REMEDY))?;
    Ok(Span::from_micros(micros))
}

/// "0", "1%", "5%/2packets", "5%/10ms".
fn parse_reorder(text: &str) -> Result<Disorder, Fault> {
    let (chance, how) = text.split_once('/').unwrap_or((text, "3packets"));
    let chance = parse_chance(chance)?;
    if chance == 0 {
        return Ok(Disorder(Reorder::None));
    }
    let packets = how.strip_suffix("packets").or_else(|| how.strip_suffix("packet"));
    let Some(number) = packets else {
        return Ok(Disorder(Reorder::Delayed { chance, most: parse_span(how)? }));
    };
    let packets = number.parse().ok().filter(|packets| (1..=100).contains(packets));
    let packets = packets.ok_or_else(|| {
        Fault::usage("that is no number of packets", "use 1 to 100, as in 5%/3packets")
    })?;
    Ok(Disorder(Reorder::Overtaken { chance, packets }))
}

fn parse_link_rate(text: &str) -> Result<Rate, Fault> {
    let octets = units::parse_rate(text)?;
    let sound = (8_000..=1_250_000_000).contains(&octets);
    sound
        .then_some(Rate::from_octets_per_second(octets))
        .ok_or_else(|| Fault::usage("that is no rate to try", "use 64kbit to 10gbit"))
}

/// "0.5": thousandths of rate × round trip.
fn parse_buffer(text: &str) -> Result<u64, Fault> {
    scaled(text, 3).filter(|per_mille| (1..=100_000).contains(per_mille)).ok_or_else(|| {
        Fault::usage("that is no size of a buffer", "use 0.001 to 100, times rate × round trip")
    })
}

/// "cubic", "cubic+reno".
fn parse_controllers(text: &str) -> Result<Controllers, Fault> {
    let one = |name: &str| {
        name.parse().map_err(|_| {
            let known = Algorithm::ALL.map(Algorithm::name).join(", ");
            Fault::usage("there is no such choice", format!("use one of: {known}"))
        })
    };
    text.split('+').map(one).collect::<Result<_, _>>().map(Controllers)
}

fn parse_flows(text: &str) -> Result<usize, Fault> {
    text.parse()
        .ok()
        .filter(|flows| (1..=128).contains(flows))
        .ok_or_else(|| Fault::usage("that is no number of flows", "use a number from 1 to 128"))
}

/// A decimal number times ten to `places`, exactly; `None` when it is none or has more places.
fn scaled(text: &str, places: usize) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > places {
        return None;
    }
    format!("{whole}{fraction:0<places$}").parse().ok()
}
