//! The live page and its data.

use crate::client::Server;
use std::time::Duration;
use usertcp_cli::facts::{ConnectionRow, Count, Memory, Snapshot};

fn facts() -> Snapshot {
    Snapshot {
        uptime: Duration::from_millis(1234),
        counters: vec![Count { name: "packets_in", help: "Packets received", value: 7 }],
        drops: vec![Count { name: "paws_old", help: "", value: 3 }],
        memory: Memory { used_octets: 1, peak_octets: 2, budget_octets: 3 },
        shards: Vec::new(),
        connections_total: 12,
        connections: vec![ConnectionRow {
            id: "4.1".into(),
            state: "ESTABLISHED",
            local: "10.77.0.2:80".parse().unwrap(),
            remote: "[fd77::1]:40000".parse().unwrap(),
            age: Duration::from_secs(5),
            rtt_us: Some(99),
            cwnd_octets: 14_600,
            in_flight_octets: 0,
            peer_window_octets: 65_535,
            send_queue_octets: 0,
            receive_queue_octets: 0,
            octets_in: 1,
            octets_out: 2,
            retransmits: 0,
            limiter: "application",
            limited_us: [1, 2, 3, 4, 5, 6, 7, 8],
        }],
    }
}

#[tokio::test]
async fn the_page_needs_nothing_else() {
    let server = Server::with_facts(false, facts()).await;
    let answer = server.get("/_usertcp").await;
    assert_eq!((answer.status, answer.header("location")), (301, Some("/_usertcp/")));
    let answer = server.get("/_usertcp/").await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    for outside in ["https://", "src=", "@import", "url("] {
        assert!(!answer.text().contains(outside), "{outside}");
    }
    // Only what starts so is ours.
    server.directory.write("_usertcp2", "a file");
    assert_eq!(server.get("/_usertcp2").await.text(), "a file");
    assert_eq!(server.get("/_usertcp/none").await.status, 404);
}

#[tokio::test]
async fn programs_get_json() {
    let server = Server::with_facts(false, facts()).await;
    server.get("/none").await;
    let answer = server.get("/_usertcp/stats.json").await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let stats: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(stats["uptime_ms"], 1234);
    assert_eq!(stats["counters"]["packets_in"], 7);
    assert_eq!(stats["drops"]["paws_old"], 3);
    assert_eq!(stats["memory"]["budget_octets"], 3);
    assert_eq!(stats["connections_total"], 12);
    assert_eq!(stats["connections"][0]["remote"], "[fd77::1]:40000");
    assert_eq!(stats["connections"][0]["limited_us"][6], 7);
    assert_eq!(stats["limiters"][1], "application");
    assert_eq!(stats["http"]["requests"], 1);
    assert_eq!(stats["http"]["answers"][4], 1);
    assert_eq!(stats["about"]["network"], "loopback");
}

#[tokio::test]
async fn prometheus_gets_metrics() {
    let server = Server::with_facts(false, facts()).await;
    let answer = server.get("/_usertcp/metrics").await;
    assert!(answer.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    for line in ["usertcp_packets_in_total 7", "usertcp_drops_total{reason=\"paws_old\"} 3"] {
        assert!(answer.text().contains(line), "{}", answer.text());
    }
}
