//! Socket options of the kernel. Owns: which are known, and the type each is set and read with.
//! Must not know: when.

use super::calls::{arg, error, plain};
use crate::arguments::{Missing, number, octets_of, text_of};
use crate::call::Outcome;
use crate::posix::errno::Errno as Named;
use crate::posix::names as n;
use crate::script::{Arg, Call};
use nix::errno::Errno;
use nix::sys::socket as net;
use nix::sys::socket::sockopt as opt;
use std::os::fd::OwnedFd;

fn raw(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

fn missing(call: &Call) -> Missing {
    Missing(format!("socket option `{}`", text_of(arg(call, 2))))
}

fn option(call: &Call) -> Result<(i64, i64), Missing> {
    Ok((number(arg(call, 1))?, number(arg(call, 2)).map_err(|_| missing(call))?))
}

/// setsockopt
pub fn set(call: &Call, file: &OwnedFd) -> Result<Outcome, Missing> {
    let (level, name) = option(call)?;
    let octets = octets_of(arg(call, 3))?;
    match (level, name) {
        (n::SOL_SOCKET, n::SO_LINGER) => {
            let word = |at: usize| {
                let word = octets.get(at..at + 4).and_then(|word| word.try_into().ok());
                word.map_or(0, i32::from_ne_bytes)
            };
            let linger = libc::linger { l_onoff: word(0), l_linger: word(4) };
            Ok(plain(net::setsockopt(file, opt::Linger, &linger)))
        }
        (n::SOL_TCP, n::TCP_CONGESTION) => {
            let text = String::from_utf8_lossy(&octets).into_owned();
            Ok(plain(net::setsockopt(file, opt::TcpCongestion, &text.into())))
        }
        _ => {
            let value = number(arg(call, 3))?;
            Ok(plain(set_number(level, name, value, file).ok_or_else(|| missing(call))?))
        }
    }
}

fn set_number(level: i64, name: i64, value: i64, file: &OwnedFd) -> Option<nix::Result<()>> {
    let (yes, unsigned, usual, signed) = (value != 0, value as u32, value as usize, value as i32);
    let other = socket2::SockRef::from(file);
    let by_other = |result: std::io::Result<()>| result.map_err(|error| raw(&error));
    Some(match (level, name) {
        (n::SOL_SOCKET, n::SO_REUSEADDR) => net::setsockopt(file, opt::ReuseAddr, &yes),
        (n::SOL_SOCKET, n::SO_REUSEPORT) => net::setsockopt(file, opt::ReusePort, &yes),
        (n::SOL_SOCKET, n::SO_KEEPALIVE) => net::setsockopt(file, opt::KeepAlive, &yes),
        (n::SOL_SOCKET, n::SO_SNDBUF) => net::setsockopt(file, opt::SndBuf, &usual),
        (n::SOL_SOCKET, n::SO_RCVBUF) => net::setsockopt(file, opt::RcvBuf, &usual),
        (n::SOL_SOCKET, n::SO_MARK) => net::setsockopt(file, opt::Mark, &unsigned),
        (n::SOL_SOCKET, n::SO_PRIORITY) => net::setsockopt(file, opt::Priority, &signed),
        (n::SOL_TCP, n::TCP_NODELAY) => net::setsockopt(file, opt::TcpNoDelay, &yes),
        (n::SOL_TCP, n::TCP_CORK) => net::setsockopt(file, opt::TcpCork, &yes),
        (n::SOL_TCP, n::TCP_KEEPIDLE) => net::setsockopt(file, opt::TcpKeepIdle, &unsigned),
        (n::SOL_TCP, n::TCP_KEEPINTVL) => net::setsockopt(file, opt::TcpKeepInterval, &unsigned),
        (n::SOL_TCP, n::TCP_KEEPCNT) => net::setsockopt(file, opt::TcpKeepCount, &unsigned),
        (n::SOL_TCP, n::TCP_USER_TIMEOUT) => net::setsockopt(file, opt::TcpUserTimeout, &unsigned),
        (n::SOL_TCP, n::TCP_FASTOPEN_CONNECT) => {
            net::setsockopt(file, opt::TcpFastOpenConnect, &yes)
        }
        (n::SOL_TCP, n::TCP_MAXSEG) => by_other(other.set_tcp_mss(unsigned)),
        (n::SOL_TCP, n::TCP_QUICKACK) => by_other(other.set_tcp_quickack(yes)),
        (n::SOL_TCP, n::TCP_NOTSENT_LOWAT) => by_other(other.set_tcp_notsent_lowat(unsigned)),
        (n::SOL_IP, n::IP_FREEBIND) => net::setsockopt(file, opt::IpFreebind, &yes),
        // One script fits both families: what it says of IPv4's header is meant of IPv6's too.
        (n::SOL_IP, n::IP_TOS) if is_v6(file) => by_other(other.set_tclass_v6(unsigned)),
        (n::SOL_IP, n::IP_TOS) => net::setsockopt(file, opt::Ipv4Tos, &signed),
        (n::SOL_IPV6, n::IPV6_TCLASS) => by_other(other.set_tclass_v6(unsigned)),
        (n::SOL_IP, n::IP_TTL) if !is_v6(file) => net::setsockopt(file, opt::Ipv4Ttl, &signed),
        (n::SOL_IP, n::IP_TTL) | (n::SOL_IPV6, n::IPV6_UNICAST_HOPS) => {
            net::setsockopt(file, opt::Ipv6Ttl, &signed)
        }
        _ => return None,
    })
}

fn is_v6(file: &OwnedFd) -> bool {
    socket2::SockRef::from(file).local_addr().is_ok_and(|address| address.is_ipv6())
}

/// getsockopt, against the value that the script expects.
pub fn compare(call: &Call, file: &OwnedFd) -> Result<Outcome, Missing> {
    let (level, name) = option(call)?;
    let wanted = match arg(call, 3) {
        Arg::List(list) if list.len() == 1 => list.first().unwrap_or(&Arg::Ellipsis),
        other => other,
    };
    let got = match read_number(level, name, file).ok_or_else(|| missing(call))? {
        Ok(got) => got,
        Err(errno) => return Ok(error(errno)),
    };
    let text = text_of(wanted);
    let (same, shown) = match Named::from_name(&text) {
        Some(named) => (i64::from(named.0) == got, Named(got as i32).name().to_string()),
        None => (*wanted == Arg::Ellipsis || number(wanted)? == got, got.to_string()),
    };
    if same {
        return Ok(Outcome::Done(0));
    }
    Ok(Outcome::Differs(format!("{}: expected {text}, got {shown}", text_of(arg(call, 2)))))
}

fn read_number(level: i64, name: i64, file: &OwnedFd) -> Option<nix::Result<i64>> {
    let yes = |result: nix::Result<bool>| result.map(i64::from);
    let number = |result: nix::Result<u32>| result.map(i64::from);
    let usual = |result: nix::Result<usize>| result.map(|value| value as i64);
    let by_other =
        |result: std::io::Result<u32>| result.map(i64::from).map_err(|error| raw(&error));
    let other = socket2::SockRef::from(file);
    Some(match (level, name) {
        (n::SOL_SOCKET, n::SO_ERROR) => net::getsockopt(file, opt::SocketError).map(i64::from),
        (n::SOL_SOCKET, n::SO_KEEPALIVE) => yes(net::getsockopt(file, opt::KeepAlive)),
        (n::SOL_SOCKET, n::SO_REUSEADDR) => yes(net::getsockopt(file, opt::ReuseAddr)),
        (n::SOL_SOCKET, n::SO_ACCEPTCONN) => yes(net::getsockopt(file, opt::AcceptConn)),
        (n::SOL_SOCKET, n::SO_TYPE) => net::getsockopt(file, opt::SockType).map(|kind| kind as i64),
        (n::SOL_SOCKET, n::SO_SNDBUF) => usual(net::getsockopt(file, opt::SndBuf)),
        (n::SOL_SOCKET, n::SO_RCVBUF) => usual(net::getsockopt(file, opt::RcvBuf)),
        (n::SOL_TCP, n::TCP_NODELAY) => yes(net::getsockopt(file, opt::TcpNoDelay)),
        (n::SOL_TCP, n::TCP_CORK) => yes(net::getsockopt(file, opt::TcpCork)),
        (n::SOL_TCP, n::TCP_KEEPIDLE) => number(net::getsockopt(file, opt::TcpKeepIdle)),
        (n::SOL_TCP, n::TCP_KEEPINTVL) => number(net::getsockopt(file, opt::TcpKeepInterval)),
        (n::SOL_TCP, n::TCP_KEEPCNT) => number(net::getsockopt(file, opt::TcpKeepCount)),
        (n::SOL_TCP, n::TCP_USER_TIMEOUT) => number(net::getsockopt(file, opt::TcpUserTimeout)),
        (n::SOL_TCP, n::TCP_MAXSEG) => by_other(other.tcp_mss()),
        (n::SOL_TCP, n::TCP_NOTSENT_LOWAT) => by_other(other.tcp_notsent_lowat()),
        _ => return None,
    })
}
