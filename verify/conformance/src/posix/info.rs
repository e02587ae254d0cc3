//! TCP_INFO as programs read it. Owns: names, units and places of the figures.
//! Must not know: assertions. A figure the stack does not keep has no value: who asks for it by name
//! is told so, rather than zero; in the octets of `struct tcp_info` it is zero.

use std::collections::HashMap;
use usertcp_base::{Limiter, Span};
use usertcp_stack::ConnInfo;
use usertcp_tcp::{Info, OptionPath, RecoveryState, StateName};

/// Octets of `struct tcp_info`.
pub const TCP_INFO_OCTETS: usize = 280;

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

const OTHERS: [(&str, i64); 12] = [
    ("TCPI_OPT_TIMESTAMPS", 1),
    ("TCPI_OPT_SACK", 2),
    ("TCPI_OPT_WSCALE", 4),
    ("TCPI_OPT_ECN", 8),
    ("TCPI_OPT_ECN_SEEN", 16),
    ("TCPI_OPT_SYN_DATA", 32),
    ("TCPI_OPT_USEC_TS", 64),
    ("TCP_CA_Open", 0),
    ("TCP_CA_Disorder", 1),
    ("TCP_CA_CWR", 2),
    ("TCP_CA_Recovery", 3),
    ("TCP_CA_Loss", 4),
];

/// Name, place and octets of each figure; bit fields have none of their own place here.
const PLACES: [(&str, usize, usize); 71] = [
    ("state", 0, 1),
    ("ca_state", 1, 1),
    ("retransmits", 2, 1),
    ("probes", 3, 1),
    ("backoff", 4, 1),
    ("options", 5, 1),
    ("rto", 8, 4),
    ("ato", 12, 4),
    ("snd_mss", 16, 4),
    ("rcv_mss", 20, 4),
    ("unacked", 24, 4),
    ("sacked", 28, 4),
    ("lost", 32, 4),
    ("retrans", 36, 4),
    ("fackets", 40, 4),
    ("last_data_sent", 44, 4),
    ("last_ack_sent", 48, 4),
    ("last_data_recv", 52, 4),
    ("last_ack_recv", 56, 4),
    ("pmtu", 60, 4),
    ("rcv_ssthresh", 64, 4),
    ("rtt", 68, 4),
    ("rttvar", 72, 4),
    ("snd_ssthresh", 76, 4),
    ("snd_cwnd", 80, 4),
    ("advmss", 84, 4),
    ("reordering", 88, 4),
    ("rcv_rtt", 92, 4),
    ("rcv_space", 96, 4),
    ("total_retrans", 100, 4),
    ("pacing_rate", 104, 8),
    ("max_pacing_rate", 112, 8),
    ("bytes_acked", 120, 8),
    ("bytes_received", 128, 8),
    ("segs_out", 136, 4),
    ("segs_in", 140, 4),
    ("notsent_bytes", 144, 4),
    ("min_rtt", 148, 4),
    ("data_segs_in", 152, 4),
    ("data_segs_out", 156, 4),
    ("delivery_rate", 160, 8),
    ("busy_time", 168, 8),
    ("rwnd_limited", 176, 8),
    ("sndbuf_limited", 184, 8),
    ("delivered", 192, 4),
    ("delivered_ce", 196, 4),
    ("bytes_sent", 200, 8),
    ("bytes_retrans", 208, 8),
    ("dsack_dups", 216, 4),
    ("reord_seen", 220, 4),
    ("rcv_ooopack", 224, 4),
    ("snd_wnd", 228, 4),
    ("rcv_wnd", 232, 4),
    ("rehash", 236, 4),
    ("total_rto", 240, 2),
    ("total_rto_recoveries", 242, 2),
    ("total_rto_time", 244, 4),
    ("received_ce", 248, 4),
    ("delivered_e1_bytes", 252, 4),
    ("delivered_e0_bytes", 256, 4),
    ("delivered_ce_bytes", 260, 4),
    ("received_e1_bytes", 264, 4),
    ("received_e0_bytes", 268, 4),
    ("received_ce_bytes", 272, 4),
    ("snd_wscale", 6, 0),
    ("rcv_wscale", 6, 0),
    ("delivery_rate_app_limited", 7, 0),
    ("fastopen_client_fail", 7, 0),
    ("ecn_mode", 276, 0),
    ("accecn_fail_mode", 276, 0),
    ("accecn_opt_seen", 276, 0),
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
    STATES.iter().chain(&OTHERS).map(|(name, value)| (name.to_string(), *value)).collect()
}

/// Whether `tcp_info` has such a figure, kept here or not.
pub fn is_figure(name: &str) -> bool {
    name.strip_prefix("tcpi_").is_some_and(|name| PLACES.iter().any(|place| place.0 == name))
}

