//! Copies of many octets.
//!
//! Owns: how many octets are copied by one call. Must not know: what they are.

/// Octets that are copied by one call at most. C libraries hand longer runs (glibc: from 2048 octets on, or 4096 with AVX)
/// to the processor's `rep movs`, which on AMD's Zen 3 to Zen 5 takes up to sixteen times as long as a loop where the
/// target lies a few octets behind the source, both counted from the beginning of their pages; a loop was
/// slower nowhere (`usertcp-bench micro`). Whole lines, so that each step begins like the first.
pub(crate) const STEP: usize = 31 * 64;

/// Copies `source` to `target`, which is as long.
///
/// # Panics
/// When it is not.
#[inline(always)] // most are short
pub fn copy(target: &mut [u8], source: &[u8]) {
    if source.len() > STEP {
        return copy_long(target, source);
    }
    target.copy_from_slice(source);
}

#[inline(never)]
fn copy_long(target: &mut [u8], source: &[u8]) {
    assert_eq!(target.len(), source.len(), "one is longer");
    for (to, from) in target.chunks_mut(STEP).zip(source.chunks(STEP)) {
        to.copy_from_slice(from);
    }
}
