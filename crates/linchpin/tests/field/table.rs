//! The table of bugs in `README.md` names what exists, and every test here.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const TABLE: &str = include_str!("README.md");

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The names between backticks in the last column of each row.
fn witnesses() -> impl Iterator<Item = &'static str> {
    let rows =
        TABLE.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---") && !line.starts_with("| bug"));
    rows.flat_map(|row| {
        let columns: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        assert_eq!(columns.len(), 4, "a row has four columns: {row}");
        let names: Vec<&str> = columns[3].split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "nothing shows this: {row}");
        names
    })
}

/// The tests in a source: functions that a line of attributes with `#[test]` stands before.
fn tests_in(path: &Path) -> BTreeSet<String> {
    let Ok(text) = fs::read_to_string(path) else { return BTreeSet::new() };
    let mut is_test = false;
    let mut names = BTreeSet::new();
    for line in text.lines().map(str::trim) {
        if line == "#[test]" {
            is_test = true;
        } else if let Some(rest) = line.strip_prefix("fn ")
            && std::mem::take(&mut is_test)
        {
            names.extend(rest.split_once('(').map(|(name, _)| name.to_owned()));
        }
    }
    names
}

/// Whether a name of the table stands for a test, a program that must not compile, or a file.
fn exists(name: &str) -> bool {
    let Some((file, test)) = name.split_once("::") else {
        return ["tests", ".."].iter().any(|root| package().join(root).join(name).is_file());
    };
    let paths: Vec<PathBuf> =
        ["tests", "src"].iter().map(|root| package().join(root).join(format!("{file}.rs"))).collect();
    paths.iter().any(|path| tests_in(path).contains(test))
}

#[test]
fn the_table_names_what_exists() {
    let gone: Vec<&str> = witnesses().filter(|name| !exists(name)).collect();
    assert!(gone.is_empty(), "README.md names what does not exist: {gone:#?}");
    // That this could be noticed.
    assert!(exists("field/pins::a_slot_forgets_its_pins") && exists("ui/gc_in_arc.rs"));
    assert!(!exists("field/pins::a_slot_remembers_its_pins") && !exists("ui/gc_in_ark.rs"));
    assert!(!exists("field/pins::touch"), "a function, but no test");
}

#[test]
fn every_test_here_has_its_row() {
    let named: BTreeSet<&str> = witnesses().collect();
    let directory = package().join("tests/field");
    let mut missing = Vec::new();
    for file in ["brands", "drops", "layout", "pins", "threads", "tracing"] {
        let tests = tests_in(&directory.join(format!("{file}.rs")));
        assert!(!tests.is_empty(), "{file} has no tests");
        let names = tests.into_iter().map(|test| format!("field/{file}::{test}"));
        missing.extend(names.filter(|name| !named.contains(name.as_str())));
    }
    let files = fs::read_dir(&directory).expect("the directory of these tests").count();
    assert_eq!(files, 9, "there is a file that this test does not know");
    for entry in fs::read_dir(package().join("tests/ui")).expect("the programs that must not compile").flatten() {
        let name = format!("ui/{}", entry.file_name().to_string_lossy());
        if name.ends_with(".rs") && !named.contains(name.as_str()) {
            missing.push(name);
        }
    }
    assert!(missing.is_empty(), "README.md does not name: {missing:#?}");
}
