//! What the demonstration's clients say.

use crate::frames;
use crate::support::peers::Script;
use tungstenite::protocol::frame::coding::{Data, OpCode};

pub struct Chatters;

/// What the server says unasked.
pub const NEWS: &str = "news for all";

impl Script for Chatters {
    fn request(&self, _: u32) -> Vec<u8> {
        b"GET / HTTP/1.1\r\nhost: ten\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".to_vec()
    }
    fn is_welcome(&self, _: u32, octets: &[u8]) -> bool {
        // RFC 6455 §1.3 has this very key and answer.
        let text = String::from_utf8_lossy(octets);
        text.starts_with("HTTP/1.1 101 ") && text.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    }
    fn question(&self, client: u32) -> Vec<u8> {
        let mask = client.wrapping_mul(0x9E37_79B1).to_be_bytes();
        frames::frame(OpCode::Data(Data::Text), words(client).as_bytes(), Some(mask))
    }
    fn is_answer(&self, client: u32, octets: &[u8]) -> bool {
        octets == frames::text(&words(client))
    }
    fn is_push(&self, _: u32, octets: &[u8]) -> bool {
        octets == frames::text(NEWS)
    }
}

fn words(client: u32) -> String {
    format!("client {client} says hello")
}
