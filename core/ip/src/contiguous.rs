//! Headers in one piece.
//!
//! Owns: the rule that a header lies within the first slice, and the copy that makes it so.
//! Must not know: which header. The copy is small, rare and counted by the caller.

use usertcp_base::DropReason;
use usertcp_frame::{Chain, FramePool};

/// Most octets that are ever made contiguous: an IP header with everything a transport or a
/// quote needs behind it.
pub(crate) const MOST_OCTETS: usize = 192;

/// Makes the first `wanted` octets (at most [`MOST_OCTETS`], or all there are) lie in the first
/// slice. Returns whether they had to be copied. Error: `PoolEmpty`.
pub(crate) fn make_contiguous(
    octets: &mut Chain,
    wanted: usize,
    pool: &FramePool,
) -> Result<bool, DropReason> {
    let wanted = wanted.min(MOST_OCTETS).min(octets.len());
    match octets.front() {
        Some(front) if front.len() < wanted => {}
        _ => return Ok(false),
    }
    let mut copy = [0; MOST_OCTETS];
    let copied = octets.copy_to(0, copy.get_mut(..wanted).unwrap_or_default());
    let front =
        pool.copy_of(copy.get(..copied).unwrap_or_default(), 0).ok_or(DropReason::PoolEmpty)?;
    octets.advance(copied);
    octets.push_front_slice(front);
    Ok(true)
}
