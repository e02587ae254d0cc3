//! The peers. Owns: what each sends and answers, and that what it is sent is right.
//! Must not know: the stack; packets come and go as octets.
//!
//! A peer remembers nothing. Its own numbers follow from the connection's; ours it takes from the packet
//! it answers. Only those that will send requests keep what they must acknowledge: twelve octets each
//! of the requests' count, taken before anything is measured. In a keep-alive run each has two octets
//! for the time it was probed last, taken after memory was measured.

use super::packet::{self, ACK, FIN, LARGEST, Malformed, PSH, RST, SYN, Segment};
use super::quantile::Quantiles;
use super::tuple::{self, Family, SERVER_PORT, Shuffle, mix};
use usertcp_base::{Instant, Span};

/// Octets of a request and of its reply.
pub const MESSAGE: usize = 64;
/// One peer of so many is dead, where some are.
const DEAD_ONE_IN: u64 = 1000;
/// And this one, so that there is always one.
const SURELY_DEAD: u32 = 3;

/// What a peer that sends requests keeps.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// What it has to acknowledge.
    ack: u32,
    /// The timestamp it has to echo.
    echo: u32,
    /// Replies it had.
    answered: u32,
}

/// All of them.
pub struct Peers {
    family: Family,
    shuffle: Shuffle,
    known: Vec<Known>,
    some_are_dead: bool,
    probed: Option<Probed>,
    /// Handshakes answered.
    pub opened: u32,
    /// Requests answered rightly.
    pub answered: u64,
    /// Connections that were closed in order, as the peer sees it.
    pub closed: u32,
    /// The first thing that was wrong.
    pub problem: Option<String>,
}

/// When peers were probed.
pub struct Probed {
    began: Instant,
    /// Microseconds of a step of `last`.
    step_micros: u64,
    interval: Span,
    /// Steps since the beginning at the last probe, plus one.
    last: Vec<u16>,
    /// Probes seen.
    pub probes: u64,
    /// Milliseconds between probes of one peer.
    pub gaps: Quantiles,
    /// Gaps that differ from the interval by more than a tenth.
    pub outside: u64,
}

impl Peers {
    /// Peers for `count` connections, `asking` of which will send requests.
    pub fn new(family: Family, count: u32, asking: u32, some_are_dead: bool) -> Peers {
        // Not nought, so that the memory is touched now.
        let known = Known { ack: 1, echo: 1, answered: 0 };
        Peers {
            family,
            shuffle: Shuffle::new(count, 0x5EED),
            known: vec![known; asking.min(count) as usize],
            some_are_dead,
            probed: None,
            opened: 0,
            answered: 0,
            closed: 0,
            problem: None,
        }
    }

    /// How many can send requests.
    pub fn asking(&self) -> u32 {
        self.known.len() as u32
    }

    /// Octets kept for them.
    pub fn kept_octets(&self) -> usize {
        self.known.len() * size_of::<Known>()
    }

    /// Whether the peer of connection `number` never answers once it is connected.
    pub fn is_dead(&self, number: u32) -> bool {
        let by_chance = mix(u64::from(number) ^ 0xDEAD_0000_0000).is_multiple_of(DEAD_ONE_IN);
        self.some_are_dead && (by_chance || number == SURELY_DEAD)
    }

    /// From now on probes are answered and timed, for at most `length`.
    pub fn expect_probes(&mut self, now: Instant, count: u32, interval: Span, length: Span) {
        self.probed = Some(Probed {
            began: now,
            step_micros: (length.as_micros() / u64::from(u16::MAX - 1)).max(1000) + 1,
            interval,
            last: vec![0; count as usize],
            probes: 0,
            gaps: Quantiles::new(),
            outside: 0,
        });
    }

    /// What was seen of probes.
    pub fn probed(&self) -> Option<&Probed> {
        self.probed.as_ref()
    }

