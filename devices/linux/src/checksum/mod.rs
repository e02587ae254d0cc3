//! What this machine sums with.
//!
//! Owns: the question to the machine, and loops in its vector registers (`x86`).
//! Must not know: what the sums are for.
#![allow(unsafe_code)]

#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

use usertcp_wire::checksum::Engine;

/// The fastest way to sum that this machine has.
#[must_use]
pub fn engine() -> Engine {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") {
        // Not safely: what a function needs of the machine is no part of its type.
        // SAFETY: the machine has just said that it has AVX2.
        return Engine::new(|bytes| unsafe { x86::sum_avx2(bytes) });
    }
    Engine::PORTABLE
}
