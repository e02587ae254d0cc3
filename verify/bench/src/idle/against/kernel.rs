//! The kernel's sockets, with epoll, in a namespace of their own. Owns: how many processes hold them, and
//! which of the kernel's caches count.
//! Must not know: what the figures are compared with.
//!
//! A process may hold 20,000 files here, so there are several, each with both ends of its connections. The
//! server's part of a request (waiting, reading, writing) is timed, not the client's; each includes what
//! the kernel does for the other end on loopback.

use crate::idle::figures::Figures;
use crate::idle::held::{Held, available_octets};
use crate::idle::peers::{MESSAGE, reply};
use crate::idle::site::cpu_nanos;
use crate::idle::tuple::Shuffle;
use crate::kernel::{Epoll, own_network};
use crate::machine;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Caches whose records come with a socket that epoll watches.
const CACHES: [&str; 10] = [
    "TCP",
    "sock_inode_cache",
    "filp",
    "dentry",
    "eventpoll_epi",
    "eventpoll_pwq",
    "ep_head",
    "lsm_file_cache",
    "lsm_inode_cache",
    "tcp_bind_bucket",
];
/// Requests under way at one time.
const BURST: u32 = 256;
/// Files that a process needs for itself.
const SPARE: u64 = 200;
/// What both ends of a connection may take, with all that comes with them.
const BOTH_ENDS_OCTETS: u64 = 12_000;
/// Connections that a listener's queue holds.
const BACKLOG_BURST: u32 = 64;

/// Octets of those caches in use.
fn slab_octets() -> Result<u64, String> {
    let text =
        fs::read_to_string("/proc/slabinfo").map_err(|error| format!("slabinfo: {error}"))?;
    Ok(slab_sum(&text))
}

fn slab_sum(text: &str) -> u64 {
    let octets = |line: &str| {
        let mut words = line.split_whitespace();
        words.next().filter(|name| CACHES.contains(name))?;
        let active: u64 = words.next()?.parse().ok()?;
        let size: u64 = words.nth(1)?.parse().ok()?;
        Some(active * size)
    };
    text.lines().filter_map(octets).sum()
}

/// Memory of `count` connections, per end, and the cost of requests to them.
pub fn run(count: u32, requests: u32) -> Result<Figures, String> {
    if available_octets() < u64::from(count) * BOTH_ENDS_OCTETS + (2 << 30) {
        return Err(format!("the machine has no memory for {count} connections of the kernel"));
    }
    own_network()?;
    let each = ((machine::file_limit().min(20_000) - SPARE) / 2) as u32;
    let before = slab_octets()?;
    let mut holders = Vec::new();
    let mut left = count;
    while left > 0 && !machine::interrupted() {
        let part = left.min(each);
        holders.push(Holder::start(holders.len() as u32, part)?);
        left -= part;
    }
    let mut user = 0;
    for holder in &mut holders {
        user += holder.hear()?;
    }
    let ends = f64::from(2 * count);
    let mut figures = Figures::default();
    figures.set("opened", f64::from(count - left));
    figures.set("slab_each", slab_octets()?.saturating_sub(before) as f64 / ends);
    figures.set("user_each", user as f64 / ends);
    let (mut nanos, mut asked) = (0, 0);
    let part = requests / holders.len().max(1) as u32;
    for holder in &mut holders {
        if part > 0 && !machine::interrupted() {
            holder.say(part)?;
            nanos += holder.hear()?;
            asked += part;
        }
    }
    if asked > 0 {
        figures.set("requests", f64::from(asked));
        figures.set("request_us", nanos as f64 / 1e3 / f64::from(asked));
    }
    Ok(figures)
}

/// A process that holds some connections.
struct Holder {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Holder {
    fn start(index: u32, connections: u32) -> Result<Holder, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut process = Command::new(program)
            .args(["idle", "kernel-holder", &index.to_string(), &connections.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("a process of kernel sockets: {error}"))?;
        let pipes = process.stdin.take().zip(process.stdout.take());
        let (input, output) = pipes.ok_or("no pipes to a process of kernel sockets")?;
        Ok(Holder { process, input, output: BufReader::new(output) })
    }

