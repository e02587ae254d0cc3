//! Parts of files.

use crate::client::{Server, noise};

/// Below and above the length up to which files are kept in memory.
const SIZES: [usize; 2] = [10_000, 1_000_000];

#[tokio::test]
async fn one_part() {
    let server = Server::start(false).await;
    for size in SIZES {
        let content = noise(size);
        server.directory.write("x", &content);
        for (range, from, to) in [
            ("0-0", 0, 1),
            ("0-99", 0, 100),
            ("5000-", 5000, size),
            ("-10", size - 10, size),
            ("9000-99999999", 9000, size),
        ] {
            let answer = server.ask(&format!("GET /x\nRange: bytes={range}")).await;
            assert_eq!(answer.status, 206, "{range}");
            let expected = format!("bytes {from}-{}/{size}", to - 1);
            assert_eq!(answer.header("content-range"), Some(expected.as_str()));
            assert!(answer.body == content[from..to], "{range}");
        }
    }
}

#[tokio::test]
async fn no_part() {
    let server = Server::start(false).await;
    server.directory.write("x", "12345");
    let answer = server.ask("GET /x\nRange: bytes=5-").await;
    assert_eq!((answer.status, answer.header("content-range")), (416, Some("bytes */5")));
    for request in
        ["GET /x\nRange: bytes=3-1", "GET /x\nRange: lines=0-", "HEAD /x\nRange: bytes=0-1"]
    {
        assert_eq!(server.ask(request).await.status, 200, "{request}");
    }
}

#[tokio::test]
async fn several_parts() {
    let server = Server::start(false).await;
    for size in SIZES {
        let content = noise(size);
        server.directory.write("x.bin", &content);
        let answer = server.ask("GET /x.bin\nRange: bytes=0-9, 5000-5999, -3").await;
        assert_eq!(answer.status, 206);
        let kind = answer.header("content-type").unwrap();
        let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap();
        let mut expected = Vec::new();
        for (index, (from, to)) in [(0, 10), (5000, 6000), (size - 3, size)].iter().enumerate() {
            let start = if index == 0 { "" } else { "\r\n" };
            expected.extend(
                format!(
                    "{start}--{boundary}\r\nContent-Type: application/octet-stream\r\n\
                     Content-Range: bytes {from}-{}/{size}\r\n\r\n",
                    to - 1
                )
                .bytes(),
            );
            expected.extend(&content[*from..*to]);
        }
        expected.extend(format!("\r\n--{boundary}--\r\n").bytes());
        assert!(answer.body == expected);
    }
}

#[tokio::test]
async fn parts_of_the_same_file_only() {
    let server = Server::start(false).await;
    server.directory.write("x", "12345");
    let first = server.get("/x").await;
    let (tag, date) = (first.header("etag").unwrap(), first.header("last-modified").unwrap());
    for (condition, status) in
        [(tag, 206), (date, 206), ("\"other\"", 200), ("Sat, 01 Jan 2000 00:00:00 GMT", 200)]
    {
        let request = format!("GET /x\nRange: bytes=1-2\nIf-Range: {condition}");
        let answer = server.ask(&request).await;
        assert_eq!(answer.status, status, "{condition}");
        assert_eq!(answer.text(), if status == 206 { "23" } else { "12345" });
    }
}
