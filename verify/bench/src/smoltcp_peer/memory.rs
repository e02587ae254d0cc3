//! Two smoltcp interfaces on one thread, and the applications on them.
//! Owns: what the applications do. Must not know: what the figures are compared with.
//!
//! smoltcp has no events: each application asks each of its sockets in turn, as its users do.

use super::ring::{RingEnd, ring};
use super::{interface, socket};
use crate::machine;
use crate::options::PeerLoad;
use crate::run::Run;
use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket, State};
use smoltcp::time::Instant;
use smoltcp::wire::IpAddress;
use std::time;

const SERVER: IpAddress = IpAddress::v4(10, 0, 0, 2);
const PORT: u16 = 5000;
const MESSAGE: usize = 64;
/// Octets the applications read or write at a time.
const BUFFER: usize = 64 << 10;
/// Octets of each of a socket's two buffers: more is slower, as it leaves the cache.
const BULK_BUFFER: usize = 64 << 10;
const SMALL_BUFFER: usize = 1024;

struct End {
    device: RingEnd,
    interface: Interface,
    sockets: SocketSet<'static>,
    handles: Vec<SocketHandle>,
}

impl End {
    fn new(device: RingEnd, host: u8, sockets: usize, octets: usize) -> Result<End, String> {
        let mut device = device;
        let interface = interface(&mut device, IpAddress::v4(10, 0, 0, host))?;
        let mut set = SocketSet::new(Vec::with_capacity(sockets));
        let handles = (0..sockets).map(|_| set.add(socket(octets))).collect();
        Ok(End { device, interface, sockets: set, handles })
    }

    fn poll(&mut self, now: Instant) {
        self.interface.poll(now, &mut self.device, &mut self.sockets);
    }
}

/// What a client does next on a short connection.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Ask,
    Answer,
    End,
}

struct Load {
    kind: PeerLoad,
    client: End,
    server: End,
    stages: Vec<Stage>,
    asked: Vec<bool>,
    port: u16,
    buffer: Vec<u8>,
    octets: u64,
    messages: u64,
}

/// Measures one load.
pub fn run(kind: PeerLoad, mtu: usize, connections: usize, seconds: f64) -> Result<Run, String> {
    let mut load = Load::start(kind, mtu, connections)?;
    load.run_for(seconds / 4.0, connections)?;
    let (octets, messages, packets) = (load.octets, load.messages, load.packets());
    let (began, cpu) = (time::Instant::now(), machine::thread_cpu_seconds());
    load.run_for(seconds, connections)?;
    let cpu = machine::thread_cpu_seconds() - cpu;
    let octets = (load.octets - octets) as f64;
    let messages = (load.messages - messages) as f64;
    Ok(Run {
        seconds: began.elapsed().as_secs_f64(),
        octets,
        operations: if kind == PeerLoad::Bulk { (octets / 1448.0).floor() } else { messages },
        server_cpu_seconds: cpu,
        packets: Some((load.packets() - packets) as f64),
        ..Run::default()
    })
}

/// Does so many operations and no more; how many it was.
pub fn run_fixed(
    kind: PeerLoad,
    mtu: usize,
    connections: usize,
    count: u64,
) -> Result<u64, String> {
    let mut load = Load::start(kind, mtu, connections)?;
    while load.operations() < count {
        load.turn()?;
    }
    Ok(load.operations())
}

impl Load {
    fn operations(&self) -> u64 {
        if self.kind == PeerLoad::Bulk { self.octets / 1448 } else { self.messages }
    }

    fn start(kind: PeerLoad, mtu: usize, connections: usize) -> Result<Load, String> {
        let octets = if kind == PeerLoad::Bulk { BULK_BUFFER } else { SMALL_BUFFER };
        let slots = if mtu > 9000 { 24 } else { 256 }.max(2 * connections + 64);
        let (near, far) = ring(mtu, slots);
        let listeners = if kind == PeerLoad::Short { 2 * connections } else { connections };
        let mut load = Load {
            kind,
            client: End::new(near, 1, connections, octets)?,
            server: End::new(far, 2, listeners, octets)?,
            stages: vec![Stage::Ask; connections],
            asked: vec![false; connections],
            port: 10_000,
            buffer: vec![0x5A; BUFFER],
            octets: 0,
            messages: 0,
        };
        for handle in &load.server.handles {
            let socket = load.server.sockets.get_mut::<Socket>(*handle);
            socket.listen(PORT).map_err(|error| format!("listening: {error}"))?;
        }
        for at in 0..connections {
            load.dial(load.client.handles[at])?;
            load.poll();
            load.poll();
        }
        for _ in 0..50 {
            load.poll();
        }
        let open = |handle: &&SocketHandle| load.client.sockets.get::<Socket>(**handle).may_send();
        let open = load.client.handles.iter().filter(open).count();
        if open == connections { Ok(load) } else { Err(format!("{open} of {connections} opened")) }
    }

    fn packets(&self) -> usize {
        self.client.device.sent() + self.server.device.sent()
    }

    fn dial(&mut self, handle: SocketHandle) -> Result<(), String> {
        self.port = if self.port > 60_000 { 10_000 } else { self.port + 1 };
        let socket = self.client.sockets.get_mut::<Socket>(handle);
        socket
            .connect(self.client.interface.context(), (SERVER, PORT), self.port)
            .map_err(|error| format!("connecting: {error}"))
    }

