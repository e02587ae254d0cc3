//! Files and listings.

use crate::client::{Server, noise};
use std::os::unix::fs::symlink;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn a_directory_is_listed() {
    let server = Server::start(false).await;
    server.directory.write("b & c.txt", "12345");
    server.directory.write("über.png", "");
    server.directory.write("sub/x", "");
    server.directory.write("a:b#?%.txt", "odd");
    let answer = server.get("/").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    let page = answer.text();
    for part in [
        "<a href=\"./b%20%26%20c.txt\">b &amp; c.txt</a><td class=n title=\"5\">5 B",
        "<a href=\"./%C3%BCber.png\">über.png</a>",
        "<a href=\"./sub/\">sub/</a>",
        "<a href=\"./a:b%23%3F%25.txt\">a:b#?%.txt</a>",
        "1 directory, 3 files",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    assert!(page.find("sub/").unwrap() < page.find("b &amp; c").unwrap());
    assert!(!page.contains("Parent directory"));
    assert!(server.get("/sub/").await.text().contains("<a href=\"../\">Parent directory</a>"));
    // Every link leads to its file.
    assert_eq!(server.get("/a:b%23%3F%25.txt").await.text(), "odd");
    assert_eq!(server.get("/b%20%26%20c.txt").await.text(), "12345");
}

#[tokio::test]
async fn an_index_takes_the_listings_place() {
    let server = Server::start(false).await;
    assert!(server.get("/").await.text().contains("Files in /"));
    server.directory.write("index.html", "<p>hello");
    server.directory.write("sub/index.html", "<p>sub");
    assert_eq!(server.get("/").await.text(), "<p>hello");
    let answer = server.get("/sub?q=1").await;
    assert_eq!((answer.status, answer.header("location")), (301, Some("/sub/?q=1")));
    assert_eq!(server.get("/sub/").await.text(), "<p>sub");
    std::fs::remove_file(server.directory.path().join("index.html")).unwrap();
    assert!(server.get("/").await.text().contains("Files in /"));
}

#[tokio::test]
async fn a_redirect_stays_on_the_server() {
    let server = Server::start(false).await;
    server.directory.write("example.com/x", "");
    let answer = server.get("//example.com").await;
    assert_eq!((answer.status, answer.header("location")), (301, Some("/example.com/")));
}

#[tokio::test]
async fn head_is_get_without_octets() {
    let server = Server::start(false).await;
    server.directory.write("small.txt", "12345");
    server.directory.write("large.bin", noise(200_000));
    let mut client = server.client().await;
    for (path, length) in [("/small.txt", "5"), ("/large.bin", "200000")] {
        let head = client.ask(&format!("HEAD {path}")).await;
        assert_eq!((head.status, head.header("content-length")), (200, Some(length)));
        let get = client.ask(&format!("GET {path}")).await;
        assert_eq!(get.body.len().to_string(), length);
        for name in ["etag", "last-modified", "content-type", "accept-ranges"] {
            assert_eq!(head.header(name), get.header(name));
            assert!(head.header(name).is_some(), "{name}");
        }
    }
    let listing = client.ask("HEAD /").await;
    assert_eq!(
        listing.header("content-length").map(str::to_owned),
        client.ask("GET /").await.header("content-length").map(str::to_owned)
    );
}

#[tokio::test]
async fn conditions_are_kept() {
    let server = Server::start(false).await;
    server.directory.write("x", "12345");
    let first = server.get("/x").await;
    let (tag, date) = (first.header("etag").unwrap(), first.header("last-modified").unwrap());
    let future = "Fri, 01 Jan 2100 00:00:00 GMT";
    let past = "Sat, 01 Jan 2000 00:00:00 GMT";
    for (header, status) in [
        (format!("If-None-Match: {tag}"), 304),
        (format!("If-None-Match: \"x\", W/{tag}"), 304),
        ("If-None-Match: *".into(), 304),
        ("If-None-Match: \"x\"".into(), 200),
        (format!("If-Modified-Since: {date}"), 304),
        (format!("If-Modified-Since: {future}"), 304),
        (format!("If-Modified-Since: {past}"), 200),
        ("If-Modified-Since: yesterday".into(), 200),
        // The tag wins over the date.
        (format!("If-None-Match: \"x\"\nIf-Modified-Since: {date}"), 200),
        (format!("If-Match: {tag}"), 200),
        ("If-Match: *".into(), 200),
        (format!("If-Match: W/{tag}"), 412),
        ("If-Match: \"x\"".into(), 412),
        (format!("If-Unmodified-Since: {date}"), 200),
        (format!("If-Unmodified-Since: {past}"), 412),
    ] {
        let mut client = server.client().await;
        let answer = client.ask(&format!("GET /x\n{header}")).await;
        assert_eq!(answer.status, status, "{header}");
        if status == 304 {
            assert_eq!(answer.header("etag"), Some(tag));
            // RFC 9110 §8.6: a length would have to be that of the file.
            assert!(matches!(answer.header("content-length"), None | Some("5")));
        }
        // The stream is in step.
        assert_eq!(client.ask("GET /x").await.text(), "12345");
    }
}

#[tokio::test]
async fn nothing_outside_is_served() {
    let server = Server::start(true).await;
    let outside = crate::client::Directory::new();
    let secret = outside.write("secret", "secret");
    let root = server.directory.path();
    server.directory.write("inside.txt", "inside");
    server.directory.write("sub/deep.txt", "deep");
    symlink(&secret, root.join("absolute")).unwrap();
    symlink(outside.path(), root.join("directory")).unwrap();
    symlink("../../../../../../../../etc/passwd", root.join("climbing")).unwrap();
    symlink("/proc/self/root", root.join("magic")).unwrap();
    symlink("inside.txt", root.join("relative")).unwrap();
    symlink(root.join("sub"), root.join("back")).unwrap();
    symlink("round", root.join("round")).unwrap();
    let name = outside.path().file_name().unwrap().to_str().unwrap().to_owned();
    for path in [
        "/../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/sub/../../etc/passwd",
        "/sub/%2e%2e/inside.txt",
        "//etc/passwd",
        "/%00",
        "/inside.txt%00.html",
        "/absolute",
        "/directory/secret",
        "/directory/",
        "/climbing",
        "/magic/etc/passwd",
        "/round",
        "/%",
        &format!("/../{name}/secret"),
    ] {
        let answer = server.get(path).await;
        assert!(matches!(answer.status, 400 | 403 | 404), "{path}: {}", answer.status);
        assert!(!answer.text().contains("secret") && !answer.text().contains("root:"), "{path}");
        let answer = server.ask(&format!("PUT {path}\nContent-Length: 0")).await;
        if !matches!(path, "//etc/passwd" | "/absolute" | "/climbing" | "/round") {
            assert!(matches!(answer.status, 400 | 403 | 404 | 409), "{path}: {}", answer.status);
        }
    }
    // What a PUT replaced was the symlink, not what it led to.
    assert_eq!(std::fs::read(&secret).unwrap(), b"secret");
    assert_eq!(server.get("/relative").await.text(), "inside");
    assert_eq!(server.get("/back/deep.txt").await.text(), "deep");
}

#[tokio::test]
async fn what_is_no_file_is_refused() {
    let server = Server::start(false).await;
    let pipe = server.directory.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from(0o600),
        0,
    )
    .unwrap();
    server.directory.write("file", "x");
    assert_eq!(server.get("/pipe").await.status, 403);
    assert_eq!(server.get("/file/").await.status, 404);
    assert_eq!(server.get("/file/below").await.status, 404);
    assert_eq!(server.get("/none").await.status, 404);
    let answer = server.get("/none").await;
    assert_eq!(answer.text(), "404 Not Found: there is nothing here\n");
    let answer = server.ask("GET /none\nAccept: text/html").await;
    assert!(answer.text().contains("<b>404 Not Found</b>"));
    let answer = server.ask("DELETE /file").await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD, OPTIONS")));
    let answer = server.ask("OPTIONS /file").await;
    assert_eq!((answer.status, answer.header("allow")), (204, Some("GET, HEAD, OPTIONS")));
}