    /// Living peers below `count` that were not probed in the interval and a tenth before `now`.
    pub fn missed(&self, now: Instant, count: u32) -> u32 {
        let Some(probed) = &self.probed else { return 0 };
        let least = probed.steps(now).saturating_sub(probed.most_steps());
        let late = |number: &u32| {
            let last = probed.last.get(*number as usize).copied().unwrap_or(0);
            !self.is_dead(*number) && (last == 0 || u64::from(last - 1) + 1 < least)
        };
        (0..count).filter(late).count() as u32
    }

    /// The SYN of connection `number`.
    pub fn syn(&self, now: Instant, number: u32, out: &mut [u8; LARGEST]) -> usize {
        self.write(now, number, (iss(number), 0), SYN, 0, &[], out)
    }

    /// The next request of the peer drawn in place `place`, whose last one was answered.
    pub fn request(&self, now: Instant, place: u32, out: &mut [u8; LARGEST]) -> usize {
        let number = self.shuffle.at(place);
        let Some(known) = self.known.get(place as usize) else { return 0 };
        let round = known.answered;
        let seq = iss(number).wrapping_add(1).wrapping_add(round.wrapping_mul(MESSAGE as u32));
        let payload = request(number, round);
        self.write(now, number, (seq, known.ack), ACK | PSH, known.echo, &payload, out)
    }

    /// What the peer answers to a packet, if anything.
    pub fn answer(
        &mut self,
        now: Instant,
        packet: &[u8],
        out: &mut [u8; LARGEST],
    ) -> Option<usize> {
        match self.try_answer(now, packet, out) {
            Ok(answer) => answer,
            Err(problem) => {
                self.problem.get_or_insert(problem);
                None
            }
        }
    }

    fn try_answer(
        &mut self,
        now: Instant,
        packet: &[u8],
        out: &mut [u8; LARGEST],
    ) -> Result<Option<usize>, String> {
        let segment = packet::read(packet).map_err(|error| match error {
            Malformed::Format => "a packet of ours is not TCP over IP".to_owned(),
            Malformed::Checksum => "a packet of ours has a wrong checksum".to_owned(),
        })?;
        let (address, port) = segment.remote;
        let number = tuple::number(address, port)
            .filter(|_| segment.local == (self.family.server(), SERVER_PORT))
            .ok_or_else(|| format!("a packet for {address} port {port}, who is nobody"))?;
        let after = segment.seq.wrapping_add(segment.payload.len() as u32);
        let echo = segment.timestamps.0;
        if segment.flags & RST != 0 {
            return match self.is_dead(number) {
                true => Ok(None),
                false => Err(format!("connection {number} was reset")),
            };
        }
        if segment.flags & SYN != 0 {
            return self.on_syn_ack(now, number, &segment, out).map(Some);
        }
        if self.is_dead(number) {
            return Ok(None);
        }
        if !segment.payload.is_empty() {
            self.on_reply(number, &segment)?;
            return Ok(Some(self.write(now, number, (segment.ack, after), ACK, echo, &[], out)));
        }
        if segment.flags & FIN != 0 {
            self.closed += 1;
            let numbers = (segment.ack, after.wrapping_add(1));
            return Ok(Some(self.write(now, number, numbers, FIN | ACK, echo, &[], out)));
        }
        let Some(probed) = &mut self.probed else { return Ok(None) };
        probed.note(now, number);
        // A probe is from before the number that we are at.
        let numbers = (segment.ack, segment.seq.wrapping_add(1));
        Ok(Some(self.write(now, number, numbers, ACK, echo, &[], out)))
    }

