//! Byte ranges. Owns: the Range header's meaning for a file of known length.
//! Must not know: files. Implements: RFC 9110 §14.1–14.2.

/// Octets from `offset` on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// Where it starts.
    pub offset: u64,
    /// How long it is; never zero.
    pub length: u64,
}

impl Span {
    /// The last octet's place, as headers count.
    pub fn last(&self) -> u64 {
        self.offset + self.length - 1
    }
}

/// What a Range header asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Asked {
    /// Nothing we act on: send the whole.
    Whole,
    /// These, in this order.
    Parts(Vec<Span>),
    /// Nothing that exists (416).
    Nothing,
}

/// More ranges than this in one request serve nobody but an attacker (RFC 9110 §17.15).
const MOST_RANGES: usize = 64;

/// Reads a Range header for a file of `length` octets.
pub fn asked(header: &str, length: u64) -> Asked {
    let Some((unit, list)) = header.split_once('=') else { return Asked::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Asked::Whole;
    }
    let mut spans = Vec::new();
    let mut specifiers = 0;
    for specifier in list.split(',').map(str::trim).filter(|text| !text.is_empty()) {
        specifiers += 1;
        match one(specifier, length) {
            Err(Malformed) => return Asked::Whole,
            Ok(Some(span)) => spans.push(span),
            Ok(None) => {}
        }
    }
    let total: u64 = spans.iter().fold(0, |sum, span| sum.saturating_add(span.length));
    match specifiers {
        0 => Asked::Whole,
        _ if specifiers > MOST_RANGES || (spans.len() > 1 && total > length) => Asked::Whole,
        _ if spans.is_empty() => Asked::Nothing,
        _ => Asked::Parts(spans),
    }
}

/// The header is not of the form the RFC gives: it is as if it were not there.
struct Malformed;

/// One "first-last", "first-" or "-count"; `None` when nothing of it exists.
fn one(specifier: &str, length: u64) -> Result<Option<Span>, Malformed> {
    let (first, last) = specifier.split_once('-').ok_or(Malformed)?;
    let (offset, end) = match (first.trim_end(), last.trim_start()) {
        ("", last) => (length.saturating_sub(number(last)?), length),
        (first, "") => (number(first)?, length),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return Err(Malformed);
            }
            (first, last.saturating_add(1).min(length))
        }
    };
    Ok((offset < end).then(|| Span { offset, length: end - offset }))
}

/// A decimal number; one too big to hold is as good as the biggest.
fn number(text: &str) -> Result<u64, Malformed> {
    if text.is_empty() || !text.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(Malformed);
    }
    Ok(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(list: &[(u64, u64)]) -> Asked {
        Asked::Parts(
            list.iter().map(|(offset, length)| Span { offset: *offset, length: *length }).collect(),
        )
    }

    #[test]
    fn ranges_of_a_hundred_octets() {
        for (header, expected) in [
            ("bytes=0-9", parts(&[(0, 10)])),
            ("bytes=90-", parts(&[(90, 10)])),
            ("bytes=-5", parts(&[(95, 5)])),
            ("bytes=-500", parts(&[(0, 100)])),
            ("bytes=95-500", parts(&[(95, 5)])),
            ("bytes=99-99", parts(&[(99, 1)])),
            ("bytes=0-0, 50-59 ,-1", parts(&[(0, 1), (50, 10), (99, 1)])),
            ("Bytes=0-0", parts(&[(0, 1)])),
            ("bytes=100-", Asked::Nothing),
            ("bytes=-0", Asked::Nothing),
            ("bytes=200-300,400-", Asked::Nothing),
            ("bytes=200-300,0-0", parts(&[(0, 1)])),
            ("bytes=0-99999999999999999999", parts(&[(0, 100)])),
            ("bytes=99999999999999999999-", Asked::Nothing),
            ("bytes=9-0", Asked::Whole),
            ("bytes=", Asked::Whole),
            ("bytes=x-1", Asked::Whole),
            ("bytes=+1-2", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("lines=0-9", Asked::Whole),
            ("nonsense", Asked::Whole),
            ("bytes=0-,0-,0-", Asked::Whole),
        ] {
            assert_eq!(asked(header, 100), expected, "{header}");
        }
        assert_eq!(asked("bytes=0-", 0), Asked::Nothing);
        let many = format!("bytes={}", vec!["0-0"; 65].join(","));
        assert_eq!(asked(&many, 100), Asked::Whole);
    }

    proptest! {
        #[test]
        fn spans_stay_inside(header in "bytes=[0-9,-]{0,30}", length: u64) {
            if let Asked::Parts(spans) = asked(&header, length) {
                for span in spans {
                    prop_assert!(span.length > 0 && span.last() < length);
                }
            }
        }
    }
}