    fn say(&mut self, number: u32) -> Result<(), String> {
        writeln!(self.input, "{number}")
            .map_err(|error| format!("a process of kernel sockets: {error}"))
    }

    fn hear(&mut self) -> Result<u64, String> {
        let mut line = String::new();
        self.output.read_line(&mut line).map_err(|error| error.to_string())?;
        line.trim().parse().map_err(|_| "a process of kernel sockets ended".to_owned())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // Its connections go with it; that it is gone already is fine.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Is one of those processes: says what it grew by, then for each number it reads does as many requests
/// and says the server's CPU time for them, in nanoseconds.
pub fn hold(mut words: impl Iterator<Item = String>) -> Result<(), String> {
    let mut number = || words.next().and_then(|word| word.parse::<u32>().ok());
    let (index, count) = number().zip(number()).ok_or("kernel-holder INDEX CONNECTIONS")?;
    let failed = |error: std::io::Error| format!("kernel sockets: {error}");
    let before = Held::now();
    let address = Ipv4Addr::new(127, 0, 1, 1 + index as u8);
    let listener = TcpListener::bind((address, 7001)).map_err(failed)?;
    let epoll = Epoll::new().map_err(failed)?;
    let (mut clients, mut servers) = (Vec::new(), Vec::new());
    while clients.len() < count as usize {
        let burst = BACKLOG_BURST.min(count - clients.len() as u32);
        for _ in 0..burst {
            clients.push(TcpStream::connect((address, 7001)).map_err(failed)?);
        }
        for _ in 0..burst {
            let (stream, _) = listener.accept().map_err(failed)?;
            stream.set_nodelay(true).map_err(failed)?;
            epoll.watch(&stream, servers.len() as u64).map_err(failed)?;
            servers.push(stream);
        }
    }
    println!("{}", Held::now().since(&before).resident);
    let order = Shuffle::new(count, u64::from(index));
    for line in std::io::stdin().lines() {
        let wanted: u32 = line.map_err(failed)?.trim().parse().map_err(|_| "not a number")?;
        let mut nanos = 0;
        for first in (0..wanted).step_by(BURST as usize) {
            let burst = first..(first + BURST.min(count)).min(wanted);
            let asked: Vec<usize> = burst.map(|at| order.at(at % count) as usize).collect();
            nanos += ask(&epoll, &mut clients, &mut servers, &asked).map_err(failed)?;
        }
        println!("{nanos}");
    }
    Ok(())
}

/// One request by each of `asked`. CPU time of the server.
fn ask(
    epoll: &Epoll,
    clients: &mut [TcpStream],
    servers: &mut [TcpStream],
    asked: &[usize],
) -> std::io::Result<u64> {
    let request = |at: usize| -> [u8; MESSAGE] { std::array::from_fn(|n| (at + n) as u8) };
    for at in asked {
        clients[*at].write_all(&request(*at))?;
    }
    let began = cpu_nanos();
    let mut left = asked.len();
    while left > 0 {
        for at in epoll.wait()? {
            let mut octets = [0; MESSAGE];
            servers[at as usize].read_exact(&mut octets)?;
            servers[at as usize].write_all(&reply(octets))?;
            left -= 1;
        }
    }
    let taken = cpu_nanos() - began;
    for at in asked {
        let mut octets = [0; MESSAGE];
        clients[*at].read_exact(&mut octets)?;
        if octets != reply(request(*at)) {
            return Err(std::io::Error::other("a wrong reply"));
        }
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_that_count_are_summed() {
        let text = "slabinfo - version: 2.1\n# name <active_objs> <num_objs> <objsize>\n\
                    TCP 10 12 2368 13 8 : tunables\nTCPv6 5 5 2500 1\nfilp 4 8 192 1\nother 9 9 9 9\n";
        assert_eq!(slab_sum(text), 10 * 2368 + 4 * 192);
    }
}
