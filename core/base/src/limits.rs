//! Every bound of a stack in one value. Each field has a unit in its name, a default, a reason.

use crate::Span;

/// When a connection that holds, owes and awaits nothing gives back its TCB and keeps a small record.
/// Neither its peer nor its application can tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Parking {
    /// Never.
    Never,
    /// After a silence of one second or of four retransmission timeouts, whichever is longer.
    #[default]
    AtRest,
    /// At once: for tests, and where memory is dearer than time.
    AtOnce,
}

/// Bounds of one shard. No feature carries a number: numbers live here.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Anchors: connections in any state. A bound, not an allocation: memory follows need.
    pub connections: u32,
    /// TCBs: connections with work at one time. When there are no more, an idle one is parked early; if
    /// none is idle, a segment for a parked connection is dropped as if it had been lost.
    pub hot_connections: u32,
    /// When an idle connection gives back its TCB.
    pub parking: Parking,
    /// Half-open connections per listener; beyond it, cookies (E-31, 4987-1).
    pub embryos_per_listener: u32,
    /// One remote address may hold 1/this of a listener's half-open records (AT-39).
    pub embryo_source_share: u32,
    /// TIME-WAIT records; the oldest is evicted beyond it (MSL-1).
    pub time_wait: u32,
    /// Discontiguous out-of-order ranges kept per connection (AT-7).
    pub reassembly_ranges: u32,
    /// SACKed ranges remembered per connection; beyond it the lowest are kept (AT-6).
    pub sack_ranges: u32,
    /// Smallest MSS of a peer that is honoured; less is treated as this (AT-17).
    pub smallest_mss_octets: u16,
    /// Largest receive buffer of one connection; auto-tuning grows up to it.
    pub receive_buffer_octets: u32,
    /// Receive buffer a connection starts with; two units of the window scale that goes with `receive_buffer_octets` at
    /// least, which are 32 KiB where that is a gigabyte.
    pub receive_buffer_start_octets: u32,
    /// Largest send buffer of one connection; it follows the congestion window up to it. A hundred octets or so it has in
    /// any case.
    pub send_buffer_octets: u32,
    /// Send buffer a connection starts with.
    pub send_buffer_start_octets: u32,
    /// Challenge acknowledgements per connection in five seconds (RFC 5961 §7, per connection so
    /// that no shared counter leaks: CVE-2016-5696).
    pub challenge_acks_per_5s: u8,
    /// Least time between two identical challenge acknowledgements (AT-3).
    pub challenge_ack_gap: Span,
    /// Resets per second sent to unknown flows (AT-2).
    pub resets_per_second: u32,
    /// ICMP messages per second sent, echo replies excepted (H-5, RFC 1812 style bucket).
    pub icmp_errors_per_second: u32,
    /// Echo replies per second.
    pub echo_replies_per_second: u32,
    /// SYN-ACK retransmissions before a half-open record is dropped (BG-4).
    pub syn_ack_retries: u8,
    /// Peers whose Fast Open cookie is remembered; the one not used for longest makes room
    /// (RFC 7413 §4.1.3).
    pub fast_open_peers: u32,
    /// How long a Fast Open cookie of a peer is used before another is asked for.
    pub fast_open_cookie_lifetime: Span,
    /// How long Fast Open is not tried with a peer after it failed there once; doubled with each
    /// failure in a row, seven times at most (RFC 7413 §4.1.3.1).
    pub fast_open_pause: Span,
    /// How long a Fast Open that its peer reset goes on counting as pending (RFC 7413 §5.1).
    pub fast_open_reset_counts: Span,
    /// Longest time in FIN-WAIT-2 after the application let go of the stream.
    pub fin_wait_2: Span,
    /// Maximum segment lifetime; TIME-WAIT lasts two of them (MUST-13: project default 30 s).
    pub msl: Span,
    /// Octets of IP fragments held in all, and per remote address (AT-18).
    pub fragment_octets: u32,
    /// Octets of IP fragments held for one remote address.
    pub fragment_octets_per_source: u32,
    /// Time half a datagram is kept (RFC 8200 §4.5, RFC 1122 §3.3.2).
    pub fragment_lifetime: Span,
    /// How long a peer may keep its window closed before its connection may be ended for memory that
    /// others need (RFC 6429 §4).
    pub zero_window_grace: Span,
    /// Stations of an Ethernet that are remembered; beyond it the least useful one makes room.
    pub neighbours: u32,
    /// Of these, stations that are looked for at one time; beyond it the oldest search ends, so that
    /// a flood from addresses nobody has cannot push out neighbours (RFC 6583 §4).
    pub neighbours_unresolved: u32,
    /// Packets that wait for one station's answer; beyond it the oldest is dropped (RFC 4861 §7.2.2).
    pub neighbour_packets: u8,
    /// Remote hosts whose path is remembered between connections; 0 remembers none (9040-2).
    pub hosts: u32,
    /// Deadlines expired per turn: what keeps one turn short.
    pub deadlines_per_turn: u32,
    /// Packets transmitted per turn.
    pub transmits_per_turn: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 65_536,
            hot_connections: 65_536,
            parking: Parking::AtRest,
            embryos_per_listener: 4096,
            embryo_source_share: 16,
            time_wait: 32_768,
            reassembly_ranges: 512,
            sack_ranges: 512,
            smallest_mss_octets: 216,
            receive_buffer_octets: 6 << 20,
            receive_buffer_start_octets: 128 << 10,
            send_buffer_octets: 4 << 20,
            send_buffer_start_octets: 128 << 10,
            challenge_acks_per_5s: 10,
            challenge_ack_gap: Span::from_millis(500),
            resets_per_second: 1000,
            icmp_errors_per_second: 1000,
            echo_replies_per_second: 10_000,
            syn_ack_retries: 5,
            fast_open_peers: 512,
            fast_open_cookie_lifetime: Span::from_secs(24 * 3600),
            fast_open_pause: Span::from_secs(60),
            fast_open_reset_counts: Span::from_secs(60),
            fin_wait_2: Span::from_secs(60),
            msl: Span::from_secs(30),
            fragment_octets: 4 << 20,
            fragment_octets_per_source: 256 << 10,
            fragment_lifetime: Span::from_secs(60),
            zero_window_grace: Span::from_secs(10),
            neighbours: 1024,
            neighbours_unresolved: 256,
            neighbour_packets: 4,
            hosts: 65_536,
            deadlines_per_turn: 256,
            transmits_per_turn: 512,
        }
    }
}
