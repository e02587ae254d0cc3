//! WebSocket messages (RFC 6455) out of octets and back, for a server. Headers and the handshake's key are
//! tungstenite's; nothing here holds a stream, so nothing is left of a connection that rests.

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// Octets of a message at most.
pub const MESSAGE: usize = 64 << 10;

/// A message as it came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    /// The peer closes, with this body.
    Close(Vec<u8>),
}

/// Why the connection fails: the code to close with (RFC 6455 §7.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fails(pub u16);

const PROTOCOL: Fails = Fails(1002);
const NOT_TEXT: Fails = Fails(1007);
const TOO_BIG: Fails = Fails(1009);

/// What has come and is no message yet.
#[derive(Debug, Default)]
pub struct Inbound {
    octets: Vec<u8>,
    /// A fragmented message: its kind, and its octets so far.
    begun: Option<(Data, Vec<u8>)>,
}

impl Inbound {
    /// With what came behind the handshake.
    pub fn new(octets: Vec<u8>) -> Inbound {
        Inbound { octets, begun: None }
    }

    pub fn push(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }

    /// Whether nothing is half there: then the connection may rest.
    pub fn is_empty(&self) -> bool {
        self.octets.is_empty() && self.begun.is_none()
    }

    /// The next message; `None`: more must come first.
    pub fn next(&mut self) -> Result<Option<Message>, Fails> {
        loop {
            let mut cursor = std::io::Cursor::new(&self.octets);
            let Some((header, length)) = FrameHeader::parse(&mut cursor).map_err(|_| PROTOCOL)?
            else {
                return Ok(None);
            };
            let start = cursor.position() as usize;
            let so_far = self.begun.as_ref().map_or(0, |(_, octets)| octets.len());
            let control = matches!(header.opcode, OpCode::Control(_));
            if header.rsv1 || header.rsv2 || header.rsv3 {
                return Err(PROTOCOL);
            }
            if control && (!header.is_final || length > 125) {
                return Err(PROTOCOL);
            }
            let Some(mask) = header.mask else { return Err(PROTOCOL) };
            if length > (MESSAGE - so_far.min(MESSAGE)) as u64 {
                return Err(TOO_BIG);
            }
            let end = start + length as usize;
            let Some(masked) = self.octets.get(start..end) else { return Ok(None) };
            let payload: Vec<u8> =
                masked.iter().zip(mask.iter().cycle()).map(|(octet, key)| octet ^ key).collect();
            self.octets.drain(..end);
            if self.octets.is_empty() {
                self.octets = Vec::new();
            }
            if let Some(message) = self.take(&header, payload)? {
                return Ok(Some(message));
            }
        }
    }

    fn take(&mut self, header: &FrameHeader, payload: Vec<u8>) -> Result<Option<Message>, Fails> {
        let (kind, octets) = match (header.opcode, self.begun.take()) {
            (OpCode::Control(control), begun) => {
                self.begun = begun;
                return match control {
                    Control::Ping => Ok(Some(Message::Ping(payload))),
                    Control::Pong => Ok(Some(Message::Pong)),
                    Control::Close if payload.len() != 1 => Ok(Some(Message::Close(payload))),
                    _ => Err(PROTOCOL),
                };
            }
            (OpCode::Data(Data::Continue), Some((kind, mut octets))) => {
                octets.extend_from_slice(&payload);
                (kind, octets)
            }
            (OpCode::Data(kind @ (Data::Text | Data::Binary)), None) => (kind, payload),
            _ => return Err(PROTOCOL),
        };
        if !header.is_final {
            self.begun = Some((kind, octets));
            return Ok(None);
        }
        Ok(Some(match kind {
            Data::Text => Message::Text(String::from_utf8(octets).map_err(|_| NOT_TEXT)?),
            _ => Message::Binary(octets),
        }))
    }
}

/// A frame as a server sends it; a client gives a mask.
pub fn frame(opcode: OpCode, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let header = FrameHeader { opcode, mask, ..FrameHeader::default() };
    let mut octets = Vec::with_capacity(14 + payload.len());
    // Writing to memory does not fail.
    let _ = header.format(payload.len() as u64, &mut octets);
    let mask = mask.unwrap_or_default();
    octets.extend(payload.iter().zip(mask.iter().cycle()).map(|(octet, key)| octet ^ key));
    octets
}

pub fn text(payload: &str) -> Vec<u8> {
    frame(OpCode::Data(Data::Text), payload.as_bytes(), None)
}

pub fn close(code: u16) -> Vec<u8> {
    frame(OpCode::Control(Control::Close), &code.to_be_bytes(), None)
}

/// What a client's request comes to.
pub enum Handshake {
    /// More must come.
    More,
    /// It asks for a WebSocket; the answer, and octets of the request.
    Upgrade(Vec<u8>, usize),
    /// It does not; the answer.
    Refuse(&'static [u8]),
}

/// RFC 6455 §4.2.
pub fn handshake(octets: &[u8]) -> Handshake {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let bad = Handshake::Refuse(
        b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
    );
    let length = match request.parse(octets) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if octets.len() < 8192 => return Handshake::More,
        _ => return bad,
    };
    let field = |name: &str| {
        let found = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| header.value)
    };
    let says = |name: &str, word: &str| {
        field(name).is_some_and(|value| {
            String::from_utf8_lossy(value)
                .split(',')
                .any(|part| part.trim().eq_ignore_ascii_case(word))
        })
    };
    if request.method != Some("GET")
        || !says("upgrade", "websocket")
        || !says("connection", "upgrade")
    {
        return bad;
    }
    if !says("sec-websocket-version", "13") {
        return Handshake::Refuse(
            b"HTTP/1.1 426 Upgrade Required\r\nsec-websocket-version: 13\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        );
    }
    let Some(key) = field("sec-websocket-key").filter(|key| key.len() == 24) else { return bad };
    let accept = tungstenite::handshake::derive_accept_key(key);
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {accept}\r\n\r\n"
    );
    Handshake::Upgrade(answer.into_bytes(), length)
}