    fn on_syn_ack(
        &mut self,
        now: Instant,
        number: u32,
        segment: &Segment<'_>,
        out: &mut [u8; LARGEST],
    ) -> Result<usize, String> {
        let seq = iss(number).wrapping_add(1);
        if segment.ack != seq || segment.flags & ACK == 0 {
            return Err(format!("connection {number}: a SYN-ACK for another SYN"));
        }
        self.opened += 1;
        let (ack, echo) = (segment.seq.wrapping_add(1), segment.timestamps.0);
        let place = self.shuffle.place_of(number);
        if let Some(known) = self.known.get_mut(place as usize) {
            *known = Known { ack, echo, answered: 0 };
        }
        Ok(self.write(now, number, (seq, ack), ACK, echo, &[], out))
    }

    /// The reply to the last request, octet by octet.
    fn on_reply(&mut self, number: u32, segment: &Segment<'_>) -> Result<(), String> {
        let place = self.shuffle.place_of(number);
        let known = self.known.get_mut(place as usize);
        let known = known.ok_or_else(|| format!("connection {number} asked for nothing"))?;
        if segment.seq != known.ack || segment.payload != reply(request(number, known.answered)) {
            return Err(format!(
                "connection {number}: a wrong reply to request {}: sequence number {} for {}, {:?}",
                known.answered, segment.seq, known.ack, segment.payload
            ));
        }
        known.answered += 1;
        known.ack = segment.seq.wrapping_add(MESSAGE as u32);
        known.echo = segment.timestamps.0;
        self.answered += 1;
        Ok(())
    }

    #[allow(clippy::too_many_arguments)] // they are the fields of one segment
    fn write(
        &self,
        now: Instant,
        number: u32,
        (seq, ack): (u32, u32),
        flags: u8,
        echo: u32,
        payload: &[u8],
        out: &mut [u8; LARGEST],
    ) -> usize {
        let segment = Segment {
            remote: tuple::remote(self.family, number),
            local: packet::server(self.family),
            seq,
            ack,
            flags,
            timestamps: (clock(now, number), echo),
            payload,
        };
        packet::write(&segment, out)
    }
}

impl Probed {
    fn steps(&self, now: Instant) -> u64 {
        now.since(self.began).as_micros() / self.step_micros
    }

    /// An interval and a tenth, and what the steps may hide.
    fn most_steps(&self) -> u64 {
        (self.interval.as_micros() * 11 / 10).div_ceil(self.step_micros) + 1
    }

    fn note(&mut self, now: Instant, number: u32) {
        let steps = self.steps(now).min(u64::from(u16::MAX - 1));
        let Some(last) = self.last.get_mut(number as usize) else { return };
        self.probes += 1;
        if *last != 0 {
            let gap = steps - u64::from(*last - 1);
            let gap_micros = gap * self.step_micros;
            self.gaps.add(gap_micros / 1000);
            let tenth = self.interval.as_micros() / 10 + self.step_micros;
            self.outside += u64::from(gap_micros.abs_diff(self.interval.as_micros()) > tenth);
        }
        *last = steps as u16 + 1;
    }
}

/// The initial sequence number of a peer.
fn iss(number: u32) -> u32 {
    mix(u64::from(number) ^ 0x1551_0000_0000) as u32
}

/// The timestamp clock of a peer: milliseconds from somewhere.
fn clock(now: Instant, number: u32) -> u32 {
    (now.as_millis() as u32).wrapping_add(mix(u64::from(number)) as u32)
}

/// The octets of a request: no two have the same.
fn request(number: u32, round: u32) -> [u8; MESSAGE] {
    let mut out = [0; MESSAGE];
    for (at, word) in out.chunks_exact_mut(8).enumerate() {
        let seed = u64::from(number) << 32 | u64::from(round) << 3 | at as u64;
        word.copy_from_slice(&mix(seed).to_le_bytes());
    }
    out
}

/// What the server makes of a request: so a reply shows that the request was read rightly.
pub fn reply(mut request: [u8; MESSAGE]) -> [u8; MESSAGE] {
    request.iter_mut().for_each(|octet| *octet ^= 0xA5);
    request
}

#[cfg(test)]
mod tests;
