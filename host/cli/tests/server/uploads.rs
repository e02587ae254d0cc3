//! PUT.

use crate::client::{Server, curl, noise};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

async fn put(server: &Server, path: &str, headers: &str, body: &[u8]) -> (u16, String) {
    let mut client = server.client().await;
    client.send(&format!("PUT {path}\nContent-Length: {}\n{headers}", body.len())).await;
    // A server that refuses may close before all is sent.
    let _ = client.stream.write_all(body).await;
    let answer = client.answer(false).await;
    (answer.status, answer.text().to_owned())
}

fn names(server: &Server) -> Vec<String> {
    let entries = std::fs::read_dir(server.directory.path()).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn files_come_and_are_replaced() {
    let server = Server::start(true).await;
    assert_eq!(put(&server, "/a%20b", "", b"one").await, (201, "stored 3 octets\n".into()));
    assert_eq!(server.get("/a%20b").await.text(), "one");
    assert_eq!(put(&server, "/a%20b", "", b"second").await, (204, String::new()));
    assert_eq!(server.get("/a%20b").await.text(), "second");
    assert_eq!(put(&server, "/empty", "", b"").await.0, 201);
    let content = noise(5_000_000);
    assert_eq!(put(&server, "/big", "", &content).await.0, 201);
    assert!(server.get("/big").await.body == content);
    assert_eq!(names(&server), ["a b", "big", "empty"]);
    assert!(server.get("/").await.text().contains("3 files"));
}

#[tokio::test]
async fn a_server_that_is_not_writable_says_so() {
    let server = Server::start(false).await;
    let (status, text) = put(&server, "/x", "", b"x").await;
    assert_eq!(status, 405);
    assert!(text.contains("start the server with --writable"), "{text}");
    assert!(names(&server).is_empty());
}

#[tokio::test]
async fn what_cannot_be_stored_is_refused() {
    let server = Server::start(true).await;
    server.directory.write("sub/x", "x");
    for (path, headers, status) in [
        ("/", "", 409),
        ("/sub", "", 409),
        ("/sub/", "", 409),
        ("/new/", "", 409),
        ("/none/x", "", 409),
        ("/sub/x/y", "", 409),
        ("/../x", "", 403),
        ("/_usertcp/x", "", 405),
        ("/x", "Content-Range: bytes 0-1/2", 400),
        ("/sub/x", "If-None-Match: *", 412),
        ("/x", "If-Match: *", 412),
        ("/sub/x", "If-Match: \"other\"", 412),
    ] {
        assert_eq!(put(&server, path, headers, b"new").await.0, status, "{path} {headers}");
    }
    assert_eq!(names(&server), ["sub"]);
    assert_eq!(server.get("/sub/x").await.text(), "x");
    assert_eq!(put(&server, "/new", "If-None-Match: *", b"new").await.0, 201);
    assert_eq!(put(&server, "/new", "If-Match: *", b"newer").await.0, 204);
}

#[tokio::test]
async fn half_an_upload_leaves_nothing() {
    let server = Server::start(true).await;
    server.directory.write("x", "before");
    let mut client = server.client().await;
    client.send("PUT /x\nContent-Length: 1000000").await;
    client.stream.write_all(&noise(600_000)).await.unwrap();
    let limit = std::time::Instant::now() + Duration::from_secs(5);
    while names(&server).len() < 2 && std::time::Instant::now() < limit {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(names(&server).len(), 2);
    // On its way in, it is not shown, and the old file stands.
    assert!(server.get("/").await.text().contains("1 file,"));
    assert_eq!(server.get("/x").await.text(), "before");
    drop(client);
    while names(&server).len() > 1 && std::time::Instant::now() < limit {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(names(&server), ["x"]);
    assert_eq!(server.get("/x").await.text(), "before");
}

#[tokio::test]
async fn curl_uploads_by_both_protocols() {
    let server = Server::start(true).await;
    let content = noise(16 << 20);
    let source = crate::client::Directory::new();
    let file = source.write("source", &content);
    for (protocol, name) in [("--http1.1", "one"), ("--http2-prior-knowledge", "two")] {
        let url = server.url(&format!("/{name}"));
        let arguments = [protocol, "-w", "%{http_code}", "-T", file.to_str().unwrap(), &url];
        let Some(output) = curl(&arguments).await else { return };
        assert!(output.ends_with(b"201"), "{}", String::from_utf8_lossy(&output));
        assert!(std::fs::read(server.directory.path().join(name)).unwrap() == content);
    }
}
