//! The example cache server: started, talked to, and ended.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::tools::{cargo, is_installed, run, target_directory};

/// What is asked in one go, and what must come back: entries are set, had, counted up, and gone when all is removed.
const TALK: [(&str, &str); 8] = [
    ("PING\r\n", "+PONG\r\n"),
    ("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\n\r\n\r\n", "+OK\r\n"),
    ("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", "$2\r\n\r\n\r\n"),
    ("SET n 41 EX 1000\r\n", "+OK\r\n"),
    ("INCR n\r\n", ":42\r\n"),
    ("TTL n\r\n", ":1000\r\n"),
    ("FLUSHALL\r\n", "+OK\r\n"),
    ("MGET k n\r\n", "*2\r\n$-1\r\n$-1\r\n"),
];

/// A program that is ended when we are through with it, however.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, unless something went wrong.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) fn run_it() -> Result<&'static str> {
    run(cargo().args(["build", "--release", "--package", "linchpin-cache-server"]))?;
    let program = target_directory().join("release").join("linchpin-cache-server");
    println!("xtask: {program:?} --port 0 --max-entries 1000");
    let child = Command::new(&program)
        .args(["--port", "0", "--max-entries", "1000"])
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {program:?}"))?;
    let mut server = Running(child);
    let mut output = BufReader::new(server.0.stdout.take().expect("it is piped"));
    let mut line = String::new();
    output.read_line(&mut line)?;
    let address = line.trim().strip_prefix("listening at ").context("it does not tell where it listens")?.to_owned();

    talk(&address)?;
    let redis_cli = if is_installed(Command::new("redis-cli").arg("--version")) {
        talk_by_redis_cli(&address)?;
        "redis-cli agrees"
    } else {
        "SKIPPED: redis-cli is not installed"
    };
    TcpStream::connect(&address)?.write_all(b"SHUTDOWN\r\n")?;
    output.read_to_string(&mut line)?;
    let status = server.0.wait()?;
    ensure!(status.success() && line.ends_with("ended\n"), "the server ended with {status}, and wrote {line:?}");
    Ok(redis_cli)
}

fn talk(address: &str) -> Result<()> {
    let mut client = TcpStream::connect(address)?;
    // A server that does not answer is a finding, not a reason to wait for ever.
    client.set_read_timeout(Some(Duration::from_secs(60)))?;
    let requests: String = TALK.iter().map(|(request, _)| *request).collect();
    client.write_all(requests.as_bytes())?;
    for (request, expected) in TALK {
        let mut reply = vec![0; expected.len()];
        client.read_exact(&mut reply).with_context(|| format!("no reply to {request:?}"))?;
        ensure!(reply == expected.as_bytes(), "{} in reply to {request:?}", reply.escape_ascii());
    }
    // More than there is room for.
    let requests: String = (0..5_000).map(|number| format!("SET key{number} {number}\r\n")).collect();
    client.write_all(format!("{requests}QUIT\r\n").as_bytes())?;
    let mut replies = String::new();
    client.read_to_string(&mut replies)?;
    ensure!(replies == "+OK\r\n".repeat(5_001), "not all entries were set");
    Ok(())
}

fn talk_by_redis_cli(address: &str) -> Result<()> {
    let port = address.rsplit(':').next().context("an address has a port")?;
    for (arguments, expected) in
        [(&["PING"][..], "PONG\n"), (&["SET", "k", "two words"], "OK\n"), (&["GET", "k"], "two words\n")]
    {
        let mut command = Command::new("redis-cli");
        command.args(["-p", port]).args(arguments);
        println!("xtask: {command:?}");
        let output = command.output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success() && text == expected, "{command:?} wrote {text:?}");
    }
    let size = Command::new("redis-cli").args(["-p", port, "DBSIZE"]).output()?;
    let size: usize = String::from_utf8_lossy(&size.stdout).trim().parse().context("DBSIZE is a number")?;
    // Each shard has its share, rounded up.
    ensure!((1..=1_016).contains(&size), "{size} entries, which may be 1000");
    Ok(())
}
