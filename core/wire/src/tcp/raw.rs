//! Where options stand in a header.
//!
//! Owns: a walk over the option area that yields places instead of values.
//! Must not know: what any option means. `parse` has judged the header before.

use super::HEADER_OCTETS;

/// An option by its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RawOption {
    /// Its kind; neither end of list nor no-operation.
    pub kind: u8,
    /// Where its kind stands, octets from the start of the header.
    pub offset: u8,
    /// Kind, length and body, octets; at least two, and all of them within the header.
    pub octets: u8,
}

/// The options of `header`, which is a whole TCP header and nothing behind it. Ends at an illegal
/// length, as at the end of the list.
pub fn raw_options(header: &[u8]) -> impl Iterator<Item = RawOption> + '_ {
    let mut at = HEADER_OCTETS;
    core::iter::from_fn(move || {
        loop {
            let kind = *header.get(at)?;
            match kind {
                0 => return None,
                1 => at += 1,
                _ => {
                    let octets = *header.get(at + 1)?;
                    let end = at + usize::from(octets);
                    if octets < 2 || end > header.len() {
                        return None;
                    }
                    let offset = u8::try_from(at).ok()?;
                    at = end;
                    return Some(RawOption { kind, offset, octets });
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn kinds(area: &[u8]) -> Vec<(u8, u8, u8)> {
        let header: Vec<u8> = [0; 20].iter().chain(area).copied().collect();
        raw_options(&header).map(|o| (o.kind, o.offset, o.octets)).collect()
    }

    #[test]
    fn places_up_to_the_end_or_the_first_illegal_length() {
        assert_eq!(kinds(&[]), []);
        assert_eq!(kinds(&[1, 1, 8, 3, 9, 2, 2, 0]), [(8, 22, 3), (2, 25, 2)]);
        assert_eq!(kinds(&[0, 8, 3, 9]), []);
        assert_eq!(kinds(&[4, 2, 5, 1]), [(4, 20, 2)]);
        assert_eq!(kinds(&[4, 2, 5, 0]), [(4, 20, 2)]);
        assert_eq!(kinds(&[4, 2, 5, 3]), [(4, 20, 2)]);
        assert_eq!(kinds(&[4, 2, 5]), [(4, 20, 2)]);
    }
}
