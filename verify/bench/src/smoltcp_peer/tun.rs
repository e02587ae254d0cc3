//! smoltcp as a server on a TUN device. Owns: the four services of kbench's protocol.
//! Must not know: who the client is.

use super::{interface, socket};
use crate::Outcome;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::phy::{self, Medium, TunTapInterface};
use smoltcp::socket::tcp::{Socket, State};
use smoltcp::time::Instant;
use smoltcp::wire::IpAddress;
use std::os::fd::AsRawFd;

const BULK_BUFFER: usize = 256 << 10;
const SMALL_BUFFER: usize = 4096;
/// Sockets that wait on each of the two bulk ports.
const BULK_SOCKETS: usize = 16;

/// Serves until it is killed: 5001 reads, 5002 writes, 5003 echoes, 5004 echoes and closes.
pub fn run(device: &str, sockets: usize) -> Result<Outcome, String> {
    let mut tun = TunTapInterface::new(device, Medium::Ip).map_err(|error| error.to_string())?;
    let file = tun.as_raw_fd();
    let mut interface = interface(&mut tun, IpAddress::v4(10, 8, 0, 2))?;
    let mut set = SocketSet::new(Vec::new());
    let mut services: Vec<(SocketHandle, u16)> = Vec::new();
    for port in 5001..=5004 {
        let (count, octets) =
            if port < 5003 { (BULK_SOCKETS, BULK_BUFFER) } else { (sockets, SMALL_BUFFER) };
        for _ in 0..count {
            let handle = set.add(socket(octets));
            listen(set.get_mut(handle), port);
            services.push((handle, port));
        }
    }
    let mut buffer = vec![1; 64 << 10];
    loop {
        interface.poll(Instant::now(), &mut tun, &mut set);
        let mut active = false;
        for (handle, port) in &services {
            let socket = set.get_mut::<Socket>(*handle);
            active |= serve(socket, *port, &mut buffer);
            match socket.state() {
                State::CloseWait => {
                    socket.close();
                    active = true;
                }
                State::TimeWait => {
                    socket.abort();
                    listen(socket, *port);
                    active = true;
                }
                State::Closed => listen(socket, *port),
                _ => {}
            }
        }
        if !active {
            // An interrupted wait is a short one.
            let _ = phy::wait(file, interface.poll_delay(Instant::now(), &set));
        }
    }
}

fn listen(socket: &mut Socket<'_>, port: u16) {
    // Refused only when it is open, and then it need not.
    let _ = socket.listen(port);
}

/// Whether it did anything.
fn serve(socket: &mut Socket<'_>, port: u16, buffer: &mut [u8]) -> bool {
    let mut active = false;
    match port {
        5001 => {
            while socket.can_recv() && socket.recv_slice(buffer).is_ok_and(|octets| octets > 0) {
                active = true;
            }
        }
        5002 => {
            while socket.can_send() && socket.send_slice(buffer).is_ok_and(|octets| octets > 0) {
                active = true;
            }
        }
        _ if socket.can_recv() => {
            let octets = socket.recv_slice(buffer).unwrap_or(0);
            let _ = socket.send_slice(&buffer[..octets]);
            if port == 5004 {
                socket.close();
            }
            active = true;
        }
        _ => {}
    }
    active
}
