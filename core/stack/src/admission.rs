//! Who is let in.
//!
//! Owns: the decision on a SYN.
//! Must not know: segments, tables; it is told counts and answers.
//! Implements: RFC 4987 §3 (4987-1), E-31, AT-1, AT-39, AT-42.

use crate::listener::EmbryoRefused;
use usertcp_base::DropReason;

/// What is decided about a SYN.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Admitted {
    /// A half-open record is kept.
    Record,
    /// The peer keeps it: a cookie.
    Cookie,
    /// Nothing is answered.
    Refused(DropReason),
}

/// The decision on a SYN. Half-open records are bounded; beyond the bound nothing is kept here, but
/// everyone may still connect by cookie. Only a full accept queue refuses: a connection more would
/// have nowhere to go, and the peer tries again.
pub fn on_syn(
    backlog_full: bool,
    record: Result<(), EmbryoRefused>,
    anchor_free: bool,
) -> Admitted {
    if backlog_full {
        return Admitted::Refused(DropReason::BacklogFull);
    }
    match record {
        Ok(()) if anchor_free => Admitted::Record,
        _ => Admitted::Cookie,
    }
}

#[cfg(test)]
mod tests;
