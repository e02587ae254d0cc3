//! Octets that tell where in a stream they belong. Owns: the pattern, and how far each connection is.
//! Must not know: what carries them.

use std::collections::HashMap;
use usertcp_base::ConnId;

/// After so many octets it begins again: 45 full segments, which is what a lent frame holds.
const PERIOD: usize = 45 * 1448;

/// The pattern, and the positions of what was sent and what arrived.
pub struct Pattern {
    octets: Vec<u8>,
    sent: HashMap<ConnId, usize>,
    arrived: HashMap<ConnId, usize>,
}

impl Default for Pattern {
    fn default() -> Pattern {
        // Neighbours differ, and so do octets one message or one segment apart.
        let octet = |at: usize| {
            let mixed = (at % PERIOD) as u32;
            (mixed.wrapping_mul(0x9E37_79B1) >> 24) as u8
        };
        let octets = (0..3 * PERIOD).map(octet).collect();
        Pattern { octets, sent: HashMap::new(), arrived: HashMap::new() }
    }
}

impl Pattern {
    /// The first octets of a stream, at most a period.
    pub fn first(&self, len: usize) -> &[u8] {
        &self.octets[..len]
    }

    /// What this connection is to send next; at most two periods.
    pub fn next(&self, conn: ConnId, len: usize) -> &[u8] {
        let at = self.sent.get(&conn).copied().unwrap_or(0) % PERIOD;
        &self.octets[at..at + len]
    }

    /// Some of that was taken.
    pub fn sent(&mut self, conn: ConnId, octets: usize) {
        *self.sent.entry(conn).or_default() += octets;
    }

    /// The last octets sent.
    pub fn last(&self, conn: ConnId, len: usize) -> &[u8] {
        let sent = self.sent.get(&conn).copied().unwrap_or(0);
        let at = sent.saturating_sub(len) % PERIOD;
        &self.octets[at..at + len]
    }

    /// Whether these octets are what follows in what this connection received.
    pub fn arrives(&mut self, conn: ConnId, octets: &[u8]) -> bool {
        let position = self.arrived.entry(conn).or_default();
        let at = *position % PERIOD;
        *position += octets.len();
        octets.len() <= 2 * PERIOD && self.octets[at..at + octets.len()] == *octets
    }

    /// Its number may be given to another.
    pub fn forget(&mut self, conn: ConnId) {
        self.sent.remove(&conn);
        self.arrived.remove(&conn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONN: ConnId = ConnId { slot: 1, generation: 1 };

    #[test]
    fn what_is_lost_doubled_or_moved_is_seen() {
        let mut pattern = Pattern::default();
        let octets = pattern.next(CONN, 3000).to_vec();
        pattern.sent(CONN, 3000);
        assert!(pattern.arrives(CONN, &octets[..1448]));
        assert!(pattern.arrives(CONN, &octets[1448..]));
        let more = pattern.next(CONN, 65_536).to_vec();
        assert!(pattern.arrives(CONN, &more));
        for wrong in [&octets[..1448], &octets[1448..2896], &octets[64..128]] {
            assert!(!Pattern::default().arrives(CONN, &wrong[1..]), "moved");
        }
        let mut doubled = Pattern::default();
        assert!(doubled.arrives(CONN, &octets[..1448]));
        assert!(!doubled.arrives(CONN, &octets[..1448]));
    }

    #[test]
    fn an_answer_is_what_was_asked() {
        let mut pattern = Pattern::default();
        pattern.sent(CONN, 64);
        let first = pattern.last(CONN, 64).to_vec();
        assert_eq!(first, pattern.first(64));
        pattern.sent(CONN, 64);
        assert_ne!(first, pattern.last(CONN, 64));
    }
}
