//! HTTP/2 without TLS, and peers that do not speak HTTP.

use crate::client::{Server, curl, noise};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn curl_reads_by_both_protocols() {
    let server = Server::start(false).await;
    let content = noise(16 << 20);
    server.directory.write("big", &content);
    server.directory.write("small", "small");
    for (protocol, version) in
        [("--http1.1", "1.1"), ("--http2-prior-knowledge", "2"), ("--http2", "1.1")]
    {
        let Some(body) = curl(&[protocol, &server.url("/big")]).await else { return };
        assert!(body == content, "{protocol}");
        let ask = [protocol, "-w", " %{http_version} %{http_code}", &server.url("/small")];
        let text = String::from_utf8(curl(&ask).await.unwrap()).unwrap();
        assert_eq!(text, format!("small {version} 200"));
        let head = curl(&[protocol, "-I", &server.url("/big")]).await.unwrap();
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        assert!(head.contains("content-length: 16777216"), "{head}");
        let part = curl(&[protocol, "-r", "100-199", &server.url("/big")]).await.unwrap();
        assert!(part == content[100..200], "{protocol}");
    }
}

#[tokio::test]
async fn many_requests_share_one_http2_stream() {
    let server = Server::start(false).await;
    server.directory.write("x", noise(100_000));
    let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let io = TokioIo::new(stream);
    let (client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let mut client = client.clone();
        let request = Request::get(server.url("/x")).body(Empty::<Bytes>::new()).unwrap();
        asking.spawn(async move {
            let answer = client.send_request(request).await.unwrap();
            assert_eq!(answer.status(), 200);
            answer.into_body().collect().await.unwrap().to_bytes()
        });
    }
    let expected = noise(100_000);
    for body in asking.join_all().await {
        assert!(body == expected);
    }
}

#[tokio::test]
async fn nonsense_is_answered_or_cut_off() {
    let server = Server::start(false).await;
    server.directory.write("x", "fine");
    for nonsense in [
        &b"\0\0\0\0\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense nonsense nonsense",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    ] {
        let mut client = server.client().await;
        let stream = client.stream.get_mut();
        let _ = stream.write_all(nonsense).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(server.get("/x").await.text(), "fine");
}
