//! Linux's sysctl names, as what the stack starts with. Owns: which name means which setting, which
//! values are the stack's only way, and which have nothing here that they could change.
//! Must not know: how a command is written.

use super::profile::Defaults;
use usertcp_base::Span;
use usertcp_tcp::{EcnMode, MtuProbing};

/// What a value came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Set {
    /// It holds.
    Done,
    /// It holds, as it always does here: the reason why nothing changes.
    Inert(&'static str),
    /// It is not to be had.
    Missing,
}

/// Values of which only one is the stack's way.
const ONLY: [(&str, &str); 13] = [
    ("tcp_window_scaling", "1"),
    ("tcp_dsack", "1"),
    ("tcp_fack", "0"),
    ("tcp_frto", "2"),
    ("tcp_reordering", "3"),
    ("tcp_recovery", "1"),
    ("tcp_shrink_window", "0"),
    ("tcp_moderate_rcvbuf", "1"),
    ("tcp_rfc1337", "1"),
    ("tcp_stdurg", "0"),
    ("tcp_thin_linear_timeouts", "0"),
    ("tcp_comp_sack_nr", "0"),
    ("tcp_abort_on_overflow", "0"),
];

/// Names that concern nothing here, and why.
const INERT: [(&str, &str); 9] = [
    ("tcp_tso_win_divisor", "a burst is not put off to become larger"),
    ("tcp_autocorking", "there is no queue below that a write could wait for"),
    ("tcp_limit_output_bytes", "there is no queue below"),
    ("tcp_pacing_ss_ratio", "nothing below spaces packets"),
    ("tcp_pacing_ca_ratio", "nothing below spaces packets"),
    ("tcp_plb_enabled", "there is one path"),
    ("tcp_reflect_tos", "a SYN-ACK carries the listener's own"),
    ("tcp_app_win", "the window is what the buffer has"),
    ("tcp_max_syn_backlog", "the limit of half-open connections is the stack's"),
];

/// Sets a sysctl below `net.ipv4`. Values are words separated by blanks.
pub fn set(defaults: &mut Defaults, name: &str, value: &str) -> Set {
    let value = value.trim();
    let numbers: Vec<u64> = value.split_whitespace().filter_map(number).collect();
    let count = value.split_whitespace().count();
    if let Some((_, only)) = ONLY.iter().find(|(known, _)| *known == name) {
        return if *only == value { Set::Inert("the stack's only way") } else { Set::Missing };
    }
    if let Some((_, why)) = INERT.iter().find(|(known, _)| *known == name) {
        return Set::Inert(why);
    }
    match (name, numbers.as_slice()) {
        ("tcp_congestion_control", _) => {
            let Ok(algorithm) = value.parse() else { return Set::Missing };
            defaults.algorithm = algorithm;
        }
        (_, all) if all.len() != count || all.is_empty() => return Set::Missing,
        ("tcp_rmem", [_, start, most]) => {
            defaults.limits.receive_buffer_start_octets = short(*start);
            defaults.limits.receive_buffer_octets = short(*most);
        }
        ("tcp_wmem", [_, start, most]) => {
            defaults.limits.send_buffer_start_octets = short(*start);
            defaults.limits.send_buffer_octets = short(*most);
        }
        (_, [value]) => return set_one(defaults, name, *value),
        _ => return Set::Missing,
    }
    Set::Done
}

fn set_one(defaults: &mut Defaults, name: &str, value: u64) -> Set {
    let (settings, limits) = (&mut defaults.settings, &mut defaults.limits);
    let octet = value.min(255) as u8;
    match (name, value) {
        ("tcp_timestamps", 0..=2) => settings.timestamps = value != 0,
        ("tcp_sack", 0 | 1) => settings.sack = value == 1,
        ("tcp_early_retrans", 0..=4) => settings.tail_probe = value >= 3,
        ("tcp_slow_start_after_idle", 0 | 1) => settings.restart_after_idle = value == 1,
        ("tcp_syn_retries", 1..=127) => settings.syn_retries = octet,
        ("tcp_synack_retries", 0..=255) => limits.syn_ack_retries = octet,
        ("tcp_notsent_lowat", _) => settings.unsent_low_water_octets = short(value),
        ("tcp_keepalive_time", _) => settings.keep_alive.idle = Span::from_secs(value),
        ("tcp_keepalive_intvl", _) => settings.keep_alive.interval = Span::from_secs(value),
        ("tcp_keepalive_probes", 0..=255) => settings.keep_alive.probes = octet,
        ("tcp_fin_timeout", _) => limits.fin_wait_2 = Span::from_secs(value),
        ("tcp_invalid_ratelimit", _) => limits.challenge_ack_gap = Span::from_millis(value),
        ("tcp_rto_min_us", 1..) => settings.rto_min = Span::from_micros(value),
        ("tcp_delack_us", 1..=490_000) => settings.ack_delay = Span::from_micros(value),
        ("tcp_min_tso_segs", 1..=65_535) => settings.least_burst_segments = value as u16,
        ("tcp_syncookies", 0 | 1) => return Set::Inert("cookies are sent when records run out"),
        ("tcp_syncookies", 2) => limits.embryos_per_listener = 0,
        ("tcp_mtu_probing", 0) => settings.mtu_probing = MtuProbing::Off,
        ("tcp_mtu_probing", 1) => settings.mtu_probing = MtuProbing::AfterBlackHole,
        ("tcp_mtu_probing", 2) => settings.mtu_probing = MtuProbing::Always,
        ("tcp_base_mss", 0..=65_535) => settings.base_mss_octets = value as u16,
        ("tcp_no_metrics_save", 0 | 1) => settings.share_path_facts = value == 0,
        ("tcp_ecn", 0) => settings.ecn = EcnMode::Off,
        ("tcp_ecn", 1) => settings.ecn = EcnMode::Ask,
        ("tcp_ecn", 2) => settings.ecn = EcnMode::Accept,
        _ => return Set::Missing,
    }
    Set::Done
}

fn number(word: &str) -> Option<u64> {
    match word.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => word.parse().ok(),
    }
}

fn short(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// What the suites' own command sets for all their scripts.
pub fn set_field_defaults(defaults: &mut Defaults) {
    let all = [
        ("tcp_rmem", "4096 540000 15728640"),
        ("tcp_wmem", "4096 262144 4194304"),
        ("tcp_timestamps", "1"),
        ("tcp_syn_retries", "5"),
        ("tcp_synack_retries", "5"),
        ("tcp_sack", "1"),
        ("tcp_congestion_control", "cubic"),
        ("tcp_slow_start_after_idle", "0"),
        ("tcp_early_retrans", "4"),
        ("tcp_ecn", "0"),
        ("tcp_notsent_lowat", "4294967295"),
        ("tcp_mtu_probing", "0"),
        // The suites flush what is kept of past connections before each script.
        ("tcp_no_metrics_save", "1"),
    ];
    for (name, value) in all {
        let done = set(defaults, name, value);
        debug_assert_eq!(done, Set::Done, "{name}");
    }
}
