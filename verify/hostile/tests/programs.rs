//! Random programs of operations, and random bytes into every parser. A failing seed is printed;
//! `HOSTILE_SEED=n cargo test -p usertcp-hostile one_program` runs it alone.

use usertcp_base::{DropReason, Prng};
use usertcp_hostile::{parsers, program};

fn bytes(seed: u64, most: u64) -> Vec<u8> {
    let mut prng = Prng::from_seed(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xF00D);
    let length = prng.below(most) as usize;
    (0..length).map(|_| prng.below(256) as u8).collect()
}

/// Tells which seed it was when a program panics.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("hostile seed {}", self.0);
        }
    }
}

fn run_programs(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let seed = Seed(seed);
        program::run(&bytes(seed.0, 1200));
    }
}

// proves BG-7, AT-14, AT-38
#[test]
fn random_programs_break_nothing_first_half() {
    run_programs(0..5000);
}

// proves BG-7
#[test]
fn random_programs_break_nothing_second_half() {
    run_programs(5000..10_000);
}

/// Programs that no longer get behind the first checks would prove nothing.
#[test]
fn programs_reach_what_lies_behind_the_first_checks() {
    let mut reasons = [0; DropReason::COUNT];
    let mut sums = [0; 13];
    for seed in 5000..7000 {
        let (counters, traffic) = program::run(&bytes(seed, 1200));
        for (sum, drops) in reasons.iter_mut().zip(counters.drops) {
            *sum += drops;
        }
        let counted = [
            counters.passive_opens,
            counters.active_opens,
            counters.cookies_accepted,
            counters.fast_opens_in,
            counters.timeouts,
            counters.tail_probes,
            counters.segments_retransmitted,
            counters.challenge_acks,
            counters.resets_in,
            counters.octets_copied,
            counters.payload_octets_out,
            traffic.messages_taken,
            traffic.messages_answered,
        ];
        for (sum, counted) in sums.iter_mut().zip(counted) {
            *sum += counted;
        }
    }
    let never: Vec<&str> = DropReason::ALL
        .iter()
        .filter(|reason| reasons[**reason as usize] == 0)
        .map(|reason| reason.label())
        // Programs run on a device without a link, and on one shard.
        .filter(|label| !["link_", "neighbour_", "steer_"].iter().any(|of| label.starts_with(of)))
        .collect();
    assert!(sums.iter().all(|sum| *sum > 0), "{sums:?}");
    assert!(never.len() <= 9, "never dropped for: {never:?}");
}

#[test]
fn one_program() {
    if let Some(seed) = std::env::var("HOSTILE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        run_programs(seed..seed + 1);
    }
}

/// More programs than every test run can afford: `HOSTILE_SEEDS=100000 cargo test -p
/// usertcp-hostile --release more_programs`.
#[test]
fn more_programs() {
    if let Some(most) = std::env::var("HOSTILE_SEEDS").ok().and_then(|most| most.parse().ok()) {
        run_programs(10_000..most);
    }
}

// proves PR-2, AT-18, AT-28, AT-29
#[test]
fn random_bytes_pass_every_parser() {
    for seed in 0..20_000 {
        let _seed = Seed(seed);
        parsers::run(&bytes(seed ^ 1 << 40, 300));
    }
}
