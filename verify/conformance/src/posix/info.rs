//! TCP_INFO as programs read it. Owns: names and units of the variables.
//! Must not know: assertions. A figure the stack does not keep has no variable: who asks for it is
//! told so, rather than zero.

use std::collections::HashMap;
use usertcp_stack::ConnInfo;
use usertcp_tcp::StateName;

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
    out
}
