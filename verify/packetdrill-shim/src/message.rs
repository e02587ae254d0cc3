//! Control messages as C has them. Owns: their layout, x86-64. Must not know: when there are any.

use crate::memory::Buffer;
use libc::{c_int, msghdr};
use usertcp_conformance::posix::message::{Control, ExtendedError, Received};
use usertcp_conformance::posix::names as n;

/// Octets of a control message's header.
const HEADER_OCTETS: usize = 16;

/// Fills in flags and control messages; what does not fit is cut off, and MSG_CTRUNC says so.
pub fn fill(header: &mut msghdr, received: &Received, v6: bool) {
    let all: Vec<u8> = received.control.iter().flat_map(|one| octets_of(one, v6)).collect();
    let room = if header.msg_control.is_null() { 0 } else { header.msg_controllen };
    header.msg_flags = received.flags as c_int;
    if all.len() > room {
        header.msg_flags |= libc::MSG_CTRUNC;
    }
    header.msg_controllen = Buffer::new(header.msg_control, room).fill(&all);
    header.msg_namelen = 0;
}

fn octets_of(control: &Control, v6: bool) -> Vec<u8> {
    let (level, kind, content) = match control {
        Control::Inq(octets) => (n::SOL_TCP, n::TCP_CM_INQ, octets.to_ne_bytes().to_vec()),
        Control::Error(error) if v6 => (n::SOL_IPV6, n::IPV6_RECVERR, error_octets(error, 28)),
        Control::Error(error) => (n::SOL_IP, n::IP_RECVERR, error_octets(error, 16)),
        Control::Stamp(micros) => {
            let stamp = [(micros / 1_000_000) as i64, (micros % 1_000_000 * 1000) as i64];
            // The software time; the two others are none.
            let words = stamp.into_iter().chain([0; 4]);
            let octets = words.flat_map(i64::to_ne_bytes).collect();
            (n::SOL_SOCKET, n::SCM_TIMESTAMPING, octets)
        }
        Control::Statistics(all) => {
            let octets = all.iter().flat_map(|(kind, value)| attribute(*kind, *value)).collect();
            (n::SOL_SOCKET, n::SCM_TIMESTAMPING_OPT_STATS, octets)
        }
    };
    let mut out = (HEADER_OCTETS + content.len()).to_ne_bytes().to_vec();
    out.extend_from_slice(&(level as c_int).to_ne_bytes());
    out.extend_from_slice(&(kind as c_int).to_ne_bytes());
    out.extend_from_slice(&content);
    out.resize(out.len().next_multiple_of(8), 0);
    out
}

/// `struct sock_extended_err`, and the address of who complained, of which nothing is known.
fn error_octets(error: &ExtendedError, address_octets: usize) -> Vec<u8> {
    let mut out = error.errno.to_ne_bytes().to_vec();
    out.extend_from_slice(&[error.origin, error.kind, error.code, 0]);
    out.extend_from_slice(&error.info.to_ne_bytes());
    out.extend_from_slice(&error.data.to_ne_bytes());
    out.resize(out.len() + address_octets, 0);
    out
}

/// An attribute of the statistics, in as many octets as Linux gives it.
fn attribute(kind: u16, value: u64) -> Vec<u8> {
    let octets = match i64::from(kind) {
        n::TCP_NLA_RECUR_RETRANS
        | n::TCP_NLA_DELIVERY_RATE_APP_LMT
        | n::TCP_NLA_CA_STATE
        | n::TCP_NLA_TTL => 1,
        n::TCP_NLA_TIMEOUT_REHASH => 2,
        n::TCP_NLA_SND_CWND
        | n::TCP_NLA_REORDERING
        | n::TCP_NLA_MIN_RTT
        | n::TCP_NLA_SNDQ_SIZE
        | n::TCP_NLA_SND_SSTHRESH
        | n::TCP_NLA_DELIVERED
        | n::TCP_NLA_DELIVERED_CE
        | n::TCP_NLA_DSACK_DUPS
        | n::TCP_NLA_REORD_SEEN
        | n::TCP_NLA_SRTT
        | n::TCP_NLA_BYTES_NOTSENT
        | n::TCP_NLA_REHASH => 4,
        _ => 8,
    };
    let mut out = (4 + octets as u16).to_ne_bytes().to_vec();
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(&value.to_le_bytes()[..octets]);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_messages_are_laid_out_and_cut_off() {
        let received = Received {
            flags: 0x40,
            control: vec![Control::Inq(7), Control::Statistics(vec![(8, 10), (14, 3)])],
        };
        let mut room = [0u8; 64];
        // SAFETY: all-zero octets are a valid msghdr.
        let mut header: msghdr = unsafe { std::mem::zeroed() };
        header.msg_control = room.as_mut_ptr().cast();
        header.msg_controllen = room.len();
        fill(&mut header, &received, false);
        assert_eq!((header.msg_flags, header.msg_controllen), (0x40, 24 + 32));
        assert_eq!(
            room[..24],
            [20, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 36, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]
        );
        assert_eq!(room[24..40], [32, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 54, 0, 0, 0]);
        assert_eq!(room[40..56], [8, 0, 8, 0, 10, 0, 0, 0, 5, 0, 14, 0, 3, 0, 0, 0]);
        header.msg_controllen = 24;
        fill(&mut header, &received, false);
        assert_eq!((header.msg_flags, header.msg_controllen), (0x40 | libc::MSG_CTRUNC, 24));
    }

    #[test]
    fn errors_have_the_family_of_their_socket() {
        let error = Control::Error(ExtendedError { errno: 11, origin: 5, ..Default::default() });
        assert_eq!(octets_of(&error, false).len(), 16 + 16 + 16);
        assert_eq!(octets_of(&error, true).len(), 16 + 48, "44 octets, padded");
        assert_eq!(octets_of(&error, true)[8..16], [41, 0, 0, 0, 25, 0, 0, 0]);
    }
}
