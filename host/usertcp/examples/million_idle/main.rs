//! An HTTP/1.1 keep-alive server whose idle connections own no task.
//!
//! ```text
//! million_idle --demo COUNT                          with as many clients, in this process
//! million_idle ADDRESS:PORT TUN KERNEL_ADDRESS/24    over a TUN device, as root: for curl
//! ```
//! For instance `million_idle 10.77.0.2:80 ut0 10.77.0.1/24`, then `curl http://10.77.0.2/one http://10.77.0.2/two`.
//! With `--local` the stack runs on the program's own thread (`LocalStack`), else on one of its own.

mod clients;
mod server;
#[path = "../support/mod.rs"]
mod support;

use std::error::Error;
use std::rc::Rc;
use std::sync::Arc;
use support::demo::{self, Demo};
use support::peers::SERVER;
use usertcp::{IdleStreams, LocalIdleStreams, LocalListener, TcpListener};

#[tokio::main(flavor = "local")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (count, mut words) = demo::arguments();
    let given = words.len();
    words.retain(|word| word != "--local");
    let local = words.len() < given;
    match count {
        Some(count) => demonstrate(count, local).await,
        None => serve(&words, local).await,
    }
}

/// Serves over TUN until the stack ends.
async fn serve(words: &[String], local: bool) -> Result<(), Box<dyn Error>> {
    let (builder, address) = demo::over_tun(words)?;
    if local {
        let (stack, driver) = builder.start_local()?;
        tokio::task::spawn_local(driver);
        let listener = LocalListener::bind(&stack, address)?;
        let idle = Rc::new(LocalIdleStreams::new(&stack)?);
        return tokio::select! {
            ended = server::run_local(listener, Rc::clone(&idle)) => Ok(ended?),
            () = demo::watch((&stack, &*idle)) => Ok(()),
        };
    }
    let stack = builder.start()?;
    let listener = TcpListener::bind(&stack, address).await?;
    let idle = Arc::new(IdleStreams::new(&stack)?);
    tokio::select! {
        ended = server::run(listener, Arc::clone(&idle)) => Ok(ended?),
        () = demo::watch((&stack, &*idle)) => Ok(()),
    }
}

async fn demonstrate(count: u32, local: bool) -> Result<(), Box<dyn Error>> {
    let demo = Demo { count, talk: 100_000.min(count), verbose: true };
    let before = demo::resident_octets();
    let (builder, told) = demo::with_clients(&demo, clients::Browsers);
    let outcome = if local {
        let (stack, driver) = builder.start_local()?;
        tokio::task::spawn_local(driver);
        let idle = Rc::new(LocalIdleStreams::new(&stack)?);
        let listener = LocalListener::bind_with(&stack, SERVER.into(), demo::listening())?;
        tokio::task::spawn_local(server::run_local(listener, Rc::clone(&idle)));
        demo::run(&demo, (&stack, &*idle), &told, before).await?
    } else {
        let stack = builder.start()?;
        let idle = Arc::new(IdleStreams::new(&stack)?);
        let listener = TcpListener::bind_with(&stack, SERVER.into(), demo::listening()).await?;
        tokio::spawn(server::run(listener, Arc::clone(&idle)));
        demo::run(&demo, (&stack, &*idle), &told, before).await?
    };
    outcome.print(&demo);
    if outcome.wrong > 0 {
        return Err("the server did not answer as it should".into());
    }
    Ok(())
}
