//! The live page with made-up connections, to look at it without a device:
//! `cargo run -p usertcp-cli --example live_page [PORT]`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use usertcp_base::{Counters, DropReason, Limiter, Prng};
use usertcp_cli::facts::{ConnectionRow, LiveFacts, Memory, Snapshot, counts, drops};
use usertcp_cli::web::{self, About, Site};

/// A stack that is not there.
struct MadeUp {
    start: Instant,
}

impl LiveFacts for MadeUp {
    async fn snapshot(&self, rows: usize) -> Snapshot {
        let uptime = Duration::from_secs(4000) + self.start.elapsed();
        let time = uptime.as_millis() as u64;
        let mut counters = Counters {
            packets_in: time * 31,
            packets_out: time * 40,
            segments_in: time * 31,
            segments_out: time * 40,
            // The odd term makes a curve worth drawing.
            payload_octets_in: time * 9_000 + wave(time, 700) * 2000,
            payload_octets_out: time * 410_000 + wave(time, 1900) * 90_000,
            segments_retransmitted: time / 700,
            timeouts: 3,
            tail_probes: 41,
            passive_opens: 1204,
            closes: 1190,
            echo_replies: 12,
            ..Counters::default()
        };
        counters.drops[DropReason::PawsOld as usize] = 14;
        counters.drops[DropReason::NoConnection as usize] = time / 900;
        counters.drops[DropReason::DuplicateData as usize] = 3;
        Snapshot {
            uptime,
            counters: counts(&counters),
            drops: drops(&counters),
            memory: Memory {
                used_octets: (40 << 20) + wave(time, 1300) * 9000,
                peak_octets: 91 << 20,
                budget_octets: 256 << 20,
            },
            shards: Vec::new(),
            connections_total: 14 + wave(time, 800) / 300,
            connections: (0..9).map(|index| row(index, time)).take(rows).collect(),
        }
    }
}

/// Up and down between 0 and 1000.
fn wave(time: u64, period: u64) -> u64 {
    let phase = time % (2 * period);
    let up = if phase < period { phase } else { 2 * period - phase };
    up * 1000 / period
}

fn row(index: u64, time: u64) -> ConnectionRow {
    let mut prng = Prng::from_seed(index);
    let six = index % 3 == 1;
    let port = 40_000 + prng.below(20_000) as u16;
    let pair = if six { ("fd77::2", "fd77::1") } else { ("10.77.0.2", "10.77.0.1") };
    let end = |host: &str, port| SocketAddr::new(host.parse().unwrap_or([0; 16].into()), port);
    let busiest = prng.below(5) as usize;
    let mut limited_us = [0; Limiter::COUNT];
    for (limiter, time_us) in limited_us.iter_mut().enumerate() {
        let share = if limiter == busiest { 60 } else { prng.below(14) };
        *time_us = time * share * u64::from(limiter < 5 || index == 4);
    }
    let speed = [310_000, 60_000, 9_000, 0][prng.below(4) as usize];
    ConnectionRow {
        id: format!("{index}.0"),
        state: ["ESTABLISHED", "ESTABLISHED", "ESTABLISHED", "FIN-WAIT-2", "CLOSE-WAIT"]
            [prng.below(5) as usize],
        local: end(pair.0, 80),
        remote: end(pair.1, port),
        age: Duration::from_millis(time / (index + 1)),
        rtt_us: (index != 7).then(|| 30 + prng.below(1 << (index + 4))),
        cwnd_octets: 14_600 << prng.below(8),
        in_flight_octets: if speed > 0 { prng.below(1 << 18) } else { 0 },
        peer_window_octets: 3 << 20,
        send_queue_octets: prng.below(1 << 20),
        receive_queue_octets: 0,
        octets_in: time * (speed / 90 + 1),
        octets_out: time * speed,
        retransmits: [0, 0, 0, 17][prng.below(4) as usize],
        limiter: Limiter::NAMES[busiest],
        limited_us,
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1).unwrap_or("8078".into()).parse::<u16>()?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let url = format!("http://{}/", listener.local_addr()?);
    println!("{url}_usertcp/");
    let about = About {
        network: "TUN utcp0, mtu 1500".into(),
        urls: vec!["http://10.77.0.2/".into(), "http://[fd77::2]/".into()],
        ..About::default()
    };
    let facts = Arc::new(MadeUp { start: Instant::now() });
    let site = Arc::new(Site::open(".".as_ref(), facts, about)?);
    web::serve(listener, site, std::future::pending()).await?;
    Ok(())
}
