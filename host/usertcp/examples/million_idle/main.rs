//! An HTTP/1.1 keep-alive server whose idle connections own no task.
//!
//! ```text
//! million_idle --demo COUNT                          with as many clients, in this process
//! million_idle ADDRESS:PORT TUN KERNEL_ADDRESS/24    over a TUN device, as root: for curl
//! ```
//! For instance `million_idle 10.77.0.2:80 ut0 10.77.0.1/24`, then `curl http://10.77.0.2/one http://10.77.0.2/two`.

mod clients;
mod server;
#[path = "../support/mod.rs"]
mod support;

use std::error::Error;
use std::sync::Arc;
use support::demo::{self, Demo};
use usertcp::{IdleStreams, TcpListener};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (count, words) = demo::arguments();
    let Some(count) = count else {
        let (stack, address) = demo::tun_stack(&words)?;
        let listener = TcpListener::bind(&stack, address).await?;
        let idle = Arc::new(IdleStreams::new(&stack)?);
        return tokio::select! {
            ended = server::run(listener, Arc::clone(&idle)) => Ok(ended?),
            () = demo::watch(&stack, || idle.len()) => Ok(()),
        };
    };
    let demo = Demo { count, talk: 100_000.min(count), verbose: true };
    let before = demo::resident_octets();
    let (stack, told) = demo::stack_with(&demo, clients::Browsers)?;
    let idle = Arc::new(IdleStreams::new(&stack)?);
    tokio::spawn(server::run(demo::listen(&stack).await?, Arc::clone(&idle)));
    let outcome = demo::run(&demo, &stack, &told, &idle, before).await?;
    outcome.print(&demo);
    if outcome.wrong > 0 {
        return Err("the server did not answer as it should".into());
    }
    Ok(())
}
