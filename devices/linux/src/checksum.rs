//! What this machine sums with.
//!
//! Owns: the question to the machine. Must not know: how the sums are made (`usertcp_wire`).
#![allow(unsafe_code)]

use usertcp_wire::checksum::Engine;

/// The fastest way to sum that this machine has.
#[must_use]
pub fn engine() -> Engine {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") {
        // Not safely: what a function needs of the machine is no part of its type.
        // SAFETY: the machine has just said that it has AVX2.
        return Engine::new(|bytes| unsafe { usertcp_wire::checksum::sum_avx2(bytes) });
    }
    Engine::PORTABLE
}

#[cfg(test)]
mod tests {
    use super::engine;
    use usertcp_wire::checksum;

    #[test]
    fn it_sums_as_every_machine_does() {
        let octets: Vec<u8> = (0..9000u32).map(|at| (at * 31 / 7) as u8).collect();
        for len in [0, 1, 64, 255, 256, 1447, 1448, 9000] {
            assert_eq!(engine().sum(&octets[..len]), checksum::sum(&octets[..len]), "{len}");
        }
    }
}
