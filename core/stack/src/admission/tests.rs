//! The decision as a table.

use super::*;

#[test]
fn a_syn_is_recorded_answered_by_cookie_or_refused() {
    use EmbryoRefused::{Listener, Source};
    let refused = Admitted::Refused(DropReason::BacklogFull);
    let table = [
        (false, Ok(()), true, Admitted::Record),
        (false, Ok(()), false, Admitted::Cookie),
        (false, Err(Listener), true, Admitted::Cookie),
        (false, Err(Source), true, Admitted::Cookie),
        (true, Ok(()), true, refused),
        (true, Err(Listener), true, refused),
    ];
    for (backlog_full, record, anchor_free, expected) in table {
        assert_eq!(on_syn(backlog_full, record, anchor_free), expected);
    }
}
