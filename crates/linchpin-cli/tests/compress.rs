//! `linchpin compress` as a user runs it: what comes out decompresses to what went in, and what
//! goes wrong says so and leaves nothing behind.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::{Directory, gunzip, linchpin, noise, prose, run, skipped};

/// Runs `linchpin compress` with these arguments and expects it to succeed.
fn compress(directory: &Directory, arguments: &[&str]) -> String {
    let output = run(linchpin(directory.path()).arg("compress").args(arguments));
    assert!(output.status.success(), "{arguments:?}: {}", output.text());
    output.stdout
}

/// Runs `linchpin compress` with these arguments, expects it to fail, and returns its complaints.
fn refuse(directory: &Directory, arguments: &[&str]) -> String {
    let output = run(linchpin(directory.path()).arg("compress").args(arguments));
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", output.text());
    output.stderr
}

fn assert_decompresses(path: &Path, expected: &[u8]) {
    let compressed = fs::read(path).expect("the output can be read");
    assert!(gunzip(&compressed) == expected, "{} holds other bytes", path.display());
}

#[test]
fn files_of_all_sizes_come_back_as_they_were() {
    let directory = Directory::new();
    let contents: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("one", vec![b'x']),
        ("buffer", noise(1, 65_536)),
        ("buffer-and-one", noise(2, 65_537)),
        ("noise", noise(3, 5_000_000)),
        ("prose.txt", prose(4, 3_000_000)),
        ("zeroes", vec![0; 2_000_000]),
    ];
    let names: Vec<&str> = contents.iter().map(|(name, _)| *name).collect();
    for (name, content) in &contents {
        directory.write(name, content);
    }
    for (threads, level) in [("1", "1"), ("3", "6"), ("8", "9")] {
        let mut arguments = vec!["--threads", threads, "--level", level, "--verify", "--force"];
        arguments.extend(&names);
        let report = compress(&directory, &arguments);
        assert!(report.contains("7 compressed"), "{report}");
        assert!(report.contains(" 0 outstanding"), "{report}");
        for (name, content) in &contents {
            assert_decompresses(&directory.path().join(format!("{name}.gz")), content);
            assert!(fs::read(directory.path().join(name)).unwrap() == *content, "{name} changed");
        }
    }
    assert_eq!(directory.names().len(), 2 * contents.len(), "{:?}", directory.names());
}

#[test]
fn gzip_reads_the_outputs() {
    if Command::new("gzip").arg("--version").output().is_err() {
        return skipped("gzip_reads_the_outputs", "there is no gzip on the PATH");
    }
    let directory = Directory::new();
    for (name, content) in [("empty", Vec::new()), ("prose", prose(5, 700_000))] {
        directory.write(name, &content);
        compress(&directory, &[name]);
        let path = directory.path().join(format!("{name}.gz"));
        let tested = Command::new("gzip").arg("-t").arg(&path).status().expect("gzip runs");
        assert!(tested.success(), "gzip -t {name}.gz");
        let unpacked = Command::new("gzip").arg("-dc").arg(&path).output().expect("gzip runs");
        assert!(unpacked.stdout == content, "gzip -dc {name}.gz gives other bytes");
    }
}

#[test]
fn the_report_counts_pins() {
    let directory = Directory::new();
    // The buffers are 16 KiB, 128 KiB, 32 KiB, 256 KiB and so on: 200,000 bytes fill four.
    directory.write("data", &noise(6, 200_000));
    let report = compress(&directory, &["data"]);
    assert!(report.contains("pins      4 taken"), "{report}");
    assert!(report.contains("MB/s"), "{report}");
    assert!(report.contains("cycles"), "{report}");
    assert!(report.contains("ratio"), "{report}");
}

#[test]
fn outputs_go_to_the_directory_that_was_named() {
    let directory = Directory::new();
    directory.write("data", b"something");
    fs::create_dir(directory.path().join("out")).unwrap();
    compress(&directory, &["--output-dir", "out", "data"]);
    assert_decompresses(&directory.path().join("out/data.gz"), b"something");
    assert_eq!(directory.names(), ["data", "out"]);
}

#[test]
fn one_bad_file_does_not_stop_the_others() {
    let directory = Directory::new();
    directory.write("good", b"good");
    fs::create_dir(directory.path().join("folder")).unwrap();
    let complaints = refuse(&directory, &["missing", "good", "folder"]);
    assert!(complaints.contains("missing: cannot read it: No such file"), "{complaints}");
    assert!(complaints.contains("folder: is a directory"), "{complaints}");
    assert!(complaints.contains("2 of 3 files"), "{complaints}");
    assert_decompresses(&directory.path().join("good.gz"), b"good");
    assert_eq!(directory.names(), ["folder", "good", "good.gz"]);
}

#[test]
fn an_existing_output_stays_unless_forced() {
    let directory = Directory::new();
    directory.write("data", b"new");
    directory.write("data.gz", b"precious");
    let complaints = refuse(&directory, &["data"]);
    assert!(complaints.contains("exists already"), "{complaints}");
    assert_eq!(fs::read(directory.path().join("data.gz")).unwrap(), b"precious");
    compress(&directory, &["--force", "data"]);
    assert_decompresses(&directory.path().join("data.gz"), b"new");
    assert_eq!(directory.names(), ["data", "data.gz"]);
}

