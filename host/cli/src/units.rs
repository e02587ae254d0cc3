//! Numbers with units, in and out. Owns: rates ("10mbit"), sizes ("256MiB"), durations.
//! Must not know: what they are for. Integers only: the same text gives the same number anywhere.

use crate::fault::Fault;
use std::fmt::Write;
use std::time::Duration;

const RATE_HELP: &str =
    "write a number and a unit, such as 500kbit, 1.5gbit (bits) or 1MB, 64KiB (octets)";
const SIZE_HELP: &str = "write a number and a unit, such as 64MB, 256MiB or 1GiB";

/// A rate in octets per second, from "10mbit", "1.5gbit", "1MB", "64KiB/s".
pub fn parse_rate(text: &str) -> Result<u64, Fault> {
    let (number, unit) = split_unit(text, RATE_HELP)?;
    let bare = unit.strip_suffix("/s").unwrap_or(unit);
    let (multiplier, divisor) = rate_unit(bare).ok_or_else(|| rate_unit_fault(unit, text))?;
    let octets = number.times(multiplier, divisor).ok_or_else(|| {
        Fault::usage("that is more than fits in a number", "leave --rate out for no limit")
    })?;
    if octets == 0 {
        return Err(Fault::usage(
            "a rate below one octet a second would never send anything",
            "choose a higher rate, or leave --rate out for no limit",
        ));
    }
    Ok(octets)
}

/// Octets per second that one of `unit` stands for, as a fraction.
fn rate_unit(unit: &str) -> Option<(u64, u64)> {
    if let Some(scale) = unit.strip_suffix("bit") {
        return Some((scale_factor(scale, true)?, 8));
    }
    Some((scale_factor(unit.strip_suffix('B')?, false)?, 1))
}

fn rate_unit_fault(unit: &str, text: &str) -> Fault {
    if unit.is_empty() {
        return Fault::usage("there is no unit", format!("write {text}mbit or {text}MB"));
    }
    let number = &text[..text.len() - unit.len()];
    match unit.to_ascii_lowercase().as_str() {
        // `tc` reads "mbps" as megabytes, most people as megabits.
        "bps" | "kbps" | "mbps" | "gbps" => {
            let scale = &unit[..unit.len() - 3].to_ascii_lowercase();
            let octets = scale.to_ascii_uppercase();
            Fault::usage(
                format!("\"{unit}\" may mean bits or octets"),
                format!("write {number}{scale}bit for bits, {number}{octets}B for octets"),
            )
        }
        _ => Fault::usage(format!("\"{unit}\" is not a unit of rate"), RATE_HELP),
    }
}

/// A size in octets, from "256MiB", "64MB", "1G"; a lone letter is binary.
pub fn parse_size(text: &str) -> Result<u64, Fault> {
    let (number, unit) = split_unit(text, SIZE_HELP)?;
    if unit.is_empty() {
        return Err(Fault::usage("there is no unit", format!("write {text}MiB, or {text}B")));
    }
    let factor = match unit.strip_suffix('B') {
        Some(scale) => scale_factor(scale, false),
        None => scale_factor(&format!("{unit}i"), false),
    };
    let factor = factor
        .ok_or_else(|| Fault::usage(format!("\"{unit}\" is not a unit of size"), SIZE_HELP))?;
    number.times(factor, 1).ok_or_else(|| Fault::usage("that is more than any machine", SIZE_HELP))
}

/// 1000 or 1024 to a power; bits may be written in lower case, octets only as is usual.
fn scale_factor(scale: &str, any_case: bool) -> Option<u64> {
    let letters = if any_case { scale.to_ascii_lowercase() } else { scale.to_owned() };
    Some(match letters.as_str() {
        "" => 1,
        "k" | "K" => 1000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "m" if any_case => 1_000_000,
        "g" if any_case => 1_000_000_000,
        "t" if any_case => 1_000_000_000_000,
        "ki" | "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        "mi" if any_case => 1 << 20,
        "gi" if any_case => 1 << 30,
        "ti" if any_case => 1 << 40,
        _ => return None,
    })
}

/// A decimal number: `digits / 10^places`.
struct Decimal {
    digits: u64,
    places: u32,
}

impl Decimal {
    fn parse(text: &str) -> Option<Decimal> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let fraction = fraction.trim_end_matches('0');
        if whole.is_empty() || fraction.len() > 9 {
            return None;
        }
        let digits = format!("{whole}{fraction}").parse().ok()?;
        Some(Decimal { digits, places: u32::try_from(fraction.len()).ok()? })
    }

    fn times(&self, multiplier: u64, divisor: u64) -> Option<u64> {
        let product = u128::from(self.digits) * u128::from(multiplier);
        u64::try_from(product / (u128::from(divisor) * 10u128.pow(self.places))).ok()
    }
}

fn split_unit<'a>(text: &'a str, help: &str) -> Result<(Decimal, &'a str), Fault> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let wrong = || Fault::usage("it does not start with a number", help);
    Ok((Decimal::parse(number).ok_or_else(wrong)?, unit.trim()))
}

/// Octets with a binary unit and one decimal: "1.4 GiB".
pub fn octets(count: u64) -> String {
    scaled(count, 1024, &["B", "KiB", "MiB", "GiB", "TiB", "PiB"])
}

/// Octets per second as bits: "1.5 Gbit/s".
pub fn rate(octets_per_second: u64) -> String {
    let bits = octets_per_second.saturating_mul(8);
    scaled(bits, 1000, &["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"])
}

fn scaled(count: u64, step: u64, units: &[&str]) -> String {
    let mut divisor = 1u64;
    let mut index = 0;
    while index + 1 < units.len() && count / divisor >= step {
        divisor *= step;
        index += 1;
    }
    let tenths = u128::from(count) * 10 / u128::from(divisor);
    match tenths % 10 {
        0 => format!("{} {}", tenths / 10, units[index]),
        rest => format!("{}.{rest} {}", tenths / 10, units[index]),
    }
}

/// A count with thousands apart: "1,234,567".
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// "1 request", "2,000 requests".
pub fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// "12 s", "3 min 5 s", "2 h 7 min".
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = match (hours, minutes) {
        (0, 0) => write!(text, "{seconds} s"),
        (0, _) => write!(text, "{minutes} min {} s", seconds % 60),
        _ => write!(text, "{hours} h {minutes} min"),
    };
    text
}

#[cfg(test)]
mod tests;
