//! Peers that are nearly nothing: a device that makes up the packets of as many clients as are wanted.
//!
//! Owns: the clients' side of TCP as far as a client needs it whose packets are never lost: SYN, one request,
//! an acknowledgement for everything, questions when told to; with timestamps, as every client has them today.
//! Twelve octets a client. Must not know: HTTP,
//! WebSockets; what is asked and answered is the [`Script`]'s.

use std::collections::{HashMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use usertcp::{Chain, DeviceFacts, FramePool, Medium, Queue};
use usertcp_device::{RxBatch, TxBatch, WaitHandle};
use usertcp_frame::{ChecksumState, Offload, Packet};

/// The server's address and port.
pub const SERVER: ([u8; 4], u16) = ([10, 0, 0, 1], 80);
/// Clients are at 10.1.0.0 and the addresses behind it, so that no address has many.
const ADDRESSES: u32 = 256;
const FIRST_PORT: u32 = 1024;
/// What is not answered is said again after this.
const PATIENCE: Duration = Duration::from_secs(5);
/// Clients come at this rate, so that those of the last second, which have a control block still, are few.
const OPENS_PER_MS: u128 = 60;
/// Clients that wait for something at one time.
const WINDOW: usize = 1024;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;

/// What clients say and expect.
pub trait Script: Send + 'static {
    /// Sent with the last step of the handshake.
    fn request(&self, client: u32) -> Vec<u8>;
    /// Whether that is its answer.
    fn is_welcome(&self, client: u32, octets: &[u8]) -> bool;
    /// Sent when the client is told to ask. Different for each client.
    fn question(&self, client: u32) -> Vec<u8>;
    /// Whether that is its answer.
    fn is_answer(&self, client: u32, octets: &[u8]) -> bool;
    /// Whether that is what the server may say unasked.
    fn is_push(&self, client: u32, octets: &[u8]) -> bool;
}

/// What the program and the clients tell each other.
#[derive(Debug, Default)]
pub struct Told {
    /// The server listens: clients may come.
    pub open: AtomicBool,
    /// Clients that are to ask.
    pub ask: Mutex<VecDeque<u32>>,
    pub welcomed: AtomicU64,
    pub answered: AtomicU64,
    pub pushed: AtomicU64,
    /// What was said again.
    pub repeated: AtomicU64,
    /// Everything that was not expected: resets, ends, other octets.
    pub wrong: AtomicU64,
}

/// What a client knows: its next sequence number, and the server's.
#[derive(Clone, Copy, Default)]
struct Client {
    next: u32,
    expects: u32,
    /// The server's last timestamp.
    recent: u32,
}

struct Segment {
    client: u32,
    flags: u8,
    payload: Vec<u8>,
}

/// What a client waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Awaits {
    Handshake,
    Welcome,
    Answer,
}

/// All clients, as a device.
pub struct Peers<S> {
    script: S,
    told: Arc<Told>,
    clients: Vec<Client>,
    /// Clients that have sent their SYN.
    begun: u32,
    /// Clients that wait for something, and since when, in that order; and for what.
    asked: VecDeque<(Instant, u32)>,
    waiting: HashMap<u32, Awaits>,
    out: VecDeque<Segment>,
    started: Instant,
}

impl<S: Script> Peers<S> {
    pub fn new(count: u32, script: S, told: Arc<Told>) -> Peers<S> {
        let clients = vec![Client::default(); count as usize];
        Peers {
            script,
            told,
            clients,
            begun: 0,
            asked: VecDeque::new(),
            waiting: HashMap::new(),
            out: VecDeque::new(),
            started: Instant::now(),
        }
    }

    /// As many more as may wait begin, and ask.
    fn stir(&mut self) {
        let open = self.told.open.load(Ordering::Acquire);
        if !open {
            self.started = Instant::now();
        }
        let due = (self.started.elapsed().as_millis() + 20) * OPENS_PER_MS;
        while open
            && u128::from(self.begun) < due
            && self.waiting.len() < WINDOW
            && (self.begun as usize) < self.clients.len()
        {
            let client = self.begun;
            self.begun += 1;
            self.begin(client, Awaits::Handshake);
        }
        while self.waiting.len() < WINDOW {
            let Some(client) = self.told.ask.lock().ok().and_then(|mut ask| ask.pop_front()) else {
                break;
            };
            self.begin(client, Awaits::Answer);
        }
        self.repeat();
    }

