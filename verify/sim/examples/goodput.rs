//! Goodput and retransmissions of one bulk transfer over loss × round trip × rate, per controller.
//! `cargo run --release -p usertcp-sim --example goodput`

#![allow(clippy::float_arithmetic)] // figures for people

use usertcp_base::{Rate, Span};
use usertcp_cc::Algorithm;
use usertcp_sim::link::LinkConfig;
use usertcp_sim::scenario::Scenario;

fn main() {
    println!(
        "rate Mbit/s  RTT ms  loss %  reorder %  controller  goodput Mbit/s  resent  spurious  timeouts"
    );
    for (rate, octets) in [(10_000_000u64, 8u64 << 20), (1_000_000_000, 256 << 20)] {
        for rtt_ms in [1u64, 20, 100, 300] {
            for (loss, reorder) in [(0, 0), (100, 0), (1000, 0), (10_000, 0), (0, 50_000)] {
                for algorithm in [Algorithm::Reno, Algorithm::Cubic] {
                    let delay = Span::from_micros(rtt_ms * 500);
                    let product = rate / 8 * rtt_ms / 1000;
                    let link = LinkConfig {
                        rate: Rate::from_bits_per_second(rate),
                        queue_octets: product.max(64 << 10),
                        loss,
                        reorder,
                        reorder_by: Span::from_micros(rtt_ms * 100),
                        ..LinkConfig::clean(delay)
                    };
                    let octets = octets.min(if loss >= 1000 { 32 << 20 } else { octets });
                    match Scenario::bulk(7, link, octets, algorithm).run() {
                        Ok(report) => println!(
                            "{:>11}  {rtt_ms:>6}  {:>6.2}  {:>9.1}  {:>10}  {:>14.2}  {:>6}  {:>8}  {:>8}",
                            rate / 1_000_000,
                            f64::from(loss) / 10_000.0,
                            f64::from(reorder) / 10_000.0,
                            algorithm.to_string(),
                            octets as f64 * 8.0 / report.took.as_micros() as f64,
                            report.retransmitted,
                            report.spurious,
                            report.timeouts,
                        ),
                        Err(error) => println!("{error}"),
                    }
                }
            }
        }
    }
}
