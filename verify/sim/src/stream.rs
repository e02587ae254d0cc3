//! Applications of the simulator: a stream each way, written and read in random pieces.
//! Owns: what is written, what was read, and whether it was the same. Must not know: packets.

use usertcp_base::{Instant, Prng, Span};
use usertcp_tcp::AccurateInfo;

/// The octet at `offset` of the stream `seed`: both ends can compute it.
pub fn octet_at(seed: u64, offset: u64) -> u8 {
    let word = Prng::from_seed(seed ^ (offset / 8).wrapping_mul(0xD6E8_FEB8_6659_FD93)).next_u64();
    word.to_le_bytes()[(offset % 8) as usize]
}

/// Fills `out` with the stream's octets from `offset` on.
pub fn fill(seed: u64, offset: u64, out: &mut [u8]) {
    let mut at = 0;
    while at < out.len() {
        let position = offset + at as u64;
        let word =
            Prng::from_seed(seed ^ (position / 8).wrapping_mul(0xD6E8_FEB8_6659_FD93)).next_u64();
        let skip = (position % 8) as usize;
        for octet in &word.to_le_bytes()[skip..] {
            if at == out.len() {
                break;
            }
            out[at] = *octet;
            at += 1;
        }
    }
}

/// What one end is to do.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Octets to write.
    pub octets: u64,
    /// Largest write.
    pub write_most: usize,
    /// Largest read.
    pub read_most: usize,
    /// Chance, per million, of a pause before a read.
    pub pause: u32,
    /// Longest pause.
    pub pause_most: Span,
    /// Chance, per million, of a silence before a write.
    pub silence: u32,
    /// Longest silence.
    pub silence_most: Span,
}

/// Where one end stands.
#[derive(Clone, Debug)]
pub struct Stream {
    /// What it is to do.
    pub plan: Plan,
    /// Seed of what it writes, and of what it expects.
    pub seeds: (u64, u64),
    /// Octets written.
    pub written: u64,
    /// Octets read.
    pub read: u64,
    /// Its sending side is closed.
    pub shut: bool,
    /// It has seen the peer's end.
    pub ended: bool,
    /// The figures of accurate ECN, as they were last.
    pub ecn: Option<AccurateInfo>,
    /// It may not read before this moment.
    pub paused_until: Instant,
    /// It may not write before this moment.
    pub silent_until: Instant,
    /// The first difference between what was read and what was written, if any.
    pub corrupt_at: Option<u64>,
}

impl Stream {
    /// A stream at its beginning.
    pub fn new(plan: Plan, own_seed: u64, peer_seed: u64) -> Stream {
        Stream {
            plan,
            seeds: (own_seed, peer_seed),
            written: 0,
            read: 0,
            shut: false,
            ended: false,
            ecn: None,
            paused_until: Instant::ZERO,
            silent_until: Instant::ZERO,
            corrupt_at: None,
        }
    }
    /// The next piece to write; empty when everything was written.
    pub fn next_write(&self, prng: &mut Prng) -> Vec<u8> {
        let left = self.plan.octets - self.written;
        let most = (self.plan.write_most as u64).min(left);
        let mut piece = vec![0; (prng.below(most) + 1).min(left) as usize];
        fill(self.seeds.0, self.written, &mut piece);
        piece
    }
    /// Takes note of octets read, and compares them.
    pub fn on_read(&mut self, octets: &[u8]) {
        let mut expected = vec![0; octets.len()];
        fill(self.seeds.1, self.read, &mut expected);
        if self.corrupt_at.is_none() && expected != octets {
            let at = expected.iter().zip(octets).take_while(|(a, b)| a == b).count();
            self.corrupt_at = Some(self.read + at as u64);
        }
        self.read += octets.len() as u64;
    }
    /// Whether both directions are done.
    pub fn is_done(&self) -> bool {
        self.shut && self.ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_agree_with_single_octets() {
        let mut piece = [0; 37];
        fill(9, 13, &mut piece);
        for (at, octet) in piece.iter().enumerate() {
            assert_eq!(*octet, octet_at(9, 13 + at as u64));
        }
    }
}
