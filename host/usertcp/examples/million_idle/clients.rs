//! What the demonstration's clients ask.

use crate::support::peers::Script;

pub struct Browsers;

fn asked(octets: &[u8], path: &str) -> bool {
    octets.starts_with(b"HTTP/1.1 200 OK\r\n")
        && octets.ends_with(format!("you asked for {path}\n").as_bytes())
}

impl Script for Browsers {
    fn request(&self, _: u32) -> Vec<u8> {
        b"GET /first HTTP/1.1\r\nhost: ten\r\n\r\n".to_vec()
    }
    fn is_welcome(&self, _: u32, octets: &[u8]) -> bool {
        asked(octets, "/first")
    }
    fn question(&self, client: u32) -> Vec<u8> {
        format!("GET /of/{client} HTTP/1.1\r\nhost: ten\r\n\r\n").into_bytes()
    }
    fn is_answer(&self, client: u32, octets: &[u8]) -> bool {
        asked(octets, &format!("/of/{client}"))
    }
    fn is_push(&self, _: u32, _: &[u8]) -> bool {
        false
    }
}
