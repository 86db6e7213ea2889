//! The program: `linchpin-cache-server --port 6380 --max-bytes 100000000`.

#![forbid(unsafe_code)]

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::thread;

use anyhow::{Context, Result};
use clap::Parser;
use linchpin_cache_server::server::{Server, ServerOptions};
use linchpin_cache_server::store::{Store, StoreOptions};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// A cache server that speaks a small part of the Redis protocol, and whose entries live in a linchpin heap.
#[derive(Parser)]
struct Options {
    /// The address to listen at. There is no password: think twice before it is not this machine's own.
    #[arg(long, default_value = "127.0.0.1")]
    bind: IpAddr,
    /// The port to listen at; 0 for one that is free.
    #[arg(long, default_value_t = 6380)]
    port: u16,
    /// The most entries; beyond, what was not used for longest goes.
    #[arg(long, value_parser = positive)]
    max_entries: Option<usize>,
    /// The most bytes of keys, values and what goes with them; the heap takes two or three times that.
    #[arg(long, value_parser = positive)]
    max_bytes: Option<usize>,
    /// Parts with a lock and a share of the limits each.
    #[arg(long, default_value_t = 16, value_parser = positive)]
    shards: usize,
    /// Threads that may be at work in the heap at once [default: as many as there are cores].
    #[arg(long)]
    processors: Option<usize>,
    /// By how many percent the heap may grow before a cycle starts.
    #[arg(long, default_value_t = 100)]
    growth: u32,
    /// Connections at once.
    #[arg(long, default_value_t = 1_000)]
    max_clients: usize,
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("it is at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(format!("{error}")),
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    let store = Store::new(&StoreOptions {
        max_entries: options.max_entries,
        max_bytes: options.max_bytes,
        shards: options.shards,
        processors: options.processors,
        growth_percent: options.growth,
        ..StoreOptions::default()
    })?;
    let address = SocketAddr::new(options.bind, options.port);
    let listener = TcpListener::bind(address).with_context(|| format!("cannot listen at {address}"))?;
    let server =
        Server::start(listener, store, ServerOptions { max_clients: options.max_clients, ..ServerOptions::default() })?;
    println!("listening at {}", server.address());

    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let stop = server.stopper();
    let handle = signals.handle();
    let waiter = thread::spawn(move || signals.forever().next().into_iter().for_each(|_| stop()));
    server.join();
    handle.close();
    // It only ever calls the stopper.
    let _ = waiter.join();
    println!("ended");
    Ok(())
}
