//! The server over a real connection, with a clock that only the test sets.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use linchpin_cache_server::clock::Clock;
use linchpin_cache_server::protocol::Limits;
use linchpin_cache_server::server::{Server, ServerOptions};
use linchpin_cache_server::store::{Store, StoreOptions};

/// A server on a free port, whose clock stands still.
fn server() -> (Server, Arc<AtomicU64>) {
    let limits = Limits { argument_bytes: 1 << 20, arguments: 16, ..Limits::default() };
    server_with(ServerOptions { max_clients: 8, limits, expiry_interval: None })
}

fn server_with(options: ServerOptions) -> (Server, Arc<AtomicU64>) {
    let (clock, time) = Clock::manual();
    let store = Store::new(&StoreOptions { clock, ..StoreOptions::default() }).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    (Server::start(listener, store, options).unwrap(), time)
}

fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.address()).unwrap()
}

/// Reads so many bytes as are expected, which they must be.
#[track_caller]
fn expect(client: &mut TcpStream, expected: impl AsRef<[u8]>) {
    let expected = expected.as_ref();
    let mut reply = vec![0; expected.len()];
    client.read_exact(&mut reply).unwrap();
    assert_eq!(reply, expected, "{} instead of {}", reply.escape_ascii(), expected.escape_ascii());
}

#[track_caller]
fn ask(client: &mut TcpStream, request: &str, reply: &str) {
    // In one piece: the system holds a second one back until the first has been acknowledged.
    client.write_all(format!("{request}\r\n").as_bytes()).unwrap();
    expect(client, format!("{reply}\r\n"));
}

