//! TCP_INFO of the kernel, asked of its socket monitor: by address, so that a connection whose
//! descriptor is closed still tells its state. Owns: the request, the answer's layout, the names
//! of the variables. Must not know: assertions.

use crate::flow::Flow;
use core::net::IpAddr;
use netlink_sys::{Socket, SocketAddr};
use std::collections::HashMap;
use std::io;

/// The kernel's socket monitor.
const NETLINK_SOCK_DIAG: isize = 4;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
/// The attribute with TCP_INFO.
const INET_DIAG_INFO: u16 = 2;
const NETLINK_HEADER_OCTETS: usize = 16;
/// Family, state, timer, retransmissions, ends, and five words.
const ANSWER_OCTETS: usize = 72;
const TCP_CLOSE: i64 = 7;
const TCP_LISTEN: u8 = 10;

/// Words of TCP_INFO by offset.
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
/// Words of eight octets.
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

/// The variables of the connection `flow`, with those always in scope.
pub fn variables(flow: &Flow) -> io::Result<HashMap<String, i64>> {
    let socket = Socket::new(NETLINK_SOCK_DIAG)?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&request(flow), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    let mut out = crate::posix::info::constants();
    out.extend(read(&answer, flow).into_iter().map(|(name, value)| (name.to_string(), value)));
    Ok(out)
}

fn end(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(address) => address.octets(),
    }
}

fn request(flow: &Flow) -> Vec<u8> {
    let family = if flow.local.0.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let mut body = vec![family as u8, libc::IPPROTO_TCP as u8, 1 << (INET_DIAG_INFO - 1), 0];
    // Every state.
    body.extend_from_slice(&u32::MAX.to_ne_bytes());
    body.extend_from_slice(&flow.local.1.to_be_bytes());
    body.extend_from_slice(&flow.remote.1.to_be_bytes());
    body.extend_from_slice(&end(flow.local.0));
    body.extend_from_slice(&end(flow.remote.0));
    // Any interface, no cookie.
    body.extend_from_slice(&0u32.to_ne_bytes());
    body.extend_from_slice(&u64::MAX.to_ne_bytes());
    let mut out = ((NETLINK_HEADER_OCTETS + body.len()) as u32).to_ne_bytes().to_vec();
    out.extend_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    out.extend_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&body);
    out
}

fn short(octets: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(octets.get(at..at + 2)?.try_into().ok()?))
}

fn word(octets: &[u8], at: usize) -> Option<i64> {
    let word = u32::from_ne_bytes(octets.get(at..at + 4)?.try_into().ok()?);
    // The largest value is "none", as an `int` it is what scripts compare with.
    Some(i64::from(word.min(i32::MAX as u32)))
}

fn long(octets: &[u8], at: usize) -> Option<i64> {
    let long = u64::from_ne_bytes(octets.get(at..at + 8)?.try_into().ok()?);
    Some(i64::try_from(long).unwrap_or(i64::MAX))
}

/// What the answer says; a connection that is gone is closed.
fn read(answer: &[u8], flow: &Flow) -> Vec<(&'static str, i64)> {
    let body = answer.get(NETLINK_HEADER_OCTETS..).unwrap_or_default();
    let about_flow = short(answer, 4) == Some(SOCK_DIAG_BY_FAMILY)
        && body.get(6..8) == Some(&flow.remote.1.to_be_bytes());
    let Some(state) = body.get(1).copied().filter(|state| about_flow && *state != TCP_LISTEN)
    else {
        return vec![("tcpi_state", TCP_CLOSE)];
    };
    let mut out = vec![("tcpi_state", i64::from(state))];
    let Some(info) = attribute(body.get(ANSWER_OCTETS..).unwrap_or_default()) else { return out };
    let octet = |at: usize| i64::from(info.get(at).copied().unwrap_or(0));
    out.extend([
        ("tcpi_ca_state", octet(1)),
        ("tcpi_retransmits", octet(2)),
        ("tcpi_probes", octet(3)),
        ("tcpi_backoff", octet(4)),
        ("tcpi_options", octet(5)),
        ("tcpi_snd_wscale", octet(6) & 15),
        ("tcpi_rcv_wscale", octet(6) >> 4),
        ("tcpi_delivery_rate_app_limited", octet(7) & 1),
    ]);
    out.extend(WORDS.iter().filter_map(|(name, at)| Some((*name, word(info, *at)?))));
    out.extend(LONGS.iter().filter_map(|(name, at)| Some((*name, long(info, *at)?))));
    out.extend(short(info, 240).map(|count| ("tcpi_total_rto", i64::from(count))));
    out
}

/// The content of the attribute that holds TCP_INFO.
fn attribute(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        let length = usize::from(short(rest, 0)?);
        let content = rest.get(4..length)?;
        if short(rest, 2)? == INET_DIAG_INFO {
            return Some(content);
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow() -> Flow {
        let ends = [1, 2].map(|last| IpAddr::from([192, 0, 2, last]));
        Flow::new((ends[0], 8080), (ends[1], 50_001), 0)
    }

    fn answer(state: u8, remote_port: u16) -> Vec<u8> {
        let mut out = vec![0; NETLINK_HEADER_OCTETS + ANSWER_OCTETS];
        out[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        out[17] = state;
        out[22..24].copy_from_slice(&remote_port.to_be_bytes());
        // Another attribute first.
        out.extend_from_slice(&[6, 0, 9, 0, 1, 1, 0, 0]);
        out.extend_from_slice(&[108, 0, 2, 0]);
        let mut info = [0; 104];
        info[6] = 0x87;
        info[80..84].copy_from_slice(&10u32.to_ne_bytes());
        info[76..80].copy_from_slice(&u32::MAX.to_ne_bytes());
        out.extend_from_slice(&info);
        out
    }

    #[test]
    fn figures_are_found_in_the_answer() {
        let got: HashMap<_, _> = read(&answer(1, 50_001), &flow()).into_iter().collect();
        assert_eq!(got["tcpi_state"], 1);
        assert_eq!((got["tcpi_snd_wscale"], got["tcpi_rcv_wscale"]), (7, 8));
        assert_eq!((got["tcpi_snd_cwnd"], got["tcpi_snd_ssthresh"]), (10, i64::from(i32::MAX)));
        assert!(!got.contains_key("tcpi_delivered"), "beyond the answer's end");
    }

    #[test]
    fn a_listener_is_not_the_connection() {
        for other in [answer(TCP_LISTEN, 0), answer(1, 7), Vec::new()] {
            assert_eq!(read(&other, &flow()), [("tcpi_state", TCP_CLOSE)]);
        }
    }
}
