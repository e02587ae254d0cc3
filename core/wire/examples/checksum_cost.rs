//! What sums cost, in hundredths of a nanosecond.
//! `cargo run --release -p usertcp-wire --example checksum_cost`
#![allow(unsafe_code)]
use std::hint::black_box;
use std::time::Instant;
use usertcp_wire::checksum;

fn main() {
    for octets in [20usize, 40, 52, 64, 84, 96, 150, 256, 576, 1448, 4096, 65_536] {
        let data: Vec<u8> = (0..octets).map(|at| (at * 7) as u8).collect();
        let mut target = vec![0; octets];
        let portable = time(|| {
            black_box(checksum::sum(black_box(&data)));
        });
        let vector = time(|| {
            // SAFETY: run on machines with AVX2 only.
            black_box(unsafe { checksum::sum_avx2(black_box(&data)) });
        });
        let copy = time(|| {
            black_box(checksum::copy_and_sum(black_box(&mut target), black_box(&data)));
        });
        let plain = time(|| {
            black_box(&mut target).copy_from_slice(black_box(&data));
        });
        let rate = |ns: f64| octets as f64 / ns;
        println!(
            "{octets:6} octets: portable {portable:8.2} ns {:5.1} GB/s, avx2 {vector:8.2} ns {:5.1} GB/s, copy_and_sum {copy:8.2} ns {:5.1}, copy {plain:8.2}",
            rate(portable),
            rate(vector),
            rate(copy)
        );
    }
}

fn time(mut run: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..15 {
        let start = Instant::now();
        for _ in 0..20_000 {
            run();
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / 20_000.0);
    }
    best
}
