//! Several measurements of one thing. Owns: median and range.
//! Must not know: what was measured.

/// The middle and the ends of some values.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Spread {
    /// The middle value; between two, their mean.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}

impl Spread {
    /// The spread of `values`, if there are any.
    pub fn of(values: &[f64]) -> Option<Spread> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(Spread { median: (low + high) / 2.0, min, max })
    }

    /// "12.3 [11.9..12.8]"; only the median if it was measured once.
    pub fn text(&self) -> String {
        let median = short(self.median);
        if self.min == self.max {
            return median;
        }
        format!("{median} [{}..{}]", short(self.min), short(self.max))
    }
}

/// A number with three significant digits, or whole with separators if it is large.
pub fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 999.5 => grouped(value.round() as i64),
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if value < 0 { format!("-{out}") } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_found() {
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(Spread::of(&[4.0, 1.0, 2.0, 3.0]).map(|s| s.median), Some(2.5));
    }

    #[test]
    fn numbers_are_short() {
        let cases = [
            (0.0123, "0.012"),
            (0.5, "0.50"),
            (12.34, "12.3"),
            (123.4, "123"),
            (1234.4, "1,234"),
            (1_234_567.0, "1,234,567"),
            (-4321.0, "-4,321"),
        ];
        for (value, text) in cases {
            assert_eq!(short(value), text);
        }
        assert_eq!(Spread::of(&[1.0, 2.0, 3.0]).unwrap().text(), "2.00 [1.00..3.00]");
        assert_eq!(Spread::of(&[2.0]).unwrap().text(), "2.00");
    }
}
