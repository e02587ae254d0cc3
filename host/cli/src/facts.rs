//! What the live page shows. Owns: a snapshot's shape, and its making from the stack's counters.
//! Must not know: how it is shown, or how the stack keeps it.

use serde::{Serialize, Serializer};
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;
use usertcp_base::{Counters, DropReason, Limiter};

/// Tells what goes on in a stack.
pub trait LiveFacts: Send + Sync + 'static {
    /// The state now, with at most `rows` connections, the busiest first.
    fn snapshot(&self, rows: usize) -> impl Future<Output = Snapshot> + Send;
}

/// A stack at one moment.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Snapshot {
    /// Time since the start.
    #[serde(rename = "uptime_ms", serialize_with = "as_millis")]
    pub uptime: Duration,
    /// Counts since the start.
    #[serde(serialize_with = "as_map")]
    pub counters: Vec<Count>,
    /// Packets dropped, by reason; reasons that never happened may be left out.
    #[serde(serialize_with = "as_map")]
    pub drops: Vec<Count>,
    /// Memory for packets.
    pub memory: Memory,
    /// What each shard did, of a stack of several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shards: Vec<ShardRow>,
    /// Connections there are, whether or not they have a row.
    pub connections_total: u64,
    /// Some of them.
    pub connections: Vec<ConnectionRow>,
}

/// A named count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Count {
    /// In snake case, for programs.
    pub name: &'static str,
    /// A sentence without its full stop, for people; may be empty.
    pub help: &'static str,
    /// The count.
    pub value: u64,
}

/// Memory for packets, in octets.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Memory {
    /// In use.
    pub used_octets: u64,
    /// Most that was ever in use.
    pub peak_octets: u64,
    /// There is no more than this.
    pub budget_octets: u64,
}

/// One of several shards, since the start.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct ShardRow {
    /// Connections open now.
    pub connections: u64,
    /// Packets received, those that other shards handed over among them.
    pub packets_in: u64,
    /// Packets given to its queue of the device.
    pub packets_out: u64,
    /// Packets that other shards handed to it.
    pub steered_in: u64,
    /// Packets that came by its queue and belonged to others.
    pub steered_out: u64,
}

/// One connection at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct ConnectionRow {
    /// Tells it from every other, before and after it.
    pub id: String,
    /// The RFC's name: "ESTABLISHED".
    pub state: &'static str,
    /// Our end.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
    /// Time since it opened.
    #[serde(rename = "age_ms", serialize_with = "as_millis")]
    pub age: Duration,
    /// Smoothed round-trip time in microseconds, once measured.
    pub rtt_us: Option<u64>,
    /// Congestion window in octets.
    pub cwnd_octets: u64,
    /// Octets sent and not acknowledged.
    pub in_flight_octets: u64,
    /// The peer's window in octets.
    pub peer_window_octets: u64,
    /// Octets the application wrote that are not acknowledged.
    pub send_queue_octets: u64,
    /// Octets that came and were not read.
    pub receive_queue_octets: u64,
    /// Payload octets received since it opened.
    pub octets_in: u64,
    /// Payload octets acknowledged by the peer since it opened.
    pub octets_out: u64,
    /// Segments sent again.
    pub retransmits: u64,
    /// What holds it back now: one of [`Limiter::NAMES`].
    pub limiter: &'static str,
    /// Microseconds each limiter held it back, in the order of [`Limiter::NAMES`].
    pub limited_us: [u64; Limiter::COUNT],
}

/// The stack's counters as named counts.
pub fn counts(counters: &Counters) -> Vec<Count> {
    macro_rules! counts {
        ($($name:ident: $help:literal,)*) => {
            vec![$(Count { name: stringify!($name), help: $help, value: counters.$name }),*]
        };
    }
    counts! {
        packets_in: "Packets received from the device",
        packets_out: "Packets given to the device; a super-segment counts once",
        segments_in: "TCP segments received",
        segments_out: "TCP segments sent; a super-segment counts once",
        payload_octets_in: "TCP payload octets received, repeats included",
        payload_octets_out: "TCP payload octets sent, repeats included",
        segments_retransmitted: "Segments sent again",
        timeouts: "Retransmission timeouts",
        tail_probes: "Tail loss probes sent",
        spurious_retransmissions: "Retransmissions that the peer reported as not needed",
        resets_out: "Resets sent",
        resets_in: "Resets accepted",
        challenge_acks: "Challenge acknowledgements sent",
        cookies_out: "SYN cookies sent",
        cookies_accepted: "Connections opened by a SYN cookie",
        fast_opens_in: "Connections opened by a SYN with a Fast Open cookie",
        fast_open_cookies_invalid: "Fast Open cookies that were not ours",
        fast_opens_out: "Connections whose SYN carried data that was accepted",
        fast_opens_failed: "SYNs with data that was not accepted",
        passive_opens: "Connections opened by peers",
        active_opens: "Connections opened by us",
        closes: "Connections that ended",
        octets_copied: "Payload octets copied inside the stack",
        echo_replies: "ICMP echo requests answered",
        icmp_errors_out: "ICMP errors sent",
        steered_out: "Packets handed to the shard they belong to",
        steered_in: "Packets that came by another shard's queue",
        parked: "Idle connections that gave back their control block",
        activated: "Idle connections that got it back",
        turns_cut: "Turns that stopped at a budget with work left",
    }
}

/// The stack's drop counters as named counts; those that are zero are left out.
pub fn drops(counters: &Counters) -> Vec<Count> {
    DropReason::ALL
        .iter()
        .map(|reason| Count { name: reason.label(), help: "", value: counters.dropped(*reason) })
        .filter(|count| count.value > 0)
        .collect()
}

fn as_millis<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

fn as_map<S: Serializer>(counts: &[Count], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(counts.iter().map(|count| (count.name, count.value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_its_row() {
        let mut counters = Counters { packets_in: 7, turns_cut: 9, ..Counters::default() };
        counters.count_drop(DropReason::TcpChecksum);
        let rows = counts(&counters);
        // One u64 each, and the array of drops.
        let fields = size_of::<Counters>() / 8 - DropReason::COUNT;
        assert_eq!(rows.len(), fields);
        assert_eq!(rows.first().map(|row| (row.name, row.value)), Some(("packets_in", 7)));
        assert_eq!(rows.last().map(|row| (row.name, row.value)), Some(("turns_cut", 9)));
        let drops = drops(&counters);
        assert_eq!(drops.len(), 1);
        assert_eq!((drops[0].name, drops[0].value), ("tcp_checksum", 1));
    }

    #[test]
    fn a_snapshot_is_plain_json() {
        let snapshot = Snapshot {
            uptime: Duration::from_millis(1500),
            drops: vec![Count { name: "paws_old", help: "", value: 3 }],
            ..Snapshot::default()
        };
        let json = serde_json::to_value(&snapshot).unwrap();
        assert_eq!(json["uptime_ms"], 1500);
        assert_eq!(json["drops"]["paws_old"], 3);
    }
}
