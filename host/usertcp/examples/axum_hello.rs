//! One axum program, served in four ways that differ only below the router:
//!
//! ```text
//! axum_hello kernel-send  ADDRESS          kernel sockets, axum::serve
//! axum_hello kernel-local ADDRESS          kernel sockets, tasks of this thread
//! axum_hello remote ADDRESS TUN PEER     usertcp's TcpListener, axum::serve
//! axum_hello local  ADDRESS TUN PEER     usertcp's LocalListener, tasks of this thread
//! ```
//! `verify/interop/axum.py` measures them beside each other.

use axum::{Router, routing::get};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use std::error::Error;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::spawn_local;
use usertcp::{Cidr, KernelCidr, LocalListener, Stack, TcpListener, TcpStream, TunConfig};

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["kernel-send", address] => kernel_send(address),
        ["kernel-local", address] => kernel_local(address),
        ["remote", address, tun, kernel_side] => remote(address, tun, kernel_side),
        ["local", address, tun, kernel_side] => local(address, tun, kernel_side),
        _ => Err("see the head of examples/axum_hello.rs".into()),
    }
}

fn app() -> Router {
    Router::new().route("/", get(|| async { "Hello, World!" }))
}

/// Serves one connection on this thread, with streams that need not be `Send`.
async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, app: Router) {
    let service = TowerToHyperService::new(app);
    // A connection that ends badly is its peer's affair.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

fn kernel_send(address: &str) -> Outcome {
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await?;
        Ok(axum::serve(listener, app()).await?)
    })
}

fn kernel_local(address: &str) -> Outcome {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    runtime.block_on(async {
        let (listener, app) = (tokio::net::TcpListener::bind(address).await?, app());
        loop {
            let (stream, _) = listener.accept().await?;
            spawn_local(serve(stream, app.clone()));
        }
    })
}

/// A stack behind a TUN device, for `address`, whose network is that of the kernel's side.
fn stack(
    address: SocketAddr,
    tun: &str,
    kernel_side: &str,
) -> Result<usertcp::Builder, Box<dyn Error>> {
    let kernel_side: KernelCidr = kernel_side.parse()?;
    let tun = TunConfig { name: tun.into(), addresses: vec![kernel_side], ..TunConfig::default() };
    let network: Cidr = format!("{}/24", address.ip()).parse().map_err(|_| "no address")?;
    Ok(Stack::builder().tun(tun).address(network))
}

struct Listener(TcpListener);

impl axum::serve::Listener for Listener {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            match self.0.accept().await {
                Ok(accepted) => return accepted,
                // The stack was shut down: no connection will come any more.
                Err(_) => std::future::pending().await,
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

fn remote(address: &str, tun: &str, kernel_side: &str) -> Outcome {
    let address: SocketAddr = address.parse()?;
    let stack = stack(address, tun, kernel_side)?.start()?;
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = Listener(TcpListener::bind(&stack, address).await?);
        Ok(axum::serve(listener, app()).await?)
    })
}

fn local(address: &str, tun: &str, kernel_side: &str) -> Outcome {
    let address: SocketAddr = address.parse()?;
    let builder = stack(address, tun, kernel_side)?;
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    runtime.block_on(async {
        let (stack, driver) = builder.start_local()?;
        spawn_local(driver);
        let (listener, app) = (LocalListener::bind(&stack, address)?, app());
        loop {
            let (stream, _) = listener.accept().await?;
            spawn_local(serve(stream, app.clone()));
        }
    })
}
