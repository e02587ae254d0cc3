//! Errors of calls. Owns: their names and Linux's numbers. Must not know: when one is given.

use core::fmt;
use usertcp_base::CloseReason;

/// An error, by Linux's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Errno(pub i32);

macro_rules! errors {
    ($($name:ident = $value:expr,)*) => {
        impl Errno {
            $(
                #[doc = concat!("`", stringify!($name), "`.")]
                pub const $name: Errno = Errno($value);
            )*
            const NAMES: &'static [(&'static str, i32)] = &[$((stringify!($name), $value),)*];
        }
    };
}

errors! {
    EPERM = 1,
    ENOENT = 2,
    EINTR = 4,
    EIO = 5,
    EBADF = 9,
    EAGAIN = 11,
    ENOMEM = 12,
    EACCES = 13,
    EFAULT = 14,
    EEXIST = 17,
    EINVAL = 22,
    ENOTTY = 25,
    ESPIPE = 29,
    EPIPE = 32,
    EDOM = 33,
    ENOTSOCK = 88,
    EDESTADDRREQ = 89,
    EMSGSIZE = 90,
    ENOPROTOOPT = 92,
    EPROTONOSUPPORT = 93,
    EOPNOTSUPP = 95,
    EAFNOSUPPORT = 97,
    EADDRINUSE = 98,
    EADDRNOTAVAIL = 99,
    ENETDOWN = 100,
    ENETUNREACH = 101,
    ECONNABORTED = 103,
    ECONNRESET = 104,
    ENOBUFS = 105,
    EISCONN = 106,
    ENOTCONN = 107,
    ETIMEDOUT = 110,
    ECONNREFUSED = 111,
    EHOSTUNREACH = 113,
    EALREADY = 114,
    EINPROGRESS = 115,
    ENOMSG = 42,
}

impl Errno {
    /// The error of this name; `EWOULDBLOCK` is another name of one.
    pub fn from_name(name: &str) -> Option<Errno> {
        if name == "EWOULDBLOCK" {
            return Some(Errno::EAGAIN);
        }
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, value)| Errno(*value))
    }
    /// Its name.
    pub fn name(self) -> &'static str {
        let known = Self::NAMES.iter().find(|(_, value)| *value == self.0);
        known.map_or("an error without a name", |(name, _)| name)
    }
    /// The error that the end of a connection means to its next call; `None`: an orderly end.
    pub fn of_end(reason: CloseReason) -> Option<Errno> {
        match reason {
            CloseReason::Normal => None,
            CloseReason::Reset => Some(Errno::ECONNRESET),
            CloseReason::Refused => Some(Errno::ECONNREFUSED),
            CloseReason::TimedOut | CloseReason::KeepAlive => Some(Errno::ETIMEDOUT),
            CloseReason::Unreachable => Some(Errno::EHOSTUNREACH),
            CloseReason::Aborted => Some(Errno::ECONNABORTED),
            CloseReason::Limit => Some(Errno::ENOBUFS),
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
