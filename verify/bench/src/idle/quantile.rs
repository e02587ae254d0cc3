//! Many durations in little memory. Owns: the buckets. Must not know: what took so long.

/// Buckets between two powers of two: a value is known to a thirty-second part.
const PARTS: u64 = 32;
const BUCKETS: usize = (64 - 5) * PARTS as usize + PARTS as usize;

/// Counts of values by their size.
#[derive(Clone, Debug)]
pub struct Quantiles {
    counts: Vec<u64>,
    total: u64,
    max: u64,
    min: u64,
}

impl Quantiles {
    /// No value yet.
    pub fn new() -> Quantiles {
        Quantiles { counts: vec![0; BUCKETS], total: 0, max: 0, min: u64::MAX }
    }

    /// Adds a value.
    pub fn add(&mut self, value: u64) {
        self.counts[bucket(value)] += 1;
        self.total += 1;
        self.max = self.max.max(value);
        self.min = self.min.min(value);
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.total
    }

    /// The largest, exactly; 0 without any.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The least, exactly; 0 without any.
    pub fn min(&self) -> u64 {
        if self.total == 0 { 0 } else { self.min }
    }

    /// The value that `per_million` of a million do not exceed, rounded up to its bucket's end.
    pub fn at(&self, per_million: u64) -> u64 {
        let wanted = (self.total * per_million).div_ceil(1_000_000).max(1);
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return end(at).min(self.max);
            }
        }
        self.max
    }
}

fn bucket(value: u64) -> usize {
    if value < PARTS {
        return value as usize;
    }
    let power = 63 - u64::from(value.leading_zeros());
    let part = value >> (power - 5) & (PARTS - 1);
    ((power - 4) * PARTS + part) as usize
}

/// The largest value of a bucket.
fn end(bucket: usize) -> u64 {
    let (power, part) = (bucket as u64 / PARTS, bucket as u64 % PARTS);
    if power == 0 {
        return part;
    }
    let width = 1u64 << (power - 1);
    (PARTS + part) * width + (width - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_ends_before_the_next_begins() {
        let values = (0..4096).chain([1 << 20, (1 << 20) + 77, 1 << 40, u64::MAX]);
        for value in values {
            let at = bucket(value);
            assert!(at < BUCKETS && end(at) >= value, "{value}");
            assert!(at == 0 || end(at - 1) < value, "{value}");
            assert!(end(at) - value <= value / PARTS, "{value}");
        }
    }

    #[test]
    fn quantiles_of_a_ramp() {
        let mut ramp = Quantiles::new();
        assert_eq!((ramp.at(500_000), ramp.max(), ramp.min(), ramp.len()), (0, 0, 0, 0));
        (1..=10_000).for_each(|value| ramp.add(value));
        let near = |found: u64, wanted: u64| found.abs_diff(wanted) <= wanted / PARTS;
        assert!(
            near(ramp.at(500_000), 5000) && near(ramp.at(999_000), 9990),
            "{}",
            ramp.at(500_000)
        );
        assert_eq!(
            (ramp.at(1_000_000), ramp.max(), ramp.min(), ramp.len()),
            (10_000, 10_000, 1, 10_000)
        );
    }
}