    /// Says what is answered by what the client awaits then.
    fn begin(&mut self, client: u32, awaits: Awaits) {
        self.waiting.insert(client, awaits);
        self.asked.push_back((Instant::now(), client));
        let (flags, payload) = match awaits {
            Awaits::Handshake => (SYN, Vec::new()),
            Awaits::Welcome => (ACK | PSH, self.script.request(client)),
            Awaits::Answer => (ACK | PSH, self.script.question(client)),
        };
        if let (Awaits::Handshake, Some(known)) = (awaits, self.clients.get_mut(client as usize)) {
            known.next = first(client);
        }
        self.say(client, flags, payload);
    }

    /// What was not answered in a second is said again: the server may drop what it has no room for.
    fn repeat(&mut self) {
        while let Some((since, client)) = self.asked.front().copied() {
            let Some(awaits) = self.waiting.get(&client).copied() else {
                self.asked.pop_front();
                continue;
            };
            if since.elapsed() < PATIENCE {
                return;
            }
            self.asked.pop_front();
            let said = match awaits {
                Awaits::Handshake => 0,
                Awaits::Welcome => self.script.request(client).len(),
                Awaits::Answer => self.script.question(client).len(),
            };
            if let Some(known) = self.clients.get_mut(client as usize) {
                known.next = known.next.wrapping_sub(said as u32);
            }
            self.told.repeated.fetch_add(1, Ordering::Relaxed);
            self.begin(client, awaits);
        }
    }

    fn say(&mut self, client: u32, flags: u8, payload: Vec<u8>) {
        self.out.push_back(Segment { client, flags, payload });
    }

    /// The packet of a segment, numbered as it leaves.
    fn packet(&mut self, segment: &Segment) -> Option<Vec<u8>> {
        let client = self.clients.get_mut(segment.client as usize)?;
        // MSS, SACK, window scale 7, timestamps.
        let mut options = match segment.flags & SYN {
            0 => vec![1, 1, 8, 10],
            _ => vec![2, 4, 5, 0xB4, 3, 3, 7, 1, 1, 1, 4, 2, 1, 1, 8, 10],
        };
        options.extend((self.started.elapsed().as_millis() as u32 + 1).to_be_bytes());
        options.extend(if segment.flags & ACK == 0 { 0 } else { client.recent }.to_be_bytes());
        let mut packet = Vec::with_capacity(76 + segment.payload.len());
        let total = 40 + options.len() + segment.payload.len();
        let (address, port) = place(segment.client);
        packet.extend([0x45, 0]);
        packet.extend((total as u16).to_be_bytes());
        packet.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        packet.extend(address.octets());
        packet.extend(SERVER.0);
        let sum = checksum(&packet);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet.extend(port.to_be_bytes());
        packet.extend(SERVER.1.to_be_bytes());
        packet.extend(client.next.to_be_bytes());
        let ack = if segment.flags & ACK != 0 { client.expects } else { 0 };
        packet.extend(ack.to_be_bytes());
        packet.extend([
            ((20 + options.len()) as u8 / 4) << 4,
            segment.flags,
            0xFF,
            0xFF,
            0,
            0,
            0,
            0,
        ]);
        packet.extend(&options);
        packet.extend(&segment.payload);
        let counted = u32::from(segment.flags & (SYN | FIN) != 0);
        client.next = client.next.wrapping_add(segment.payload.len() as u32 + counted);
        Some(packet)
    }

    /// A packet of the server.
    fn hear(&mut self, octets: &[u8]) -> Option<()> {
        let header = usize::from(octets.first()? & 15) * 4;
        let address = u32::from_be_bytes(octets.get(16..20)?.try_into().ok()?);
        let tcp = octets.get(header..)?;
        let port = u32::from(u16::from_be_bytes(tcp.get(2..4)?.try_into().ok()?));
        let seq = u32::from_be_bytes(tcp.get(4..8)?.try_into().ok()?);
        let offset = usize::from(tcp.get(12)? >> 4) * 4;
        let (flags, payload) = (*tcp.get(13)?, tcp.get(offset..)?);
        let time = tcp.get(20..offset).and_then(timestamp);
        let index = (port - FIRST_PORT) * ADDRESSES + (address & (ADDRESSES - 1));
        let client = self.clients.get_mut(index as usize)?;
        client.recent = time.unwrap_or(client.recent);
        if flags & RST != 0 {
            self.told.wrong.fetch_add(1, Ordering::Relaxed);
            self.waiting.remove(&index);
        } else if flags & SYN != 0 {
            client.expects = seq.wrapping_add(1);
            client.next = first(index).wrapping_add(1);
            self.begin(index, Awaits::Welcome);
        } else if seq != client.expects {
            // A probe, or a copy of what has come: the acknowledgement says what is next.
            self.say(index, ACK, Vec::new());
        } else if !payload.is_empty() {
            client.expects = seq.wrapping_add(payload.len() as u32);
            let heard = payload.to_vec();
            self.say(index, ACK, Vec::new());
            self.judge(index, &heard);
        }
        if flags & FIN != 0 && flags & RST == 0 {
            let client = self.clients.get_mut(index as usize)?;
            client.expects = client.expects.wrapping_add(1);
            self.told.wrong.fetch_add(1, Ordering::Relaxed);
            self.say(index, ACK | FIN, Vec::new());
        }
        Some(())
    }

