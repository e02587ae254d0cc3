//! smoltcp with as many sockets, and the same peers. Owns: its interface, sockets and application.
//! Must not know: what the figures are compared with.

use crate::idle::figures::Figures;
use crate::idle::held::Held;
use crate::idle::packet::LARGEST;
use crate::idle::peers::{MESSAGE, Peers, reply};
use crate::idle::site::cpu_nanos;
use crate::idle::tuple::{Family, SERVER_PORT};
use crate::smoltcp_peer::{RingEnd, interface, ring, socket};
use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, RxToken, TxToken};
use smoltcp::socket::tcp::Socket;
use smoltcp::time::Instant;
use usertcp_base::Instant as Moment;

/// Packets under way; every one costs a look at all sockets anyway.
const BURST: u32 = 64;
/// Each request costs a look at all sockets, twice.
const MOST_REQUESTS: u32 = 2000;

struct Server {
    interface: Interface,
    sockets: SocketSet<'static>,
    handles: Vec<SocketHandle>,
    device: RingEnd,
    far: RingEnd,
    peers: Peers,
    now: u64,
    cpu_nanos: u64,
}

/// Memory of `count` established sockets, and the cost of requests to them.
pub fn run(count: u32, requests: u32) -> Result<Figures, String> {
    let requests = requests.min(MOST_REQUESTS);
    let peers = Peers::new(Family::V4, count, requests, false);
    let before = Held::now();
    let (device, far) = ring(1500, 4 * BURST as usize);
    let mut server = Server::new(count, device, far, peers)?;
    let cpu = server.cpu_nanos;
    for first in (0..count).step_by(BURST as usize) {
        for number in first..(first + BURST).min(count) {
            server.put(|peers, now, out| peers.syn(now, number, out))?;
        }
        server.settle()?;
    }
    if server.peers.opened != count {
        return Err(format!("smoltcp: {} of {count} opened", server.peers.opened));
    }
    let held = Held::now().since(&before);
    let mut figures = Figures::default();
    figures.set("opened", f64::from(count));
    figures.set("open_cpu_us", (server.cpu_nanos - cpu) as f64 / 1e3 / f64::from(count));
    figures.set("resident_each", held.resident as f64 / f64::from(count));
    figures.set("heap_each", held.heap as f64 / f64::from(count));
    if requests > 0 {
        server.ask(requests, &mut figures)?;
    }
    Ok(figures)
}

impl Server {
    fn new(count: u32, mut device: RingEnd, far: RingEnd, peers: Peers) -> Result<Server, String> {
        let std::net::IpAddr::V4(address) = Family::V4.server() else {
            return Err("IPv4 has addresses of IPv4".into());
        };
        let interface = interface(&mut device, address.into())?;
        let mut sockets = SocketSet::new(Vec::new());
        let mut handles = Vec::new();
        for _ in 0..count {
            // The smallest buffers that take a message.
            let mut socket = socket(MESSAGE);
            socket.listen(SERVER_PORT).map_err(|error| format!("listening: {error}"))?;
            handles.push(sockets.add(socket));
        }
        Ok(Server { interface, sockets, handles, device, far, peers, now: 1, cpu_nanos: 0 })
    }

    fn moment(&self) -> Moment {
        Moment::from_millis(self.now)
    }

    fn put(
        &mut self,
        write: impl FnOnce(&Peers, Moment, &mut [u8; LARGEST]) -> usize,
    ) -> Result<(), String> {
        let mut octets = [0; LARGEST];
        let count = write(&self.peers, self.moment(), &mut octets);
        self.deliver(&octets[..count])
    }

    fn deliver(&mut self, octets: &[u8]) -> Result<(), String> {
        let token = self.far.transmit(Instant::from_millis(self.now as i64));
        let token = token.ok_or("no room for a peer's packet")?;
        token.consume(octets.len(), |out| out.copy_from_slice(octets));
        Ok(())
    }

    /// Both sides, until nothing moves.
    fn settle(&mut self) -> Result<(), String> {
        loop {
            let now = Instant::from_millis(self.now as i64);
            let began = cpu_nanos();
            self.interface.poll(now, &mut self.device, &mut self.sockets);
            self.serve();
            self.interface.poll(now, &mut self.device, &mut self.sockets);
            self.cpu_nanos += cpu_nanos() - began;
            let mut moved = false;
            while let Some((packet, _)) = self.far.receive(now) {
                moved = true;
                let (moment, peers) = (self.moment(), &mut self.peers);
                let mut answer = [0; LARGEST];
                let count = packet.consume(|octets| peers.answer(moment, octets, &mut answer));
                if let Some(count) = count {
                    self.deliver(&answer[..count])?;
                }
            }
            if let Some(problem) = self.peers.problem.take() {
                return Err(format!("smoltcp: {problem}"));
            }
            if !moved {
                self.now += 1;
                return Ok(());
            }
        }
    }

    fn serve(&mut self) {
        for handle in &self.handles {
            let socket = self.sockets.get_mut::<Socket>(*handle);
            if socket.can_recv() {
                let mut request = [0; MESSAGE];
                if socket.recv_slice(&mut request) == Ok(MESSAGE) {
                    // A reply that finds no room is missed by its peer.
                    let _ = socket.send_slice(&reply(request));
                }
            }
        }
    }

    fn ask(&mut self, requests: u32, figures: &mut Figures) -> Result<(), String> {
        let places = self.peers.asking();
        let cpu = self.cpu_nanos;
        let mut sent = 0;
        while sent < requests {
            let first = sent % places;
            let burst = BURST.min(places - first).min(requests - sent);
            for place in first..first + burst {
                self.put(|peers, now, out| peers.request(now, place, out))?;
            }
            self.settle()?;
            sent += burst;
        }
        if self.peers.answered != u64::from(sent) {
            return Err(format!("smoltcp: {} of {sent} answered", self.peers.answered));
        }
        figures.set("requests", f64::from(sent));
        figures.set("request_us", (self.cpu_nanos - cpu) as f64 / 1e3 / f64::from(sent));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_and_answers() {
        let figures = run(200, 300).unwrap();
        assert_eq!((figures.get("opened"), figures.get("requests")), (Some(200.0), Some(300.0)));
        assert!(figures.get("heap_each").unwrap() > 400.0, "{figures:?}");
    }
}
