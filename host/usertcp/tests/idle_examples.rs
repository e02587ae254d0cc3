//! The examples of idle streams, at a small size, and what their servers make of requests and frames.
#![allow(clippy::expect_used, clippy::unwrap_used, dead_code)] // helpers of tests are not tests to the lint

#[path = "../examples/million_idle/clients.rs"]
mod browsers;
#[path = "../examples/websocket_park/clients.rs"]
mod chatters;
mod common;
#[path = "../examples/websocket_park/frames.rs"]
mod frames;
#[path = "../examples/million_idle/server.rs"]
mod http;
#[path = "../examples/support/mod.rs"]
mod support;
#[path = "../examples/websocket_park/server.rs"]
mod websocket;

use common::*;
use frames::{Fails, Inbound, Message, frame};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use support::demo::{self, Demo};
use support::peers::SERVER;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use usertcp::{IdleStreams, LocalIdleStreams, LocalListener, TcpListener, TcpStream};

const DEMO: Demo = Demo { count: 3000, talk: 1000, verbose: false };

#[tokio::test]
async fn three_thousand_browsers_rest_and_are_answered() {
    let (builder, told) = demo::with_clients(&DEMO, browsers::Browsers);
    let stack = builder.start().unwrap();
    let idle = Arc::new(IdleStreams::new(&stack).unwrap());
    let listener = TcpListener::bind_with(&stack, SERVER.into(), demo::listening()).await.unwrap();
    tokio::spawn(http::run(listener, Arc::clone(&idle)));
    let run = demo::run(&DEMO, (&stack, &*idle), &told, 0);
    let outcome = timeout(PATIENCE, run).await.expect("stuck").unwrap();
    assert_eq!((outcome.answered, outcome.wrong, idle.len()), (1000, 0, 3000));
}

#[tokio::test(flavor = "local")]
async fn three_thousand_browsers_of_a_local_stack_rest_and_are_answered() {
    let (builder, told) = demo::with_clients(&DEMO, browsers::Browsers);
    let (stack, driver) = builder.start_local().unwrap();
    tokio::task::spawn_local(driver);
    let idle = Rc::new(LocalIdleStreams::new(&stack).unwrap());
    let listener = LocalListener::bind_with(&stack, SERVER.into(), demo::listening()).unwrap();
    tokio::task::spawn_local(http::run_local(listener, Rc::clone(&idle)));
    let run = demo::run(&DEMO, (&stack, &*idle), &told, 0);
    let outcome = timeout(PATIENCE, run).await.expect("stuck").unwrap();
    assert_eq!((outcome.answered, outcome.wrong, idle.len()), (1000, 0, 3000));
}

#[tokio::test]
async fn three_thousand_websockets_rest_and_are_answered_and_told() {
    let (builder, told) = demo::with_clients(&DEMO, chatters::Chatters);
    let stack = builder.start().unwrap();
    let clients = Arc::new(websocket::Clients::new(IdleStreams::new(&stack).unwrap()));
    let listener = TcpListener::bind_with(&stack, SERVER.into(), demo::listening()).await.unwrap();
    tokio::spawn(websocket::run(listener, Arc::clone(&clients)));
    let run = demo::run(&DEMO, (&stack, &clients.idle), &told, 0);
    let outcome = timeout(PATIENCE, run).await.expect("stuck").unwrap();
    assert_eq!((outcome.answered, outcome.wrong, clients.idle.len()), (1000, 0, 3000));
    for number in 0..500 {
        assert!(clients.push(number, chatters::NEWS).await.unwrap(), "{number}");
    }
    let all_told = async {
        while told.pushed.load(Ordering::Relaxed) < 500 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, all_told).await.expect("stuck");
    assert!(!clients.push(3000, "nobody").await.unwrap());
}

async fn until_end(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut all)).await.expect("stuck").unwrap();
    String::from_utf8_lossy(&all).into_owned()
}

