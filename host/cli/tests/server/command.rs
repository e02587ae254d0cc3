//! The program itself, on the kernel's sockets.

use crate::client::{Directory, noise};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

fn usertcp(words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_usertcp"));
    command.args(words.split_whitespace()).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Starts the program and waits for its first line.
fn started(command: &mut Command) -> (Child, BufReader<std::process::ChildStdout>, String) {
    let mut child = command.spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    (child, output, line)
}

fn terminate(mut child: Child) -> i32 {
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    child.wait().unwrap().code().unwrap()
}

#[test]
fn serve_starts_tells_and_stops() {
    let directory = Directory::new();
    directory.write("x", "hello");
    let port = free_port();
    let words = format!("serve --json --kernel-sockets 127.0.0.1 --port {port}");
    let (child, mut output, line) = started(usertcp(&words).arg(directory.path()));
    let start: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(start["event"], "started");
    assert_eq!(start["places"][0]["detail"], format!("http://127.0.0.1:{port}/"));
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET /x HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("hello"), "{answer}");
    // The port is taken.
    let second = usertcp(&words).arg(directory.path()).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let fault = String::from_utf8(second.stderr).unwrap();
    assert!(fault.contains("address already in use"), "{fault}");
    assert_eq!(terminate(child), 0);
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    let stop: serde_json::Value = serde_json::from_str(&rest).unwrap();
    assert_eq!((&stop["event"], &stop["http"]["requests"]), (&"stopped".into(), &1.into()));
}

#[test]
fn connect_talks_to_the_echo_service() {
    let base = free_port().clamp(1024, 60_000);
    let words = format!("services --kernel-sockets 127.0.0.1 --base-port {base}");
    let (child, mut output, line) = started(&mut usertcp(&words));
    assert_eq!(line, "usertcp answers\n");
    // The last place printed: all ports are open.
    while !{
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        line.contains("Ctrl-C")
    } {}
    let words = format!("connect 127.0.0.1 {} --kernel-sockets 127.0.0.1", base + 2);
    let mut client = usertcp(&words).stdin(Stdio::piped()).spawn().unwrap();
    let content = noise(8 << 20);
    let mut stdin = client.stdin.take().unwrap();
    let sent = content.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&sent).unwrap());
    let output = client.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout == content);
    assert!(String::from_utf8_lossy(&output.stderr).contains("8 MiB sent, 8 MiB received"));
    assert_eq!(terminate(child), 0);
}

/// Over TUN, or, without permission, over a pipe that is published on the loopback.
#[test]
fn two_shards_answer() {
    let base = free_port().clamp(1024, 60_000);
    let words = format!(
        "services --base-port {base} --shards 2 --pin --busy-poll 20 --dev utcpshards --addr 10.213.7.2/24 \
         --json"
    );
    let (child, mut output, line) = started(&mut usertcp(&words));
    let start: serde_json::Value = serde_json::from_str(&line).unwrap();
    let places = start["places"].as_array().unwrap();
    let echo = places.iter().find(|place| place["what"] == "echo").unwrap();
    let echo = echo["detail"].as_str().unwrap().to_owned();
    let clients: Vec<_> = (0..24)
        .map(|_| {
            let echo = echo.clone();
            std::thread::spawn(move || {
                let content = noise(200_000);
                let mut stream = std::net::TcpStream::connect(echo).unwrap();
                let mut writer = stream.try_clone().unwrap();
                let sent = content.clone();
                let sender = std::thread::spawn(move || {
                    writer.write_all(&sent).unwrap();
                    writer.shutdown(std::net::Shutdown::Write).unwrap();
                });
                let mut back = Vec::new();
                stream.read_to_end(&mut back).unwrap();
                sender.join().unwrap();
                assert!(back == content);
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert_eq!(terminate(child), 0);
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    let stop: serde_json::Value = serde_json::from_str(&rest).unwrap();
    assert_eq!(stop["connections"], 24);
    assert_eq!((&stop["octets_in"], &stop["octets_out"]), (&4_800_000.into(), &4_800_000.into()));
}

#[test]
fn faults_are_two_lines_and_an_exit_code() {
    for (words, code, start) in [
        ("serve --shards 0", 2, "error: --shards 0: that is not a number of shards\nhelp: "),
        (
            "serve --busy-poll 1s",
            2,
            "error: --busy-poll 1s: that is not a time to poll for\nhelp: ",
        ),
        ("serve --rate fast", 2, "error: --rate fast: it does not start with a number\nhelp: "),
        ("serve /none --kernel-sockets 127.0.0.1 --port 1024", 1, "error: directory /none: "),
        ("connect 127.0.0.1 1 --kernel-sockets 127.0.0.1", 1, "error: connecting to 127.0.0.1:1: "),
        (
            "connect fd77::1 1 --kernel-sockets 127.0.0.1",
            1,
            "error: fd77::1: the stack has no address",
        ),
    ] {
        let output = usertcp(words).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{words}: {text}");
        assert!(text.starts_with(start), "{words}: {text}");
        assert_eq!(text.lines().count(), 2, "{words}: {text}");
    }
    let output = usertcp("serve --rate fast --json").output().unwrap();
    let fault: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((&fault["event"], &fault["code"]), (&"error".into(), &2.into()));
}
