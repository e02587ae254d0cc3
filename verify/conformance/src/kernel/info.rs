//! TCP_INFO of the kernel, asked of its socket monitor: by address, so that a connection whose
//! descriptor is closed still tells its state. Owns: the request, and where TCP_INFO is
//! in the answer. Must not know: assertions.

use crate::flow::Flow;
use crate::posix::info::{constants, decode};
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
const STATE: &str = "tcpi_state";
const TCP_CLOSE: i64 = 7;
const TCP_LISTEN: u8 = 10;

/// The variables of the connection `flow`, with those always in scope.
pub fn variables(flow: &Flow) -> io::Result<HashMap<String, i64>> {
    let socket = Socket::new(NETLINK_SOCK_DIAG)?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&request(flow), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    let mut out = constants();
    out.extend(read(&answer, flow));
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

/// What the answer says; a connection that is gone is closed.
fn read(answer: &[u8], flow: &Flow) -> Vec<(String, i64)> {
    let only = |state: i64| vec![(STATE.to_string(), state)];
    let body = answer.get(NETLINK_HEADER_OCTETS..).unwrap_or_default();
    let about_flow = short(answer, 4) == Some(SOCK_DIAG_BY_FAMILY)
        && body.get(6..8) == Some(&flow.remote.1.to_be_bytes());
    let Some(state) = body.get(1).copied().filter(|state| about_flow && *state != TCP_LISTEN)
    else {
        return only(TCP_CLOSE);
    };
    let mut out = only(state.into());
    let Some(info) = attribute(body.get(ANSWER_OCTETS..).unwrap_or_default()) else { return out };
    // The state is the answer's own: it knows more of them.
    out.extend(decode(info).into_iter().filter(|(name, _)| name != STATE));
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
            assert_eq!(read(&other, &flow()), [(STATE.to_string(), TCP_CLOSE)]);
        }
    }
}
