//! What a flow should reach by the published models. Owns: the models, in integers.
//! Must not know: the stack.
//!
//! Models: Mathis et al. 1997 (Reno: window √(3/2p)); RFC 9438 §5.1 (CUBIC with C = 0.4, β = 0.7:
//! window 1.054 · RTT^¾ / p^¾, and never less than Reno's).

use usertcp_base::{Rate, Span};
use usertcp_cc::Algorithm;

/// Payload octets of a full segment with timestamps.
const SEGMENT_OCTETS: u64 = 1448;
/// Octets of it on the link.
const PACKET_OCTETS: u64 = 1500;

/// The goodput of one flow that loses `loss` of a million packets by chance, over a link of `rate`
/// that never queues for long.
pub fn goodput(algorithm: Algorithm, rate: Rate, rtt: Span, loss: u32) -> Rate {
    let full = rate.scaled(SEGMENT_OCTETS, PACKET_OCTETS);
    if loss == 0 {
        return full;
    }
    let window = match algorithm {
        Algorithm::Reno => reno_milli_segments(loss),
        Algorithm::Cubic => cubic_milli_segments(rtt, loss).max(reno_milli_segments(loss)),
    };
    full.min(Rate::over(window * SEGMENT_OCTETS / 1000, rtt))
}

/// √(3/2p), in thousandths of a segment.
fn reno_milli_segments(loss: u32) -> u64 {
    // 3/2 · 10^6 / loss · 10^6 under the root gives thousandths.
    (1_500_000 * 1_000_000 / u64::from(loss)).isqrt()
}

/// 1.054 · (RTT / p)^¾, in thousandths of a segment.
fn cubic_milli_segments(rtt: Span, loss: u32) -> u64 {
    // RTT in microseconds by p in millionths is RTT / p in seconds · 10^0.
    // (x^3)^(1/4) by two square roots, of x^3 · 10^12.
    let x_cubed = u128::from(rtt.as_micros()).pow(3) * 10u128.pow(12) / u128::from(loss).pow(3);
    let fourth_root = x_cubed.isqrt().isqrt();
    u64::try_from(fourth_root * 1054 / 1000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_those_of_the_formulas() {
        // By a pocket calculator, in thousandths of a segment; RTT 100 ms.
        for (loss, reno, cubic) in [
            (10_000, 12_247, 5927),
            (1000, 38_729, 33_330),
            (100, 122_474, 187_431),
            (10, 387_298, 1_054_000),
        ] {
            assert!(reno_milli_segments(loss).abs_diff(reno) <= 1, "{loss}");
            let window = cubic_milli_segments(Span::from_millis(100), loss);
            assert!(window.abs_diff(cubic) <= 2, "{loss} {window}");
        }
    }

    #[test]
    fn no_flow_exceeds_its_link() {
        let (rate, rtt) = (Rate::from_bits_per_second(10_000_000), Span::from_millis(20));
        let kbit = |loss| goodput(Algorithm::Reno, rate, rtt, loss).octets_per_second() / 125;
        assert_eq!((kbit(0), kbit(100), kbit(10_000)), (9653, 9653, 7093));
    }
}
