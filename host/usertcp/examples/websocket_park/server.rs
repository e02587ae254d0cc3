//! A WebSocket server that sends back what it is sent, and can speak to any client unasked. A client that is
//! silent has no task here and no WebSocket object: a number, and where its stream is parked.

use crate::frames::{self, Fails, Handshake, Inbound, Message};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use usertcp::{IdleStreams, Parked, Resumed, TcpListener, TcpStream};

/// How long a handshake, or a message that has begun, may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// All clients.
pub struct Clients {
    pub idle: IdleStreams,
    /// By a client's number, which is its stream's tag.
    parked: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    places: Vec<Option<Parked>>,
    free: Vec<u32>,
}

impl Clients {
    pub fn new(idle: IdleStreams) -> Clients {
        Clients { idle, parked: Mutex::default() }
    }

    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn number(&self) -> u32 {
        let mut table = self.table();
        table.free.pop().unwrap_or_else(|| {
            table.places.push(None);
            table.places.len() as u32 - 1
        })
    }

    fn leave(&self, number: u32) {
        let mut table = self.table();
        table.free.push(number);
        if let Some(place) = table.places.get_mut(number as usize) {
            *place = None;
        }
    }

    /// Says something to a client that is silent. False: it is not, at this moment.
    pub async fn push(self: &Arc<Self>, number: u32, words: &str) -> io::Result<bool> {
        let place = self.table().places.get(number as usize).copied().flatten();
        let Some(parked) = place else { return Ok(false) };
        let Some(Resumed { mut stream, tag }) = self.idle.take(parked).await? else {
            return Ok(false);
        };
        stream.write_all(&frames::text(words)).await?;
        self.rest(stream, tag);
        Ok(true)
    }

    /// The stream rests, until there is something to read.
    fn rest(self: &Arc<Self>, stream: TcpStream, number: u32) {
        // The lock is held so that a client that comes back at once finds the table written.
        let mut table = self.table();
        match self.idle.park(stream, number) {
            Ok(parked) => {
                if let Some(place) = table.places.get_mut(number as usize) {
                    *place = Some(parked);
                }
            }
            Err(error) => {
                drop(table);
                // Closed by the peer, or over; a read says which.
                tokio::spawn(Arc::clone(self).serve(error.stream, number, Inbound::default()));
            }
        }
    }

    async fn serve(self: Arc<Self>, mut stream: TcpStream, number: u32, mut inbound: Inbound) {
        match converse(&mut stream, &mut inbound).await {
            Ok(true) => self.rest(stream, number),
            Ok(false) | Err(_) => self.leave(number),
        }
    }

    async fn welcome(self: Arc<Self>, mut stream: TcpStream) {
        let shaken = tokio::time::timeout(PATIENCE, shake(&mut stream)).await;
        if let Ok(Ok(Some(rest))) = shaken {
            let number = self.number();
            self.serve(stream, number, Inbound::new(rest)).await;
        }
    }
}

/// Serves until the stack ends.
pub async fn run(listener: TcpListener, clients: Arc<Clients>) -> io::Result<()> {
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                tokio::spawn(Arc::clone(&clients).welcome(accepted?.0));
            }
            resumed = clients.idle.next() => {
                let Resumed { stream, tag } = resumed?;
                tokio::spawn(Arc::clone(&clients).serve(stream, tag, Inbound::default()));
            }
        }
    }
}

/// The handshake. What came behind it; `None`: it is no WebSocket.
async fn shake(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut octets = Vec::new();
    loop {
        match frames::handshake(&octets) {
            Handshake::Upgrade(answer, length) => {
                stream.write_all(&answer).await?;
                octets.drain(..length);
                return Ok(Some(octets));
            }
            Handshake::Refuse(answer) => {
                stream.write_all(answer).await?;
                stream.shutdown().await?;
                return Ok(None);
            }
            Handshake::More => {
                stream.readable().await?;
                read(stream, &mut octets)?;
            }
        }
    }
}

/// Answers what there is. True: there is no more, and the stream may rest.
async fn converse(stream: &mut TcpStream, inbound: &mut Inbound) -> io::Result<bool> {
    let mut octets = Vec::new();
    loop {
        let message = match inbound.next() {
            Ok(Some(message)) => message,
            Ok(None) => {
                match read(stream, &mut octets) {
                    Ok(()) => inbound.push(&std::mem::take(&mut octets)),
                    Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                    Err(_) if inbound.is_empty() => return Ok(true),
                    Err(_) => tokio::time::timeout(PATIENCE, stream.readable()).await??,
                }
                continue;
            }
            Err(Fails(code)) => {
                stream.write_all(&frames::close(code)).await?;
                stream.shutdown().await?;
                return Ok(false);
            }
        };
        match message {
            Message::Text(text) => stream.write_all(&frames::text(&text)).await?,
            Message::Binary(octets) => {
                let frame = frames::frame(OpCode::Data(Data::Binary), &octets, None);
                stream.write_all(&frame).await?;
            }
            Message::Ping(octets) => {
                let frame = frames::frame(OpCode::Control(Control::Pong), &octets, None);
                stream.write_all(&frame).await?;
            }
            Message::Pong => {}
            Message::Close(body) => {
                let code = body.get(..2).unwrap_or_default();
                let frame = frames::frame(OpCode::Control(Control::Close), code, None);
                stream.write_all(&frame).await?;
                stream.shutdown().await?;
                return Ok(false);
            }
        }
    }
}

/// Reads what is there now.
fn read(stream: &TcpStream, octets: &mut Vec<u8>) -> io::Result<()> {
    let mut buffer = [0; 4096];
    match stream.try_read(&mut buffer)? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        count => {
            octets.extend_from_slice(buffer.get(..count).unwrap_or_default());
            Ok(())
        }
    }
}
