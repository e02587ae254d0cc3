//! A server for one test, and an HTTP/1.1 client of few lines.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use usertcp_cli::facts::{LiveFacts, Snapshot};
use usertcp_cli::web::{self, About, Site};

/// A directory that goes with its test.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Directory {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("usertcp-cli-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Directory(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Facts that say what a test wants to see.
#[derive(Default)]
pub struct StillFacts(pub Snapshot);

impl LiveFacts for StillFacts {
    async fn snapshot(&self, rows: usize) -> Snapshot {
        let mut snapshot = self.0.clone();
        snapshot.connections.truncate(rows);
        snapshot
    }
}

/// A server on the kernel's loopback.
pub struct Server {
    pub address: SocketAddr,
    pub directory: Directory,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Server {
    pub async fn start(writable: bool) -> Server {
        Server::with_facts(writable, Snapshot::default()).await
    }

    pub async fn with_facts(writable: bool, facts: Snapshot) -> Server {
        let directory = Directory::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let about = About { network: "loopback".into(), writable, ..About::default() };
        let site = Site::open(directory.path(), Arc::new(StillFacts(facts)), about).unwrap();
        let (stop, stopped) = oneshot::channel();
        let stopped = async move {
            let _ = stopped.await;
        };
        let task = tokio::spawn(web::serve(listener, Arc::new(site), stopped));
        Server { address, directory, stop: Some(stop), task }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub async fn client(&self) -> Client {
        let stream = TcpStream::connect(self.address).await.unwrap();
        Client { stream: BufReader::new(stream) }
    }

    /// One request on a stream of its own.
    pub async fn ask(&self, request: &str) -> Answer {
        self.client().await.ask(request).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}")).await
    }

    pub async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        self.task.await.unwrap().unwrap();
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// A stream to the server.
pub struct Client {
    pub stream: BufReader<TcpStream>,
}

impl Client {
    /// Sends "METHOD PATH", then headers, a line each, then reads the answer.
    pub async fn ask(&mut self, request: &str) -> Answer {
        self.send(request).await;
        self.answer(request.starts_with("HEAD")).await
    }

    pub async fn send(&mut self, request: &str) {
        let (line, headers) = request.split_once('\n').unwrap_or((request, ""));
        let mut text = format!("{line} HTTP/1.1\r\nHost: test\r\n");
        for header in headers.lines() {
            text.push_str(header.trim());
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    pub async fn answer(&mut self, head: bool) -> Answer {
        let line = self.line().await;
        let status = line.split(' ').nth(1).unwrap_or_else(|| panic!("{line}")).parse().unwrap();
        let mut headers = HashMap::new();
        loop {
            let line = self.line().await;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length = headers.get("content-length").map_or(0, |value| value.parse().unwrap());
        let none = head || status == 304 || status == 204;
        let mut body = vec![0; if none { 0 } else { length }];
        self.stream.read_exact(&mut body).await.unwrap();
        Answer { status, headers, body }
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.unwrap();
        line.trim_end().to_owned()
    }
}

/// Octets that repeat late and are the same every time.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut octets = Vec::with_capacity(length + 8);
    while octets.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        octets.extend(state.to_le_bytes());
    }
    octets.truncate(length);
    octets
}

/// Runs curl; `None`, and a line that says so, where there is none.
pub async fn curl(arguments: &[&str]) -> Option<Vec<u8>> {
    let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
    let run = move || std::process::Command::new("curl").arg("-sS").args(&arguments).output();
    match tokio::task::spawn_blocking(run).await.unwrap() {
        Err(_) => {
            eprintln!("NOT TESTED: there is no curl on this machine");
            None
        }
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Some(output.stdout)
        }
    }
}
