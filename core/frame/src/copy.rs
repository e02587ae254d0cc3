//! Copies of many octets.
//!
//! Owns: how many octets are copied by one call. Must not know: what they are.

/// Octets that are copied by one call at most. C libraries hand longer runs (glibc 2.36 with AVX: of 4096 octets) to the
/// processor's `rep movs`, which on the machine this was found on (AMD, family 25, model 1) took 19 times as long as steps
/// where the target lies 16 octets behind the source, both counted from the beginning of their pages (`usertcp-bench
/// micro`), and at eight other distances about as long or more. Whole lines, so that each step begins like the first.
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