/// Sets `k` to a value of one megabyte, and gives that.
fn set_megabyte(client: &mut TcpStream) -> String {
    let value = "x".repeat(1 << 20);
    client.write_all(format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n{value}\r\n", value.len()).as_bytes()).unwrap();
    expect(client, "+OK\r\n");
    value
}

/// Reads until the server closes the connection.
fn rest(mut client: TcpStream) -> String {
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    String::from_utf8(rest).unwrap()
}

#[test]
fn each_command() {
    let (server, time) = server();
    let mut client = connect(&server);
    for (request, reply) in [
        ("PING", "+PONG"),
        ("ping hello", "$5\r\nhello"),
        ("ECHO 'two words'", "$9\r\ntwo words"),
        ("GET k", "$-1"),
        ("SET k v", "+OK"),
        ("GET k", "$1\r\nv"),
        ("SET k w NX", "$-1"),
        ("SET k w xx", "+OK"),
        ("SET k w NX XX", "-ERR syntax error"),
        ("SET k w EX", "-ERR syntax error"),
        ("SET k w EX 1 PX 1", "-ERR syntax error"),
        ("SET k w EX 0", "-ERR invalid expire time in 'set' command"),
        ("SET k w EX x", "-ERR value is not an integer or out of range"),
        ("SET k w KEEPTTL", "-ERR syntax error"),
        ("SET", "-ERR wrong number of arguments for 'set' command"),
        ("EXISTS k k none", ":2"),
        ("TTL k", ":-1"),
        ("TTL none", ":-2"),
        ("EXPIRE none 1", ":0"),
        ("EXPIRE k 10", ":1"),
        ("TTL k", ":10"),
        ("PTTL k", ":10000"),
        ("PEXPIRE k 1499", ":1"),
        ("TTL k", ":1"),
        ("EXPIRE k 9223372036854775807", "-ERR invalid expire time"),
        ("EXPIRE k soon", "-ERR value is not an integer or out of range"),
        ("EXPIRE k -1", ":1"),
        ("EXISTS k", ":0"),
        ("INCR n", ":1"),
        ("INCR n", ":2"),
        ("DECR n", ":1"),
        ("MSET a 1 b 2 c x", "+OK"),
        ("MSET a 1 b", "-ERR wrong number of arguments for 'mset' command"),
        ("INCR c", "-ERR value is not an integer or out of range"),
        ("MGET a none c", "*3\r\n$1\r\n1\r\n$-1\r\n$1\r\nx"),
        ("DBSIZE", ":4"),
        ("DEL a b none", ":2"),
        ("DBSIZE", ":2"),
        ("CONFIG GET save", "*2\r\n$4\r\nsave\r\n$0\r\n"),
        ("CONFIG GET appendonly", "*2\r\n$10\r\nappendonly\r\n$2\r\nno"),
        ("CONFIG GET other", "*0"),
        ("COMMAND DOCS", "*0"),
        ("FLUSHALL", "+OK"),
        ("DBSIZE", ":0"),
        ("NONSENSE 1", "-ERR unknown command 'NONSENSE'"),
        ("SET k v EX 2", "+OK"),
    ] {
        ask(&mut client, request, reply);
    }
    time.fetch_add(1_999, Ordering::Relaxed);
    ask(&mut client, "GET k", "$1\r\nv");
    time.fetch_add(1, Ordering::Relaxed);
    ask(&mut client, "GET k", "$-1");
    ask(&mut client, "QUIT", "+OK");
    assert_eq!(rest(client), "");
}

#[test]
fn info_tells_figures() {
    let (server, _) = server();
    let mut client = connect(&server);
    client.write_all(b"SET k v\r\nGET k\r\nGET none\r\nINFO\r\nQUIT\r\n").unwrap();
    let text = rest(client);
    for line in ["entries:1", "keyspace_hits:1", "keyspace_misses:1", "evicted_keys:0"] {
        assert!(text.lines().any(|found| found == line), "no {line} in {text}");
    }
}

#[test]
fn requests_in_pieces_and_many_at_once() {
    let (server, _) = server();
    let mut client = connect(&server);
    let binary = b"*3\r\n$3\r\nSET\r\n$3\r\n\r\n\0\r\n$4\r\n\xff\r\n*\r\n*2\r\n$3\r\nGET\r\n$3\r\n\r\n\0\r\n";
    client.set_nodelay(true).unwrap();
    for byte in binary {
        client.write_all(&[*byte]).unwrap();
    }
    expect(&mut client, b"+OK\r\n$4\r\n\xff\r\n*\r\n");

    let count = 2_000;
    let requests: String = (0..count).map(|_| "INCR n\r\n").collect();
    let replies: String = (1..=count).map(|number| format!(":{number}\r\n")).collect();
    client.write_all(requests.as_bytes()).unwrap();
    expect(&mut client, replies);
}

#[test]
fn a_large_value_comes_back() {
    let (server, _) = server();
    let mut client = connect(&server);
    let value = set_megabyte(&mut client);
    client.write_all(b"MGET k k k\r\n").unwrap();
    let bulk = format!("${}\r\n{value}\r\n", value.len());
    expect(&mut client, format!("*3\r\n{bulk}{bulk}{bulk}"));
}

#[test]
fn what_is_no_request_ends_the_connection_and_no_other() {
    let (server, _) = server();
    let mut other = connect(&server);
    ask(&mut other, "SET k v", "+OK");
    for (request, error) in [
        ("*1\r\n:1\r\n", "expected '$', got ':'"),
        ("*17\r\n", "invalid multibulk length"),
        ("*1\r\n$1048577\r\n", "invalid bulk length"),
        ("*1\r\n$99999999999999999999\r\n", "invalid bulk length"),
        ("GET 'k\r\n", "unbalanced quotes in request"),
    ] {
        let mut client = connect(&server);
        client.write_all(b"PING\r\n").unwrap();
        expect(&mut client, "+PONG\r\n");
        client.write_all(request.as_bytes()).unwrap();
        assert_eq!(rest(client), format!("-ERR Protocol error: {error}\r\n"));
    }
    ask(&mut other, "GET k", "$1\r\nv");
}

#[test]
fn too_many_clients_are_told_so() {
    let (server, _) = server_with(ServerOptions { max_clients: 2, ..ServerOptions::default() });
    let mut clients = [connect(&server), connect(&server)];
    for client in &mut clients {
        ask(client, "PING", "+PONG");
    }
    assert_eq!(rest(connect(&server)), "-ERR max number of clients reached\r\n");
    ask(&mut clients[0], "PING", "+PONG");
}

#[test]
fn clients_at_once() {
    let (server, _) = server();
    thread::scope(|scope| {
        for number in 0..8 {
            let server = &server;
            scope.spawn(move || {
                let mut client = connect(server);
                for step in 0..200 {
                    ask(&mut client, &format!("SET key{number} {step}"), "+OK");
                    let text = step.to_string();
                    ask(&mut client, &format!("GET key{number}"), &format!("${}\r\n{text}", text.len()));
                    client.write_all(b"INCR all\r\n").unwrap();
                    let mut byte = [0];
                    while byte != *b"\n" {
                        client.read_exact(&mut byte).unwrap();
                    }
                }
            });
        }
    });
    assert_eq!(server.store().get(b"all", <[u8]>::to_vec), Some(b"1600".to_vec()));
}

#[test]
fn it_ends_when_asked_to_whatever_clients_do() {
    let (server, _) = server();
    let mut idle = connect(&server);
    ask(&mut idle, "PING", "+PONG");
    // One that takes no replies, of which there are far more than the system holds for it: the server waits for it.
    let mut deaf = connect(&server);
    set_megabyte(&mut deaf);
    deaf.write_all("MGET k k k k k k k k k k k k\r\n".repeat(100).as_bytes()).unwrap();
    let mut last = connect(&server);
    last.write_all(b"SHUTDOWN\r\n").unwrap();
    server.join();
    assert_eq!(rest(idle), "");
}

#[test]
fn it_ends_when_it_is_dropped_or_stopped() {
    let (server, _) = server();
    let mut client = connect(&server);
    ask(&mut client, "PING", "+PONG");
    drop(server);
    assert_eq!(rest(client), "");
    let (server, _) = server_with(ServerOptions::default());
    server.stopper()();
    server.join();
}