    /// Both ends, at one reading of the clock.
    fn poll(&mut self) {
        let now = Instant::now();
        self.client.poll(now);
        self.server.poll(now);
    }

    /// For a time, and until each connection has had its turn.
    fn run_for(&mut self, seconds: f64, connections: usize) -> Result<(), String> {
        let end = time::Instant::now() + time::Duration::from_secs_f64(seconds);
        let turns = if connections > 50 { 1 } else { 16 };
        let enough = self.messages + connections as u64;
        let all = |load: &Load| load.kind == PeerLoad::Bulk || load.messages >= enough;
        while time::Instant::now() < end || !all(self) {
            for _ in 0..turns {
                self.turn()?;
            }
        }
        Ok(())
    }

    fn turn(&mut self) -> Result<(), String> {
        match self.kind {
            PeerLoad::Bulk => self.fill(),
            PeerLoad::Echo => self.ask(),
            PeerLoad::Short => self.converse()?,
        }
        self.poll();
        match self.kind {
            PeerLoad::Bulk => self.drain(),
            PeerLoad::Echo => self.answer(),
            PeerLoad::Short => self.answer_and_close()?,
        }
        Ok(())
    }

    fn fill(&mut self) {
        for handle in &self.client.handles {
            let socket = self.client.sockets.get_mut::<Socket>(*handle);
            while socket.can_send() && socket.send_slice(&self.buffer).is_ok_and(|taken| taken > 0)
            {
            }
        }
    }

    fn drain(&mut self) {
        for handle in &self.server.handles {
            let socket = self.server.sockets.get_mut::<Socket>(*handle);
            while socket.can_recv() {
                self.octets += socket.recv_slice(&mut self.buffer).unwrap_or(0) as u64;
            }
        }
    }

    fn ask(&mut self) {
        for (at, handle) in self.client.handles.iter().enumerate() {
            let socket = self.client.sockets.get_mut::<Socket>(*handle);
            if socket.can_recv() {
                let _ = socket.recv(look);
                self.messages += 1;
            } else if self.asked[at] {
                continue;
            }
            self.asked[at] = true;
            let _ = socket.send_slice(&self.buffer[..MESSAGE]);
        }
    }

    fn answer(&mut self) {
        for handle in &self.server.handles {
            let socket = self.server.sockets.get_mut::<Socket>(*handle);
            if socket.can_recv() {
                let octets = socket.recv_slice(&mut self.buffer).unwrap_or(0);
                self.octets += octets as u64;
                let _ = socket.send_slice(&self.buffer[..octets]);
            }
        }
    }

    fn converse(&mut self) -> Result<(), String> {
        for at in 0..self.client.handles.len() {
            let handle = self.client.handles[at];
            let socket = self.client.sockets.get_mut::<Socket>(handle);
            match self.stages[at] {
                Stage::Ask if socket.may_send() => {
                    let _ = socket.send_slice(&self.buffer[..MESSAGE]);
                    self.stages[at] = Stage::Answer;
                }
                Stage::Answer if socket.can_recv() => {
                    let _ = socket.recv(look);
                    self.stages[at] = Stage::End;
                }
                Stage::End if !socket.is_open() => {
                    self.messages += 1;
                    self.stages[at] = Stage::Ask;
                    self.dial(handle)?;
                }
                Stage::End if !socket.may_recv() => socket.close(),
                _ => {}
            }
        }
        Ok(())
    }

    fn answer_and_close(&mut self) -> Result<(), String> {
        for handle in &self.server.handles {
            let socket = self.server.sockets.get_mut::<Socket>(*handle);
            if socket.can_recv() {
                let octets = socket.recv_slice(&mut self.buffer).unwrap_or(0);
                self.octets += octets as u64;
                let _ = socket.send_slice(&self.buffer[..octets]);
                socket.close();
            } else if socket.state() == State::TimeWait || !socket.is_open() {
                // Waiting out TIME-WAIT would need a socket for each connection of a minute.
                socket.abort();
                socket.listen(PORT).map_err(|error| format!("listening: {error}"))?;
            }
        }
        Ok(())
    }
}

/// Reads an answer where it lies, as usertcp's client does: all of it is done with.
fn look(octets: &mut [u8]) -> (usize, ()) {
    (octets.len(), ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_work_is_all_done() {
        for kind in [PeerLoad::Bulk, PeerLoad::Echo, PeerLoad::Short] {
            let done = run_fixed(kind, 1500, 2, 500).unwrap();
            assert!((500..600).contains(&done), "{kind:?}: {done}");
        }
    }

    #[test]
    fn it_moves_octets_and_messages() {
        for kind in [PeerLoad::Bulk, PeerLoad::Echo, PeerLoad::Short] {
            let run = run(kind, 1500, 3, 0.05).unwrap();
            assert!(run.octets > 0.0 && run.operations > 0.0, "{kind:?}: {run:?}");
            if kind != PeerLoad::Bulk {
                let apart = (run.octets - run.operations * 64.0).abs();
                assert!(apart <= 6.0 * 64.0, "{kind:?}: {run:?}");
            }
        }
    }
}
