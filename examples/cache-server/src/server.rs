//! Connections: a thread each, and how all of them end.

use std::collections::HashMap;
use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::command::{Next, execute};
use crate::protocol::{self, Limits};
use crate::reply::Replies;
use crate::store::Store;

/// Bytes that are asked of a connection at once.
const READ_BYTES: usize = 16 << 10;

/// What a server is to be like.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Connections at once; further ones are told so.
    pub max_clients: usize,
    /// The most that requests may be.
    pub limits: Limits,
    /// How often entries that have expired are looked for; never, unless it is told. (Nobody gets to see them anyway.)
    pub expiry_interval: Option<Duration>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self { max_clients: 1_000, limits: Limits::default(), expiry_interval: Some(Duration::from_millis(100)) }
    }
}

/// A server that runs.
pub struct Server {
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
}

/// What the threads of a server share.
struct Shared {
    store: Store,
    options: ServerOptions,
    address: SocketAddr,
    /// Nobody is to begin anything any more.
    ends: AtomicBool,
    connections: Mutex<Connections>,
    /// Notified when `ends` is set, for who waits for the time to pass.
    ended: Condvar,
}

#[derive(Default)]
struct Connections {
    last_id: u64,
    open: HashMap<u64, TcpStream>,
}

impl Server {
    /// Starts to serve what connects to `listener`.
    ///
    /// # Errors
    /// If the listener has no address, or the system refuses a thread.
    pub fn start(listener: TcpListener, store: Store, options: ServerOptions) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            store,
            options,
            address: listener.local_addr()?,
            ends: AtomicBool::new(false),
            connections: Mutex::default(),
            ended: Condvar::new(),
        });
        let thread = thread::Builder::new().name("cache-accept".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.serve(&listener)
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// What it stores.
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// How to end it from another thread.
    pub fn stopper(&self) -> impl Fn() + Send + 'static {
        let shared = Arc::clone(&self.shared);
        move || shared.end()
    }

    /// Waits until it has ended: by a client's SHUTDOWN, or a [`stopper`](Self::stopper).
    pub fn join(mut self) {
        self.wait();
    }

    fn wait(&mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic has been told of by its own thread.
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    /// Ends it: closes the connections, and waits until their threads have ended.
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.shared.end();
            self.wait();
        }
    }
}

impl Shared {
    /// Accepts connections until the end, then waits for their threads.
    fn serve(&self, listener: &TcpListener) {
        thread::scope(|scope| {
            if let Some(interval) = self.options.expiry_interval {
                let expirer = thread::Builder::new().name("cache-expiry".to_owned());
                if let Err(error) = expirer.spawn_scoped(scope, move || self.expire_until_the_end(interval)) {
                    eprintln!("cache-server: entries that expire stay until they are asked for: {error}");
                }
            }
            for stream in listener.incoming() {
                if self.ends.load(Ordering::Acquire) {
                    break;
                }
                // Whoever could not be accepted may come again; if the system has no room for more, some may go meanwhile.
                let Ok(stream) = stream else {
                    thread::sleep(Duration::from_millis(10));
                    continue;
                };
                let Some(connection) = self.open(&stream) else {
                    refuse(stream, "ERR max number of clients reached");
                    continue;
                };
                let client = thread::Builder::new().name("cache-client".to_owned());
                if client.spawn_scoped(scope, move || connection.serve(stream)).is_err() {
                    // The stream is gone with the closure, so the client sees the connection closed.
                    continue;
                }
            }
        });
    }

    /// Registers a connection, unless there are too many.
    fn open(&self, stream: &TcpStream) -> Option<Connection<'_>> {
        let clone = stream.try_clone().ok()?;
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if connections.open.len() >= self.options.max_clients {
            return None;
        }
        connections.last_id += 1;
        let id = connections.last_id;
        connections.open.insert(id, clone);
        Some(Connection { shared: self, id })
    }

    /// Has everybody end.
    fn end(&self) {
        let connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        self.ends.store(true, Ordering::Release);
        for stream in connections.open.values() {
            // It may be closed already. Both ways: who takes no replies must not keep the server from ending.
            let _ = stream.shutdown(Shutdown::Both);
        }
        drop(connections);
        self.ended.notify_all();
        // So that the thread that accepts looks up.
        let _ = TcpStream::connect(self.address);
    }

    fn expire_until_the_end(&self, interval: Duration) {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        while !self.ends.load(Ordering::Acquire) {
            connections = self
                .ended
                .wait_timeout(connections, interval)
                .map_or_else(|error| error.into_inner().0, |(connections, _)| connections);
            drop(connections);
            self.store.expire_due();
            connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A connection that is registered, until it is dropped.
struct Connection<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        let mut connections = self.shared.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.open.remove(&self.id);
    }
}

impl Connection<'_> {
    fn serve(self, stream: TcpStream) {
        // An error is the client's going away, or taking nothing more.
        if let Ok(Next::Shutdown) = self.answer(&stream) {
            self.shared.end();
        }
        let _ = stream.shutdown(Shutdown::Both);
    }

    /// Answers requests until one of them, or the client, ends that.
    fn answer(&self, mut stream: &TcpStream) -> io::Result<Next> {
        stream.set_nodelay(true)?;
        let mut replies = Replies::new(stream);
        let mut input = Input::default();
        while !self.shared.ends.load(Ordering::Acquire) {
            if input.read_from(&mut stream)? == 0 {
                break;
            }
            loop {
                let (next, length) = match protocol::parse(input.rest(), &self.shared.options.limits) {
                    Ok(None) => break,
                    Ok(Some(request)) => {
                        (execute(&self.shared.store, &request.arguments, &mut replies)?, request.length)
                    }
                    Err(error) => {
                        replies.error(&format!("ERR Protocol error: {error}"));
                        (Next::Close, 0)
                    }
                };
                input.consume(length);
                if next != Next::Request {
                    replies.send()?;
                    return Ok(next);
                }
                replies.send_if_much()?;
            }
            // What was asked for together is answered together.
            replies.send()?;
        }
        Ok(Next::Close)
    }
}

/// Tells a client why it is not served.
fn refuse(stream: TcpStream, why: &str) {
    let mut replies = Replies::new(stream);
    replies.error(why);
    // It may be gone already.
    let _ = replies.send();
}

/// What has come and was not used yet.
#[derive(Default)]
struct Input {
    bytes: Vec<u8>,
    used: usize,
    filled: usize,
}

impl Input {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.used..self.filled]
    }

    fn consume(&mut self, length: usize) {
        self.used += length;
    }

    /// Reads once; how much came.
    fn read_from(&mut self, stream: &mut impl Read) -> io::Result<usize> {
        if self.used > 0 {
            self.bytes.copy_within(self.used..self.filled, 0);
            self.filled -= self.used;
            self.used = 0;
        }
        if self.filled == 0 && self.bytes.len() > 16 * READ_BYTES {
            // One large request should not take up memory for the rest of the connection.
            self.bytes = Vec::new();
        }
        if self.bytes.len() < self.filled + READ_BYTES {
            // By half as much again, so that a long request is not moved with every piece of it.
            self.bytes.resize(self.filled + self.filled / 2 + READ_BYTES, 0);
        }
        loop {
            match stream.read(&mut self.bytes[self.filled..]) {
                Ok(count) => {
                    self.filled += count;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