#[tokio::test]
async fn requests_come_in_one_piece_in_many_and_together() {
    let (left, right) = stacks();
    let idle = Arc::new(IdleStreams::new(&right).unwrap());
    let listener = TcpListener::bind(&right, at(80)).await.unwrap();
    tokio::spawn(http::run(listener, Arc::clone(&idle)));
    let mut stream = TcpStream::connect(&left, at(80)).await.unwrap();
    for octet in b"GET /slowly HTTP/1.1\r\nhost: ten\r\n\r\n" {
        stream.write_all(&[*octet]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut answer = vec![0; 4096];
    let count = timeout(PATIENCE, stream.read(&mut answer)).await.expect("stuck").unwrap();
    assert!(answer[..count].ends_with(b"you asked for /slowly\n"));
    let two = "GET /one HTTP/1.1\r\n\r\nHEAD /two HTTP/1.1\r\nConnection: close\r\n\r\n";
    stream.write_all(two.as_bytes()).await.unwrap();
    let both = until_end(&mut stream).await;
    assert!(both.contains("you asked for /one\n") && both.ends_with("connection: close\r\n\r\n"));
    for (request, status) in [
        ("GET / HTTP/1.0\r\n\r\n", "200 OK"),
        ("nonsense\r\n\r\n", "400 Bad Request"),
        ("POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\n", "413 Content Too Large"),
    ] {
        let mut stream = TcpStream::connect(&left, at(80)).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        assert!(until_end(&mut stream).await.starts_with(&format!("HTTP/1.1 {status}\r\n")));
    }
}

const MASK: Option<[u8; 4]> = Some([1, 2, 3, 4]);

fn text(words: &str) -> Vec<u8> {
    frame(OpCode::Data(Data::Text), words.as_bytes(), MASK)
}

#[test]
fn messages_out_of_frames() {
    let ping = frame(OpCode::Control(Control::Ping), b"p", MASK);
    let mut first = frame(OpCode::Data(Data::Text), "gr\u{fc}".as_bytes(), MASK);
    first[0] &= 0x7F;
    let last = frame(OpCode::Data(Data::Continue), "\u{df}e".as_bytes(), MASK);
    let mut inbound = Inbound::default();
    // Octet by octet; a ping in the middle of a message in two frames (RFC 6455 §5.4).
    let mut messages = Vec::new();
    for octet in [first, ping, last, text("")].concat() {
        inbound.push(&[octet]);
        while let Some(message) = inbound.next().unwrap() {
            messages.push(message);
        }
    }
    let expected = [
        Message::Ping(b"p".to_vec()),
        Message::Text("gr\u{fc}\u{df}e".into()),
        Message::Text(String::new()),
    ];
    assert_eq!(messages, expected);
    assert!(inbound.is_empty());
}

#[test]
fn frames_that_break_the_rules_fail_the_connection() {
    let fails = |octets: &[u8]| Inbound::new(octets.to_vec()).next();
    let reserved = {
        let mut octets = text("x");
        octets[0] |= 0x40;
        octets
    };
    let mut cut_ping = frame(OpCode::Control(Control::Ping), b"", MASK);
    cut_ping[0] &= 0x7F;
    let rows: [(&[u8], u16); 8] = [
        (&frame(OpCode::Data(Data::Text), b"not masked", None), 1002),
        (&reserved, 1002),
        (&cut_ping, 1002),
        (&frame(OpCode::Control(Control::Ping), &[0; 126], MASK), 1002),
        (&frame(OpCode::Control(Control::Close), &[3], MASK), 1002),
        (&frame(OpCode::Data(Data::Continue), b"of nothing", MASK), 1002),
        (&frame(OpCode::Data(Data::Text), &[0xFF], MASK), 1007),
        // Its length alone is enough.
        (&frame(OpCode::Data(Data::Binary), &vec![0; frames::MESSAGE + 1], MASK)[..14], 1009),
    ];
    for (octets, code) in rows {
        assert_eq!(fails(octets), Err(Fails(code)), "{octets:?}");
    }
}

#[tokio::test]
async fn a_websocket_from_handshake_to_close() {
    let (left, right) = stacks();
    let clients = Arc::new(websocket::Clients::new(IdleStreams::new(&right).unwrap()));
    let listener = TcpListener::bind(&right, at(80)).await.unwrap();
    tokio::spawn(websocket::run(listener, Arc::clone(&clients)));
    let request = support::peers::Script::request(&chatters::Chatters, 0);
    let mut stream = TcpStream::connect(&left, at(80)).await.unwrap();
    // A message behind the request in one segment.
    stream.write_all(&[request.clone(), text("early")].concat()).await.unwrap();
    let early = frames::text("early");
    let mut answer = Vec::new();
    while !answer.ends_with(&early) {
        let read = stream.read_buf(&mut answer);
        assert_ne!(timeout(PATIENCE, read).await.expect("stuck").unwrap(), 0);
    }
    let big = "b".repeat(60_000);
    for words in ["hello", &big] {
        stream.write_all(&text(words)).await.unwrap();
        let expected = frames::text(words);
        let mut answer = vec![0; expected.len()];
        timeout(PATIENCE, stream.read_exact(&mut answer)).await.expect("stuck").unwrap();
        assert!(answer == expected);
    }
    let close = frame(OpCode::Control(Control::Close), &1000_u16.to_be_bytes(), MASK);
    stream.write_all(&close).await.unwrap();
    let mut end = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut end)).await.expect("stuck").unwrap();
    assert_eq!(end, frames::close(1000));
    // No WebSocket.
    for (wrong, status) in [("websocket", "400"), ("version: 13", "426")] {
        let request = String::from_utf8(request.clone()).unwrap().replacen(wrong, "version: 12", 1);
        let mut stream = TcpStream::connect(&left, at(80)).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = until_end(&mut stream).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}