/// The figures by name, `tcpi_` in front.
pub fn variables(info: &ConnInfo) -> HashMap<String, i64> {
    figures(info).into_iter().map(|(name, value)| (format!("tcpi_{name}"), value)).collect()
}

/// The octets of `struct tcp_info`.
pub fn octets(info: &ConnInfo) -> [u8; TCP_INFO_OCTETS] {
    let mut out = [0; TCP_INFO_OCTETS];
    let figures = figures(info);
    for (name, at, length) in PLACES {
        let value = figures.iter().find(|(known, _)| *known == name).map_or(0, |(_, value)| *value);
        let octets = value.to_le_bytes();
        if let (Some(place), Some(octets)) = (out.get_mut(at..at + length), octets.get(..length)) {
            place.copy_from_slice(octets);
        }
    }
    let scale = |wanted: &str| {
        figures.iter().find(|(name, _)| *name == wanted).map_or(0, |(_, value)| *value as u8)
    };
    out[6] = scale("snd_wscale") & 15 | scale("rcv_wscale") << 4;
    out[276] = scale("ecn_mode") & 3 | (scale("accecn_opt_seen") & 3) << 2;
    out
}

/// The figures in the octets of a `struct tcp_info`, which may be its beginning only, `tcpi_` in
/// front. The largest value of four octets is "none": as an `int`, it is what scripts compare with.
pub fn decode(octets: &[u8]) -> Vec<(String, i64)> {
    let mut out = Vec::new();
    for (name, at, length) in PLACES {
        let Some(place) = octets.get(at..at + length).filter(|place| !place.is_empty()) else {
            continue;
        };
        let value = place.iter().rev().fold(0u64, |sum, octet| sum << 8 | u64::from(*octet));
        let value = if length == 4 { value.min(i32::MAX as u64) } else { value };
        out.push((name, i64::try_from(value).unwrap_or(i64::MAX)));
    }
    if let Some(scales) = octets.get(6) {
        out.extend([
            ("snd_wscale", i64::from(scales & 15)),
            ("rcv_wscale", i64::from(scales >> 4)),
        ]);
    }
    if let Some(flags) = octets.get(7) {
        out.push(("delivery_rate_app_limited", i64::from(flags & 1)));
    }
    out.into_iter().map(|(name, value)| (format!("tcpi_{name}"), value)).collect()
}

/// The figures of a connection. Windows in segments are counted in whole ones.
fn figures(info: &ConnInfo) -> Vec<(&'static str, i64)> {
    let mut out = vec![("state", state_number(info.state))];
    let Some(figures) = info.figures else { return out };
    let mss = figures.send_mss_octets.max(1);
    let sent = figures.send_queue_octets - figures.unsent_octets.min(figures.send_queue_octets);
    let segments = |octets: u32| i64::from(octets.div_ceil(mss));
    let threshold = match figures.threshold_octets {
        u32::MAX => i64::from(i32::MAX),
        octets => i64::from(octets / mss),
    };
    let ip_octets = if info.local.is_ipv4() { 20 } else { 40 };
    let micros = |span: Span| span.as_micros() as i64;
    let scaled = figures.scales != (0, 0);
    let flags = i64::from(figures.timestamps)
        + 2 * i64::from(figures.sack)
        + 4 * i64::from(scaled)
        + 8 * i64::from(figures.ecn)
        + 32 * i64::from(figures.syn_data);
    let bytes_sent = figures.octets_acknowledged + u64::from(sent) + figures.octets_retransmitted;
    let whole = (figures.octets_delivered / u64::from(mss)) as i64;
    let rate = figures.pacing_rate;
    let pacing = if rate.is_unlimited() { -1 } else { rate.octets_per_second() as i64 };
    out.extend([
        ("ca_state", recovery_number(&figures)),
        ("retransmits", i64::from(figures.timeouts_in_a_row)),
        ("options", flags),
        ("rcv_wscale", i64::from(figures.scales.1)),
        ("snd_wscale", i64::from(figures.scales.0)),
        ("rto", micros(figures.rto)),
        ("rtt", micros(figures.srtt)),
        ("rttvar", micros(figures.rttvar)),
        ("min_rtt", micros(figures.min_rtt)),
        ("backoff", i64::from(figures.backoff)),
        ("snd_mss", i64::from(figures.send_mss_octets)),
        ("advmss", i64::from(figures.receive_mss_octets)),
        ("pmtu", i64::from(figures.path_segment_octets) + ip_octets),
        ("snd_cwnd", i64::from(figures.congestion_window_octets / mss)),
        ("snd_ssthresh", threshold),
        ("unacked", segments(sent)),
        ("sacked", segments(figures.sacked_octets)),
        ("lost", segments(figures.lost_octets)),
        ("retrans", segments(figures.resent_octets)),
        ("fackets", 0),
        ("total_retrans", i64::from(figures.retransmissions)),
        ("bytes_retrans", figures.octets_retransmitted as i64),
        ("bytes_sent", bytes_sent as i64),
        ("bytes_acked", figures.octets_acknowledged as i64),
        ("bytes_received", figures.octets_received as i64),
        ("notsent_bytes", i64::from(figures.unsent_octets)),
        ("snd_wnd", i64::from(figures.peer_window_octets)),
        ("rcv_wnd", i64::from(figures.receive_window_octets)),
        ("total_rto", i64::from(figures.timeouts)),
        ("dsack_dups", i64::from(figures.spurious_retransmissions)),
        ("delivered", whole),
        ("rwnd_limited", micros(figures.limited[Limiter::PeerWindow as usize])),
        ("pacing_rate", pacing),
    ]);
    out.extend(ecn_figures(&figures));
    out
}

