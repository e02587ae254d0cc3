//! Two hosts, a link each way, virtual time, and a judge between them.
//! Owns: the order of everything that happens in a run.

use crate::host::Host;
use crate::link::{Link, Offered};
use crate::oracle::Oracle;
use crate::signal::too_big;
use usertcp_base::{Instant, Span};

/// What was sent: when, by which host, the packet.
pub type Recording = Vec<(Instant, usize, Vec<u8>)>;

/// Two hosts and what is between them.
pub struct World {
    /// The time.
    pub now: Instant,
    /// The hosts.
    pub hosts: [Host; 2],
    /// `links[n]` carries what host n sends.
    pub links: [Link; 2],
    /// The judge.
    pub oracle: Oracle,
    /// Links tell senders of packets that are too big.
    pub signals: bool,
    /// What was sent, when and by whom, while somebody wants to know.
    pub recording: Option<Recording>,
    steps: u64,
}

impl World {
    /// A world at `now`.
    pub fn new(now: Instant, hosts: [Host; 2], links: [Link; 2]) -> World {
        World {
            now,
            hosts,
            links,
            oracle: Oracle::default(),
            signals: true,
            recording: None,
            steps: 0,
        }
    }

    /// Runs until nothing is due before `end`, or `done` says so; whether it was done.
    pub fn run_until(&mut self, end: Instant, done: impl Fn(&World) -> bool) -> bool {
        loop {
            self.settle();
            if done(self) {
                return true;
            }
            let Some(next) = self.next_moment() else { return done(self) };
            if next > end {
                self.now = end;
                return false;
            }
            self.now = next.max(self.now);
            self.steps += 1;
        }
    }

    /// Everything that is due now.
    fn settle(&mut self) {
        let now = self.now;
        for side in 0..2 {
            while let Some(octets) = self.links[side].poll(now) {
                self.hosts[1 - side].deliver(octets);
            }
        }
        for side in 0..2 {
            self.hosts[side].run(now);
            while let Some(octets) = self.hosts[side].queue.leaving.pop_front() {
                self.send(side, octets);
            }
        }
    }

    fn send(&mut self, side: usize, octets: Vec<u8>) {
        self.oracle.observe(self.now, &octets);
        if let Some(recording) = &mut self.recording {
            recording.push((self.now, side, octets.clone()));
        }
        let mtu = self.links[side].config.mtu;
        let quote = if octets.len() > usize::from(mtu) { octets.clone() } else { Vec::new() };
        if self.links[side].offer(self.now, octets) == Offered::TooBig && self.signals {
            self.hosts[side].deliver(too_big(&quote, mtu));
            self.hosts[side].run(self.now);
        }
    }

    /// Everything that the hosts have to say to each other now, past the links: nothing is lost, and
    /// no time passes.
    pub fn exchange_at_once(&mut self) {
        let mut quiet = 0;
        while quiet < 2 {
            for side in 0..2 {
                self.hosts[side].run(self.now);
                let leaving = core::mem::take(&mut self.hosts[side].queue.leaving);
                quiet = if leaving.is_empty() { quiet + 1 } else { 0 };
                for octets in leaving {
                    self.oracle.observe(self.now, &octets);
                    self.hosts[1 - side].deliver(octets);
                }
            }
        }
    }

    fn next_moment(&self) -> Option<Instant> {
        let links = self.links.iter().filter_map(Link::next_arrival);
        let hosts = self.hosts.iter().filter_map(Host::next_wake);
        links.chain(hosts).min().map(|at| at.max(self.now))
    }

    /// Moments at which something happened.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Lets time pass until every record is gone, TIME-WAIT included.
    pub fn drain(&mut self, longest: Span) {
        let end = self.now + longest;
        self.run_until(end, |world| world.hosts.iter().all(|host| host.shard.usage().anchors == 0));
    }
}
