//! What this machine sums with.
//!
//! Owns: the question to the machine, and loops in its vector registers (`x86`, `x86_512`).
//! Must not know: what the sums are for.
#![allow(unsafe_code)]

#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;
#[cfg(target_arch = "x86_64")]
mod x86_512;

use usertcp_wire::checksum::Engine;

/// The fastest way to sum that this machine has.
#[must_use]
pub fn engine() -> Engine {
    #[cfg(target_arch = "x86_64")]
    if let Some(engine) = avx512().or_else(avx2) {
        return engine;
    }
    Engine::PORTABLE
}

/// By wide registers, where they are worth it: machines with these instructions do not slow down for
/// them, as the first ones with AVX-512 did.
#[cfg(target_arch = "x86_64")]
fn avx512() -> Option<Engine> {
    let has_all = std::is_x86_feature_detected!("avx512f")
        && std::is_x86_feature_detected!("avx512bw")
        && std::is_x86_feature_detected!("avx512vnni");
    // Not safely: what a function needs of the machine is no part of its type.
    // SAFETY: the machine has just said that it has all three.
    has_all.then(|| Engine::new(|bytes| unsafe { x86_512::sum_avx512(bytes) }))
}

#[cfg(target_arch = "x86_64")]
fn avx2() -> Option<Engine> {
    // Not safely: as above.
    // SAFETY: the machine has just said that it has AVX2.
    std::is_x86_feature_detected!("avx2")
        .then(|| Engine::new(|bytes| unsafe { x86::sum_avx2(bytes) }))
}
