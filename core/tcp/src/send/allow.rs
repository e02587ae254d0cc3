//! How much new data the peer's window, Nagle and silly-window avoidance let go.
//! Implements: RFC 9293 §3.7.4 with App. A.3 (Minshall), §3.8.6.2.1 (MUST-38).

/// The facts the rules look at. Octets throughout.
#[derive(Clone, Copy, Debug)]
pub struct NewData {
    /// Written and not sent.
    pub unsent: u32,
    /// Window left.
    pub usable: u32,
    /// Payload of a full segment.
    pub mss: u32,
    /// Largest window the peer ever offered.
    pub max_window: u32,
    /// Something is outstanding.
    pub outstanding: bool,
    /// A segment smaller than it could have been is outstanding.
    pub small_outstanding: bool,
    /// Nagle is off, or the application flushed.
    pub no_delay: bool,
    /// The application wants partial segments held.
    pub cork: bool,
    /// The application closed: nothing will be added.
    pub closing: bool,
}

/// What may go.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Allowed {
    /// So many octets, from the first unsent one on.
    Send(u32),
    /// The application has nothing to send.
    Nothing,
    /// A partial segment waits for company (Nagle, or cork).
    Company,
    /// The peer's window: full, or too small to be worth a segment.
    Window,
}

/// The decision. Full segments go as far as the window lets them; a partial one at the end only
/// when a rule lets it.
pub fn new_data(facts: &NewData) -> Allowed {
    if facts.unsent == 0 {
        return Allowed::Nothing;
    }
    let available = facts.unsent.min(facts.usable);
    if available == 0 {
        return Allowed::Window;
    }
    let mss = facts.mss.max(1);
    let partial = available % mss;
    let whole = available - partial;
    if partial == 0 || partial_may_go(facts, available, whole) {
        return Allowed::Send(available);
    }
    if whole > 0 {
        Allowed::Send(whole)
    } else if available == facts.unsent {
        Allowed::Company
    } else {
        Allowed::Window
    }
}

fn partial_may_go(facts: &NewData, available: u32, whole: u32) -> bool {
    if available < facts.unsent {
        // The window cuts the segment: worth sending only from half the largest window on.
        return whole == 0 && available >= (facts.max_window / 2).max(1);
    }
    if facts.closing {
        return true;
    }
    if facts.cork {
        return false;
    }
    facts.no_delay || !facts.small_outstanding
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: NewData = NewData {
        unsent: 0,
        usable: 65_535,
        mss: 1000,
        max_window: 65_535,
        outstanding: false,
        small_outstanding: false,
        no_delay: false,
        cork: false,
        closing: false,
    };

    // proves MUST-17, SHLD-7, MUST-38, MUST-60
    #[test]
    fn the_rules_as_a_table() {
        let small = NewData { unsent: 10, ..IDLE };
        let busy = NewData { outstanding: true, small_outstanding: true, ..small };
        let table = [
            (IDLE, Allowed::Nothing),
            (small, Allowed::Send(10)),
            (busy, Allowed::Company),
            (NewData { no_delay: true, ..busy }, Allowed::Send(10)),
            (NewData { closing: true, ..busy }, Allowed::Send(10)),
            (NewData { cork: true, ..small }, Allowed::Company),
            (NewData { outstanding: true, ..small }, Allowed::Send(10)),
            (NewData { unsent: 2500, ..busy }, Allowed::Send(2000)),
            (NewData { unsent: 2500, ..IDLE }, Allowed::Send(2500)),
            (NewData { unsent: 2500, cork: true, ..IDLE }, Allowed::Send(2000)),
            (NewData { usable: 0, ..small }, Allowed::Window),
            (NewData { unsent: 5000, usable: 999, ..IDLE }, Allowed::Window),
            (NewData { unsent: 5000, usable: 999, max_window: 1998, ..IDLE }, Allowed::Send(999)),
            (NewData { unsent: 5000, usable: 1999, ..IDLE }, Allowed::Send(1000)),
            (NewData { unsent: 5000, usable: 5, no_delay: true, ..IDLE }, Allowed::Window),
        ];
        for (facts, expected) in table {
            assert_eq!(new_data(&facts), expected, "{facts:?}");
        }
    }
}
