//! The table at the head of `verdict.rs` names every fault once, and files that exist.

use std::path::Path;

use linchpin_model::Fault;

/// The rows of the table: the source and the variants of each part.
fn rows() -> Vec<(String, Vec<String>)> {
    let text = include_str!("../src/verdict.rs");
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | "));
    let cells = rows.filter(|row| !row.starts_with("part ") && !row.starts_with("---")).map(|row| {
        let cells: Vec<&str> = row.trim_end_matches('|').split('|').collect();
        assert_eq!(cells.len(), 3, "{row}");
        let names = cells[2].split(',').map(|name| name.trim().trim_matches('`').to_owned()).collect();
        (cells[1].trim().trim_matches('`').to_owned(), names)
    });
    cells.collect()
}

#[test]
fn every_fault_stands_in_the_table_once() {
    let mut named: Vec<String> = rows().into_iter().flat_map(|(_, names)| names).collect();
    let mut faults: Vec<String> = Fault::ALL.iter().map(ToString::to_string).collect();
    named.sort();
    faults.sort();
    assert_eq!(named, faults);
}

#[test]
fn the_table_names_files_of_the_library() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../linchpin/src");
    let files: Vec<String> = rows().into_iter().map(|(file, _)| file).filter(|file| !file.is_empty()).collect();
    assert!(files.len() > 30, "{files:?}");
    for file in files {
        assert!(source.join(&file).is_file(), "{file}");
    }
}