#[test]
fn two_inputs_may_not_have_one_output() {
    let directory = Directory::new();
    for folder in ["a", "b", "out"] {
        fs::create_dir(directory.path().join(folder)).unwrap();
    }
    directory.write("a/data", b"first");
    directory.write("b/data", b"second");
    let complaints = refuse(&directory, &["--output-dir", "out", "a/data", "b/data"]);
    assert!(complaints.contains("b/data: its output"), "{complaints}");
    assert_decompresses(&directory.path().join("out/data.gz"), b"first");

    let complaints = refuse(&directory, &["a/data", "./a/../a/data"]);
    assert!(complaints.contains("1 of 2 files"), "{complaints}");
    assert_decompresses(&directory.path().join("a/data.gz"), b"first");
}

#[test]
fn an_output_may_not_be_an_input() {
    let directory = Directory::new();
    directory.write("data", b"plain");
    directory.write("data.gz", b"input too");
    let complaints = refuse(&directory, &["--force", "data", "data.gz"]);
    assert!(complaints.contains("is an input too"), "{complaints}");
    assert_eq!(fs::read(directory.path().join("data.gz")).unwrap(), b"input too");
    assert_decompresses(&directory.path().join("data.gz.gz"), b"input too");
}

#[test]
fn what_is_no_regular_file_is_refused() {
    let directory = Directory::new();
    let complaints = refuse(&directory, &["--output-dir", ".", "/dev/zero", "/dev/null", ".."]);
    assert!(complaints.contains("/dev/zero: is not a regular file"), "{complaints}");
    assert!(complaints.contains("/dev/null: is not a regular file"), "{complaints}");
    assert!(complaints.contains("..: is a directory"), "{complaints}");
    assert!(directory.names().is_empty(), "{:?}", directory.names());
}

#[test]
fn a_file_without_read_permission_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let directory = Directory::new();
    let path = directory.write("secret", b"secret");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&path).is_ok() {
        return skipped("a_file_without_read_permission_is_refused", "root reads everything");
    }
    let complaints = refuse(&directory, &["secret"]);
    assert!(complaints.contains("secret: cannot read it: Permission denied"), "{complaints}");
    assert_eq!(directory.names(), ["secret"]);
}

#[test]
fn an_output_directory_that_cannot_be_used_is_refused() {
    let directory = Directory::new();
    directory.write("data", b"data");
    let complaints = refuse(&directory, &["--output-dir", "nowhere", "data"]);
    assert!(complaints.contains("nowhere: No such file"), "{complaints}");
    let complaints = refuse(&directory, &["--output-dir", "data", "data"]);
    assert!(complaints.contains("data is not a directory"), "{complaints}");
    // A directory that exists and takes no files, whoever asks.
    let complaints = refuse(&directory, &["--output-dir", "/proc", "data"]);
    assert!(complaints.contains("data: cannot write in /proc"), "{complaints}");
    assert_eq!(directory.names(), ["data"]);
}

#[test]
fn a_write_that_fails_midway_leaves_nothing() {
    let directory = Directory::new();
    directory.write("noise", &noise(7, 2_000_000));
    directory.write("small", b"small");
    // The limit on the size of files stands in for a full disk; with its signal ignored, a write
    // beyond it is an error like any other. It holds for a shell and what the shell becomes.
    let output = run(support::shell(directory.path())
        .arg(format!("trap '' XFSZ; ulimit -f 256; exec '{}' compress noise small", support::PROGRAM)));
    assert_eq!(output.status.code(), Some(1), "{}", output.text());
    assert!(output.stderr.contains("noise: cannot write"), "{}", output.text());
    assert!(output.stderr.contains("File too large"), "{}", output.text());
    assert_decompresses(&directory.path().join("small.gz"), b"small");
    assert_eq!(directory.names(), ["noise", "small", "small.gz"]);
}

#[test]
fn a_full_disk_leaves_nothing() {
    let directory = Directory::new();
    directory.write("noise", &noise(8, 2_000_000));
    fs::create_dir(directory.path().join("full")).unwrap();
    // Mounted in a namespace of the command's own, so nothing is left mounted afterwards.
    let mount = "mount -t tmpfs -o size=256k linchpin-test full";
    let probe = run(Command::new("unshare").current_dir(directory.path()).args(["-m", "sh", "-c", mount]));
    if !probe.status.success() {
        return skipped("a_full_disk_leaves_nothing", "this user cannot mount a file system");
    }
    let script =
        format!("{mount} && '{}' compress --output-dir full noise; echo \"code $?\"; ls -A full", support::PROGRAM);
    let output = run(Command::new("unshare").current_dir(directory.path()).args(["-m", "sh", "-c", &script]));
    assert!(output.stderr.contains("No space left on device"), "{}", output.text());
    assert!(output.stdout.ends_with("code 1\n"), "something was left: {}", output.text());
}

#[test]
fn an_output_has_the_permissions_of_its_source() {
    use std::os::unix::fs::PermissionsExt;
    let directory = Directory::new();
    let path = directory.write("data", b"data");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    compress(&directory, &["data"]);
    let output = fs::metadata(directory.path().join("data.gz")).unwrap();
    assert_eq!(output.permissions().mode() & 0o777, 0o640);
    assert_eq!(output.modified().unwrap(), fs::metadata(&path).unwrap().modified().unwrap());
}

#[test]
fn absurd_arguments_are_refused_by_name() {
    let directory = Directory::new();
    directory.write("data", b"data");
    for (option, value) in [("--threads", "0"), ("--level", "0"), ("--level", "10"), ("--threads", "many")] {
        let output = run(linchpin(directory.path()).args(["compress", option, value, "data"]));
        assert_eq!(output.status.code(), Some(2), "{}", output.text());
        assert!(output.stderr.contains(option), "{}", output.text());
    }
    let output = run(linchpin(directory.path()).arg("compress"));
    assert_eq!(output.status.code(), Some(2), "{}", output.text());
    assert_eq!(directory.names(), ["data"]);
}
