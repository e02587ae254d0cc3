//! `struct tcp_info` as octets, x86-64. Owns: its layout, and the scripts' names of its fields.
//! Must not know: where figures come from.

use std::collections::HashMap;

/// Octets of the structure, as far as scripts know it.
pub const OCTETS: usize = 280;

/// Fields of one octet by offset.
const BYTES: [(&str, usize); 6] = [
    ("tcpi_state", 0),
    ("tcpi_ca_state", 1),
    ("tcpi_retransmits", 2),
    ("tcpi_probes", 3),
    ("tcpi_backoff", 4),
    ("tcpi_options", 5),
];
/// Fields of less than an octet: offset, lowest bit, bits.
const BITS: [(&str, usize, u8, u8); 3] = [
    ("tcpi_snd_wscale", 6, 0, 4),
    ("tcpi_rcv_wscale", 6, 4, 4),
    ("tcpi_delivery_rate_app_limited", 7, 0, 1),
];
/// Fields of two octets by offset.
const SHORTS: [(&str, usize); 2] = [("tcpi_total_rto", 240), ("tcpi_total_rto_recoveries", 242)];
/// Words of four octets by offset.
const WORDS: [(&str, usize); 40] = [
    ("tcpi_rto", 8),
    ("tcpi_ato", 12),
    ("tcpi_snd_mss", 16),
    ("tcpi_rcv_mss", 20),
    ("tcpi_unacked", 24),
    ("tcpi_sacked", 28),
    ("tcpi_lost", 32),
    ("tcpi_retrans", 36),
    ("tcpi_last_data_sent", 44),
    ("tcpi_last_data_recv", 52),
    ("tcpi_last_ack_recv", 56),
    ("tcpi_pmtu", 60),
    ("tcpi_rcv_ssthresh", 64),
    ("tcpi_rtt", 68),
    ("tcpi_rttvar", 72),
    ("tcpi_snd_ssthresh", 76),
    ("tcpi_snd_cwnd", 80),
    ("tcpi_advmss", 84),
    ("tcpi_reordering", 88),
    ("tcpi_rcv_rtt", 92),
    ("tcpi_rcv_space", 96),
    ("tcpi_total_retrans", 100),
    ("tcpi_segs_out", 136),
    ("tcpi_segs_in", 140),
    ("tcpi_notsent_bytes", 144),
    ("tcpi_min_rtt", 148),
    ("tcpi_data_segs_in", 152),
    ("tcpi_data_segs_out", 156),
    ("tcpi_delivered", 192),
    ("tcpi_delivered_ce", 196),
    ("tcpi_dsack_dups", 216),
    ("tcpi_reord_seen", 220),
    ("tcpi_rcv_ooopack", 224),
    ("tcpi_snd_wnd", 228),
    ("tcpi_rcv_wnd", 232),
    ("tcpi_rehash", 236),
    ("tcpi_total_rto_time", 244),
    ("tcpi_received_ce", 248),
    ("tcpi_delivered_e1_bytes", 252),
    ("tcpi_delivered_e0_bytes", 256),
];
/// Words of eight octets by offset.
const LONGS: [(&str, usize); 10] = [
    ("tcpi_pacing_rate", 104),
    ("tcpi_max_pacing_rate", 112),
    ("tcpi_bytes_acked", 120),
    ("tcpi_bytes_received", 128),
    ("tcpi_delivery_rate", 160),
    ("tcpi_busy_time", 168),
    ("tcpi_rwnd_limited", 176),
    ("tcpi_sndbuf_limited", 184),
    ("tcpi_bytes_sent", 200),
    ("tcpi_bytes_retrans", 208),
];

/// The fields in `octets`, which may be the beginning only.
pub fn decode(octets: &[u8]) -> Vec<(&'static str, i64)> {
    let field = |at: usize, length: usize| octets.get(at..at + length);
    let mut out = Vec::new();
    for (name, at) in BYTES {
        out.extend(field(at, 1).map(|octet| (name, i64::from(octet[0]))));
    }
    for (name, at, low, bits) in BITS {
        out.extend(
            field(at, 1).map(|octet| (name, i64::from(octet[0] >> low & ((1 << bits) - 1)))),
        );
    }
    for (name, at) in SHORTS {
        let value = field(at, 2).and_then(|octets| octets.try_into().ok()).map(u16::from_ne_bytes);
        out.extend(value.map(|value| (name, i64::from(value))));
    }
    for (name, at) in WORDS {
        let value = field(at, 4).and_then(|octets| octets.try_into().ok()).map(u32::from_ne_bytes);
        // The largest value is "none": as an `int`, it is what scripts compare with.
        out.extend(value.map(|value| (name, i64::from(value.min(i32::MAX as u32)))));
    }
    for (name, at) in LONGS {
        let value = field(at, 8).and_then(|octets| octets.try_into().ok()).map(u64::from_ne_bytes);
        out.extend(value.map(|value| (name, i64::try_from(value).unwrap_or(i64::MAX))));
    }
    out
}

/// The structure with these fields; one that has no value is zero.
pub fn encode(fields: &HashMap<String, i64>) -> Vec<u8> {
    let mut out = vec![0; OCTETS];
    let value = |name: &str| fields.get(name).copied().unwrap_or(0);
    for (name, at) in BYTES {
        out[at] = value(name) as u8;
    }
    for (name, at, low, bits) in BITS {
        out[at] |= (value(name) as u8 & ((1 << bits) - 1)) << low;
    }
    for (name, at) in SHORTS {
        out[at..at + 2].copy_from_slice(&(value(name) as u16).to_ne_bytes());
    }
    for (name, at) in WORDS {
        let word = u32::try_from(value(name)).unwrap_or(u32::MAX);
        out[at..at + 4].copy_from_slice(&word.to_ne_bytes());
    }
    for (name, at) in LONGS {
        out[at..at + 8].copy_from_slice(&(value(name) as u64).to_ne_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_survives_and_none_overlaps_another() {
        let mut names: Vec<(&str, i64)> = Vec::new();
        names.extend(BYTES.map(|(name, _)| name).iter().zip(1..).map(|(name, n)| (*name, n)));
        names.extend(BITS.map(|(name, ..)| name).iter().map(|name| (*name, 1)));
        names.extend(SHORTS.iter().map(|(name, at)| (*name, 1000 + *at as i64)));
        names.extend(WORDS.iter().map(|(name, at)| (*name, 100_000 + *at as i64)));
        names.extend(LONGS.iter().map(|(name, at)| (*name, 10_000_000_000 + *at as i64)));
        let fields = names.iter().map(|(name, value)| (name.to_string(), *value)).collect();
        let octets = encode(&fields);
        assert_eq!(octets.len(), OCTETS);
        let mut got = decode(&octets);
        got.sort_unstable();
        names.sort_unstable();
        assert_eq!(got, names);
        assert_eq!(decode(&octets[..8]).len(), BYTES.len() + BITS.len(), "of the beginning only");
    }
}