    fn judge(&mut self, client: u32, octets: &[u8]) {
        let (told, script) = (&self.told, &self.script);
        let (count, was) = if script.is_answer(client, octets) {
            (&told.answered, Some(Awaits::Answer))
        } else if script.is_welcome(client, octets) {
            (&told.welcomed, Some(Awaits::Welcome))
        } else if script.is_push(client, octets) {
            (&told.pushed, None)
        } else {
            (&told.wrong, None)
        };
        if was.is_some() && self.waiting.get(&client).copied() == was {
            self.waiting.remove(&client);
        }
        count.fetch_add(1, Ordering::Relaxed);
    }
}

impl<S: Script> Queue for Peers<S> {
    fn facts(&self) -> DeviceFacts {
        let plain = DeviceFacts::plain(Medium::Ip, 1500);
        // Nothing can damage a packet here.
        DeviceFacts { checksum_offload: true, ..plain }
    }

    fn receive(&mut self, pool: &FramePool, into: &mut RxBatch) -> usize {
        self.stir();
        let mut count = 0;
        while !into.is_full() {
            let Some(segment) = self.out.pop_front() else { break };
            let octets = self.packet(&segment).unwrap_or_default();
            let Some(slice) = pool.copy_of(&octets, 0) else { continue };
            let offload = Offload { checksum: ChecksumState::Verified, ..Offload::default() };
            let packet = Packet { offload, octets: Chain::from(slice) };
            count += usize::from(into.push(packet).is_ok());
        }
        count
    }

    fn transmit(&mut self, from: &mut TxBatch) -> usize {
        let (mut count, mut octets) = (0, Vec::new());
        while let Some(packet) = from.pop() {
            octets.resize(packet.len(), 0);
            packet.octets.copy_to(0, &mut octets);
            self.hear(&octets);
            count += 1;
        }
        count
    }

    fn wait_handle(&self) -> Option<WaitHandle> {
        // Whoever tells clients to ask wakes the stack.
        None
    }

    fn has_waiting(&self) -> bool {
        !self.out.is_empty()
    }
}

/// The timestamp among options.
fn timestamp(mut options: &[u8]) -> Option<u32> {
    loop {
        let length = match options {
            [8, 10, value @ ..] => {
                return Some(u32::from_be_bytes(value.get(..4)?.try_into().ok()?));
            }
            [1, ..] => 1,
            [0, ..] | [] => return None,
            [_, length, ..] => usize::from(*length).max(1),
            [_] => return None,
        };
        options = options.get(length..)?;
    }
}

/// A client's initial sequence number.
fn first(client: u32) -> u32 {
    client.wrapping_mul(0x9E37_79B1)
}

/// Where a client is.
fn place(client: u32) -> (Ipv4Addr, u16) {
    let address = u32::from(Ipv4Addr::new(10, 1, 0, 0)) + client % ADDRESSES;
    (Ipv4Addr::from(address), (FIRST_PORT + client / ADDRESSES) as u16)
}

/// So many clients have ports.
pub const MOST: u32 = (65_536 - FIRST_PORT) * ADDRESSES;

fn checksum(header: &[u8]) -> u16 {
    let words = header.chunks_exact(2).map(|two| u32::from(u16::from_be_bytes([two[0], two[1]])));
    let sum = words.sum::<u32>();
    let folded = (sum & 0xFFFF) + (sum >> 16);
    !((folded & 0xFFFF) + (folded >> 16)) as u16
}

/// A stack whose network is these clients.
pub fn clients_of(
    builder: usertcp::Builder,
    count: u32,
    script: impl Script,
    told: &Arc<Told>,
) -> usertcp::Builder {
    let told = Arc::clone(told);
    builder.queue(move || Ok(Peers::new(count, script, told)))
}
