//! What frames, slices and chains cost, in hundredths of a nanosecond.
//! `cargo run --release -p usertcp-frame --example frame_cost`
use std::hint::black_box;
use std::time::Instant;
use usertcp_frame::{Chain, Class, FramePool, PoolConfig};

fn main() {
    let pool = FramePool::new(&PoolConfig { octets: 64 << 20, reserve_small: 264 });
    for class in [Class::Small, Class::Full, Class::Large] {
        report(&format!("take and drop one {class:?}"), 1, || {
            drop(black_box(pool.take(class, 64)))
        });
    }
    let mut held = Vec::with_capacity(64);
    report("take 64 Full, drop 64 Full, each", 64, || {
        held.extend((0..64).filter_map(|_| pool.take(Class::Full, 64)));
        held.clear();
    });
    let Some(slice) = pool.copy_of(&[1; 1448], 64) else { return };
    report("copy 60 octets into a Small frame, drop", 1, || {
        drop(black_box(pool.copy_of(&slice[..60], 0)));
    });
    report("clone and drop a slice", 1, || drop(black_box(slice.clone())));
    report("lend, drop, reclaim", 1, || {
        drop(black_box(slice.clone().lend()));
        pool.reclaim();
    });
    report("chain: push_back, pop_front", 1, || {
        let mut chain = Chain::new();
        chain.push_back(slice.clone());
        drop(black_box(chain.pop_front()));
    });
    chains(&pool);
}

fn chains(pool: &FramePool) {
    let octets = [7; 2000];
    let queue: Chain = (0..2000).filter_map(|_| pool.copy_of(&octets, 0)).collect();
    let mut at = 0;
    report("chain of 4 MB: slice of 1448, sequential", 1, || {
        drop(black_box(queue.slice(at, 1448)));
        at = if at > queue.len() - 1448 { 0 } else { at + 1448 };
    });
    report("chain of 4 MB: slice of 1448, scattered", 1, || {
        drop(black_box(queue.slice(at, 1448)));
        at = (at + 1_000_003) % queue.len();
    });
    report("chain of 4 MB: slice of 64 KiB, sequential", 1, || {
        drop(black_box(queue.slice(at, 65_160)));
        at = if at > queue.len() - 65_160 { 0 } else { at + 65_160 };
    });
    let Some(slice) = pool.copy_of(&octets, 0) else { return };
    let mut fifo = Chain::new();
    (0..100).filter_map(|_| pool.copy_of(&octets, 0)).for_each(|slice| fifo.push_back(slice));
    report("chain of 100: push_back 2000, advance 2000", 1, || {
        fifo.push_back(slice.clone());
        fifo.advance(2000);
    });
}

fn report(what: &str, operations: u128, mut run: impl FnMut()) {
    let mut best = u128::MAX;
    for _ in 0..20 {
        let start = Instant::now();
        (0..20_000).for_each(|_| run());
        best = best.min(start.elapsed().as_nanos() * 100 / 20_000 / operations);
    }
    println!("{what:48} {:4}.{:02} ns", best / 100, best % 100);
}