/// What is told of ECN: the octet counters without their initial ones.
fn ecn_figures(figures: &Info) -> Vec<(&'static str, i64)> {
    let mode = if figures.accurate_ecn.is_some() { 2 } else { i64::from(figures.ecn) };
    let mut out = vec![("ecn_mode", mode)];
    let Some(accurate) = figures.accurate_ecn else { return out };
    let seen = match accurate.option {
        OptionPath::Absent => 0,
        OptionPath::Empty => 1,
        OptionPath::Usable => 2,
        OptionPath::Ignored => 3,
    };
    out.extend([
        ("accecn_opt_seen", seen),
        ("delivered_ce", i64::from(accurate.delivered_marked_packets)),
        ("delivered_ce_bytes", i64::from(accurate.delivered_marked_octets)),
        ("delivered_e0_bytes", i64::from(accurate.delivered_capable0_octets)),
        ("delivered_e1_bytes", i64::from(accurate.delivered_capable1_octets)),
        ("received_ce", i64::from(accurate.received_marked_packets)),
        ("received_ce_bytes", i64::from(accurate.received_marked_octets)),
        ("received_e0_bytes", i64::from(accurate.received_capable0_octets)),
        ("received_e1_bytes", i64::from(accurate.received_capable1_octets)),
    ]);
    out
}

/// Linux's names of what recovery does.
fn recovery_number(figures: &Info) -> i64 {
    match figures.recovery {
        RecoveryState::FastRecovery => 3,
        RecoveryState::TimeoutRecovery => 4,
        RecoveryState::Open if figures.sacked_octets > 0 => 1,
        RecoveryState::Open => 0,
    }
}

/// The attributes of SCM_TIMESTAMPING_OPT_STATS that are kept: number and value.
pub fn statistics(figures: &Info) -> Vec<(u16, u64)> {
    use super::names as n;
    let mss = figures.send_mss_octets.max(1);
    let rate = figures.pacing_rate;
    let pacing = if rate.is_unlimited() { u64::MAX } else { rate.octets_per_second() };
    let sent = figures.send_queue_octets - figures.unsent_octets.min(figures.send_queue_octets);
    let bytes_sent = figures.octets_acknowledged + u64::from(sent) + figures.octets_retransmitted;
    let all = [
        (n::TCP_NLA_RWND_LIMITED, figures.limited[Limiter::PeerWindow as usize].as_micros()),
        (n::TCP_NLA_TOTAL_RETRANS, u64::from(figures.retransmissions)),
        (n::TCP_NLA_PACING_RATE, pacing),
        (n::TCP_NLA_SND_CWND, u64::from(figures.congestion_window_octets / mss)),
        (n::TCP_NLA_MIN_RTT, figures.min_rtt.as_micros()),
        (n::TCP_NLA_RECUR_RETRANS, u64::from(figures.timeouts_in_a_row)),
        (n::TCP_NLA_SNDQ_SIZE, u64::from(figures.send_queue_octets)),
        (n::TCP_NLA_CA_STATE, recovery_number(figures) as u64),
        (n::TCP_NLA_SND_SSTHRESH, u64::from(figures.threshold_octets / mss)),
        (n::TCP_NLA_DELIVERED, figures.octets_delivered / u64::from(mss)),
        (n::TCP_NLA_BYTES_SENT, bytes_sent),
        (n::TCP_NLA_BYTES_RETRANS, figures.octets_retransmitted),
        (n::TCP_NLA_DSACK_DUPS, u64::from(figures.spurious_retransmissions)),
        (n::TCP_NLA_SRTT, figures.srtt.as_micros()),
        (n::TCP_NLA_BYTES_NOTSENT, u64::from(figures.unsent_octets)),
    ];
    all.map(|(attribute, value)| (attribute as u16, value)).to_vec()
}
