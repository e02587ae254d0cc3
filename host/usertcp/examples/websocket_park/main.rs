//! A WebSocket server whose idle streams own no task and no WebSocket object.
//!
//! ```text
//! websocket_park --demo COUNT                          with as many clients, in this process
//! websocket_park ADDRESS:PORT TUN KERNEL_ADDRESS/24    over a TUN device, as root
//! ```
//! The demonstration opens COUNT WebSockets, lets them rest, has messages sent on 100,000 of them, chosen at
//! random, and checks each answer; then the server speaks to 10,000 clients unasked.

#![allow(clippy::float_arithmetic)] // for people to read

mod clients;
mod frames;
mod server;
#[path = "../support/mod.rs"]
mod support;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use support::demo::{self, Demo};
use support::peers::SERVER;
use usertcp::{IdleStreams, TcpListener};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (count, words) = demo::arguments();
    let Some(count) = count else {
        let (builder, address) = demo::over_tun(&words)?;
        let stack = builder.start()?;
        let listener = TcpListener::bind(&stack, address).await?;
        let clients = Arc::new(server::Clients::new(IdleStreams::new(&stack)?));
        return tokio::select! {
            ended = server::run(listener, Arc::clone(&clients)) => Ok(ended?),
            () = demo::watch((&stack, &clients.idle)) => Ok(()),
        };
    };
    let demo = Demo { count, talk: 100_000.min(count), verbose: true };
    let before = demo::resident_octets();
    let (builder, told) = demo::with_clients(&demo, clients::Chatters);
    let stack = builder.start()?;
    let clients = Arc::new(server::Clients::new(IdleStreams::new(&stack)?));
    let listener = TcpListener::bind_with(&stack, SERVER.into(), demo::listening()).await?;
    tokio::spawn(server::run(listener, Arc::clone(&clients)));
    let outcome = demo::run(&demo, (&stack, &clients.idle), &told, before).await?;
    outcome.print(&demo);
    let (begun, mut pushed) = (Instant::now(), 0);
    for number in demo::choose(&Demo { talk: 10_000.min(count), ..demo }) {
        pushed += u64::from(clients.push(number, clients::NEWS).await?);
    }
    while told.pushed.load(Ordering::Relaxed) < pushed {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    println!(
        "{pushed} told something unasked in {:.2} s; {:.1} MB after",
        begun.elapsed().as_secs_f64(),
        demo::resident_octets() as f64 / 1e6
    );
    if told.wrong.load(Ordering::Relaxed) > 0 || pushed < u64::from(10_000.min(count)) {
        return Err("the server did not answer as it should".into());
    }
    Ok(())
}
