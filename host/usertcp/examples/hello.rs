//! The README's program, whole: says hello to whoever connects to 10.77.0.2:80 over TUN.
//! `cargo run --release -p usertcp --example hello` (as root), then `curl http://10.77.0.2/`.

use std::error::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use usertcp::{Cidr, KernelCidr, Stack, TcpListener, TunConfig};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let tun = TunConfig {
        addresses: vec!["10.77.0.1/24".parse::<KernelCidr>()?],
        ..TunConfig::default()
    };
    let address: Cidr = "10.77.0.2/24".parse().map_err(|_| "no address")?;
    let stack = Stack::builder().tun(tun).address(address).start()?;
    let listener = TcpListener::bind(&stack, "0.0.0.0:80".parse()?).await?;
    loop {
        let (mut stream, peer) = listener.accept().await?;
        println!("{peer}");
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).await?;
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello from user space\n").await?;
        stream.shutdown().await?;
    }
}
