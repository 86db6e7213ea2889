//! What the documents name exists: files, tests and the names of things. So that they cannot rot unnoticed.

use std::fs;
use std::path::{Path, PathBuf};

/// Where a document's relative path may begin.
const ROOTS: [&str; 6] =
    ["", "crates/linchpin/", "crates/linchpin/src/", "crates/linchpin/tests/", "crates/linchpin-model/src/", "crates/"];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace").to_path_buf()
}

/// All Rust sources of the workspace, one after another.
fn sources() -> String {
    fn collect(directory: &Path, text: &mut String) {
        for entry in fs::read_dir(directory).expect("a directory of the workspace").flatten() {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("target") {
                collect(&path, text);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&fs::read_to_string(&path).expect("a source is text"));
            }
        }
    }
    let mut text = String::new();
    for part in ["crates", "xtask"] {
        collect(&workspace().join(part), &mut text);
    }
    text
}

/// What stands between backticks, outside blocks of code.
fn quoted(document: &str) -> Vec<&str> {
    document.split("```").step_by(2).flat_map(|text| text.split('`').skip(1).step_by(2)).collect()
}

fn find(path: &str) -> Option<PathBuf> {
    ROOTS.iter().map(|root| workspace().join(root).join(path)).find(|path| path.exists())
}

fn is_word(text: &str) -> bool {
    text.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// What is wrong with a quoted name, if it is one of ours.
fn problem(name: &str, sources: &str) -> Option<String> {
    if name.ends_with(".rs") && !name.contains([' ', '*', '{']) {
        return find(name).is_none().then(|| format!("there is no file `{name}`"));
    }
    if let Some((file, test)) = name.split_once("::")
        && file.chars().all(|letter| letter.is_ascii_lowercase() || "_/".contains(letter))
        && is_word(test)
        && let Some(path) = find(&format!("{file}.rs"))
    {
        let text = fs::read_to_string(path).expect("a source is text");
        return (!text.contains(&format!("fn {test}("))).then(|| format!("there is no test `{name}`"));
    }
    // A name in camel case of two words at least is one of ours; others may be the language's or a tool's.
    let capitals = name.chars().filter(char::is_ascii_uppercase).count();
    let is_camel = is_word(name) && name.starts_with(|first: char| first.is_ascii_uppercase());
    if is_camel && capitals >= 2 && name.chars().any(|letter| letter.is_ascii_lowercase()) {
        return (!sources.contains(name)).then(|| format!("nothing is called `{name}`"));
    }
    None
}

fn problems(document: &str, sources: &str) -> Vec<String> {
    let text = fs::read_to_string(workspace().join(document)).expect("the document exists");
    let names = quoted(&text);
    assert!(!names.is_empty(), "{document} quotes nothing");
    names.into_iter().filter_map(|name| problem(name, sources)).collect()
}

#[test]
fn the_documents_name_what_exists() {
    let sources = sources();
    for document in ["SAFETY.md", "ARCHITECTURE.md", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"] {
        let problems = problems(document, &sources);
        assert!(problems.is_empty(), "{document}: {problems:#?}");
    }
}

/// That the check above can fail.
#[test]
fn names_that_do_not_exist_are_noticed() {
    let sources = sources();
    let noticed = |name: &str| problem(name, &sources).is_some();
    assert!(noticed(&["collector", "barriers_gone.rs"].join("/")));
    assert!(noticed(&["processors", "no_such_test"].join("::")));
    assert!(noticed(&["Shade", "SomeOtherTime"].concat()));
    assert!(!noticed("collector/barrier.rs"));
    assert!(!noticed("processors::more_threads_than_processors_all_complete"));
    assert!(!noticed("ShadeAfterSwap"));
}