#[tokio::test]
async fn a_change_shows_at_once() {
    let server = Server::start(false).await;
    let mut client = server.client().await;
    for round in 0..50u32 {
        server.directory.write("x", format!("{:04}", round));
        assert_eq!(client.ask("GET /x").await.text(), format!("{:04}", round));
    }
    // Old enough to be kept in memory; then changed without a change of length.
    tokio::time::sleep(Duration::from_millis(150)).await;
    for _ in 0..3 {
        assert_eq!(client.ask("GET /x").await.text(), "0049");
    }
    server.directory.write("x", "gone");
    assert_eq!(client.ask("GET /x").await.text(), "gone");
    std::fs::remove_file(server.directory.path().join("x")).unwrap();
    assert_eq!(client.ask("GET /x").await.status, 404);
}

#[tokio::test]
async fn streams_are_kept_and_requests_queue() {
    let server = Server::start(false).await;
    server.directory.write("a", "first");
    server.directory.write("b", noise(300_000));
    let mut client = server.client().await;
    for _ in 0..20 {
        client.send("GET /a").await;
        client.send("HEAD /b").await;
        client.send("GET /b").await;
    }
    for _ in 0..20 {
        assert_eq!(client.answer(false).await.text(), "first");
        assert_eq!(client.answer(true).await.status, 200);
        assert!(client.answer(false).await.body == noise(300_000));
    }
}

#[tokio::test]
async fn sixty_four_mebibytes_arrive_unchanged() {
    let server = Server::start(false).await;
    let content = noise(64 << 20);
    server.directory.write("big", &content);
    let answer = server.get("/big").await;
    assert_eq!(answer.header("content-length"), Some("67108864"));
    assert!(answer.body == content);
}

#[tokio::test]
async fn half_a_stream_is_enough_for_an_answer() {
    let server = Server::start(false).await;
    server.directory.write("x", noise(1 << 20));
    let mut client = server.client().await;
    client.send("GET /x\nConnection: close").await;
    client.stream.get_mut().shutdown().await.unwrap();
    assert!(client.answer(false).await.body == noise(1 << 20));
    assert_eq!(client.stream.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_stop_lets_answers_finish() {
    let server = Server::start(false).await;
    server.directory.write("x", noise(8 << 20));
    let mut busy = server.client().await;
    let mut idle = server.client().await;
    assert_eq!(idle.ask("HEAD /x").await.status, 200);
    busy.send("GET /x").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let reading = tokio::spawn(async move { busy.answer(false).await });
    server.stop().await;
    assert!(reading.await.unwrap().body == noise(8 << 20));
    assert_eq!(idle.stream.read(&mut [0]).await.unwrap(), 0);
}
