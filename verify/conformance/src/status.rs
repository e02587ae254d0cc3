//! TCP_INFO as scripts read it. Owns: names and units of the variables.
//! Must not know: assertions. A figure the stack does not keep has no variable: a script that asks
//! for it is unsupported, rather than told zero.

use std::collections::HashMap;
use usertcp_stack::ConnInfo;
use usertcp_tcp::{Info, OptionPath, StateName};

const STATES: [(&str, i64); 11] = [
    ("TCP_ESTABLISHED", 1),
    ("TCP_SYN_SENT", 2),
    ("TCP_SYN_RECV", 3),
    ("TCP_FIN_WAIT1", 4),
    ("TCP_FIN_WAIT2", 5),
    ("TCP_TIME_WAIT", 6),
    ("TCP_CLOSE", 7),
    ("TCP_CLOSE_WAIT", 8),
    ("TCP_LAST_ACK", 9),
    ("TCP_LISTEN", 10),
    ("TCP_CLOSING", 11),
];

fn state_number(state: StateName) -> i64 {
    match state {
        StateName::Established => 1,
        StateName::SynSent => 2,
        StateName::SynReceived => 3,
        StateName::FinWait1 => 4,
        StateName::FinWait2 => 5,
        StateName::TimeWait => 6,
        StateName::Closed => 7,
        StateName::CloseWait => 8,
        StateName::LastAck => 9,
        StateName::Listen => 10,
        StateName::Closing => 11,
    }
}

/// Constants that are always in scope.
pub fn constants() -> HashMap<String, i64> {
    let options = [("TCPI_OPT_TIMESTAMPS", 1), ("TCPI_OPT_SACK", 2), ("TCPI_OPT_WSCALE", 4)];
    STATES.iter().chain(&options).map(|(name, value)| (name.to_string(), *value)).collect()
}

/// What is told of ECN: the octet counters without their initial ones.
fn ecn_variables(figures: &Info) -> Vec<(String, i64)> {
    let mode = if figures.accurate_ecn.is_some() { 2 } else { i64::from(figures.ecn) };
    let mut out = vec![("tcpi_ecn_mode".to_string(), mode)];
    let Some(accurate) = figures.accurate_ecn else { return out };
    let seen = match accurate.option {
        OptionPath::Absent => 0,
        OptionPath::Empty => 1,
        OptionPath::Usable => 2,
        OptionPath::Ignored => 3,
    };
    let pairs = [
        ("tcpi_accecn_opt_seen", seen),
        ("tcpi_delivered_ce", i64::from(accurate.delivered_marked_packets)),
        ("tcpi_delivered_ce_bytes", i64::from(accurate.delivered_marked_octets)),
        ("tcpi_delivered_e0_bytes", i64::from(accurate.delivered_capable0_octets)),
        ("tcpi_delivered_e1_bytes", i64::from(accurate.delivered_capable1_octets)),
        ("tcpi_received_ce", i64::from(accurate.received_marked_packets)),
        ("tcpi_received_ce_bytes", i64::from(accurate.received_marked_octets)),
        ("tcpi_received_e0_bytes", i64::from(accurate.received_capable0_octets)),
        ("tcpi_received_e1_bytes", i64::from(accurate.received_capable1_octets)),
    ];
    out.extend(pairs.map(|(name, value)| (name.to_string(), value)));
    out
}

/// The variables of a connection.
pub fn variables(info: &ConnInfo) -> HashMap<String, i64> {
    let mut out = constants();
    out.insert("tcpi_state".to_string(), state_number(info.state));
    let Some(figures) = info.figures else { return out };
    let mss = figures.send_mss_octets.max(1);
    let sent = figures.send_queue_octets - figures.unsent_octets.min(figures.send_queue_octets);
    let threshold = match figures.threshold_octets {
        u32::MAX => i64::from(i32::MAX),
        octets => i64::from(octets / mss),
    };
    let ip_octets = if info.local.is_ipv4() { 20 } else { 40 };
    let micros = |span: usertcp_base::Span| span.as_micros() as i64;
    let scaled = figures.scales != (0, 0);
    let flags = i64::from(figures.timestamps) + 2 * i64::from(figures.sack) + 4 * i64::from(scaled);
    let pairs = [
        ("tcpi_options", flags),
        ("tcpi_rcv_wscale", i64::from(figures.scales.1)),
        ("tcpi_snd_wscale", i64::from(figures.scales.0)),
        ("tcpi_rto", micros(figures.rto)),
        ("tcpi_rtt", micros(figures.srtt)),
        ("tcpi_rttvar", micros(figures.rttvar)),
        ("tcpi_min_rtt", micros(figures.min_rtt)),
        ("tcpi_backoff", i64::from(figures.backoff)),
        ("tcpi_snd_mss", i64::from(figures.send_mss_octets)),
        ("tcpi_pmtu", i64::from(figures.path_segment_octets) + ip_octets),
        ("tcpi_snd_cwnd", i64::from(figures.congestion_window_octets / mss)),
        ("tcpi_snd_ssthresh", threshold),
        ("tcpi_unacked", i64::from(sent.div_ceil(mss))),
        ("tcpi_total_retrans", i64::from(figures.retransmissions)),
        ("tcpi_bytes_retrans", figures.octets_retransmitted as i64),
        ("tcpi_bytes_acked", figures.octets_acknowledged as i64),
        ("tcpi_bytes_received", figures.octets_received as i64),
        ("tcpi_notsent_bytes", i64::from(figures.unsent_octets)),
        ("tcpi_snd_wnd", i64::from(figures.peer_window_octets)),
        ("tcpi_rcv_wnd", i64::from(figures.receive_window_octets)),
        ("tcpi_total_rto", i64::from(figures.timeouts)),
    ];
    out.extend(pairs.map(|(name, value)| (name.to_string(), value)));
    out.extend(ecn_variables(&figures));
    out
}
