//! The page that shows tables and plots, and the same as documents of the repository.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};

use super::plots;
use super::programs::Peer;
use super::summary::Summary;
use super::{tables, write_file};

const STYLE: &str = "body{font:15px/1.5 sans-serif;max-width:76em;margin:2em auto;padding:0 1em;color:#282828}\
    table{border-collapse:collapse;margin:1em 0}td,th{padding:.2em .7em;border-bottom:1px solid #ddd;text-align:right;\
    white-space:nowrap}td:first-child{text-align:left}img{max-width:100%;display:block}pre{overflow:auto;font-size:13px}";

const LEGEND: &str = "Medians; in parentheses the ratio to Linchpin's: 2x is twice as much as Linchpin takes. Spread: by how \
    much the times lie apart. CPU s: user and system time of the process, set-up included; compared only where all do the same \
    work. Peak MB: the most memory that was resident. Longest wait: of any mutation on behalf of the collector.";

/// What was measured with what: lines of a list.
pub(super) fn head(peers: &[Peer], missing: &[String], count: u64) -> Vec<String> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let information = read("/proc/cpuinfo");
    let model = information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let mut lines = vec![format!(
        "{}, {cores} core(s), Linux {}; {count} round(s), by turns",
        model.map_or("an unknown processor", |(_, model)| model),
        kernel.trim(),
    )];
    lines.extend(peers.iter().map(|peer| format!("{}: {}", peer.name, peer.version)));
    lines.extend(missing.iter().cloned());
    lines
}

/// Writes the plots and the page that shows them with the tables.
pub(super) fn write(directory: &Path, head: &[String], summaries: &[Summary], pinner: Option<&str>) -> Result<()> {
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Linchpin and its peers</title>\n\
         <style>{STYLE}</style></head><body>\n<h1>Linchpin and its peers</h1>\n<ul>\n"
    );
    for line in head {
        writeln!(page, "<li>{}</li>", escaped(line))?;
    }
    writeln!(page, "</ul>\n<p>{LEGEND}</p>")?;
    for summary in summaries {
        writeln!(page, "<h2>{}</h2>\n<table>", escaped(&tables::heading(summary)))?;
        for (index, row) in tables::cells(summary).iter().enumerate() {
            let tag = if index == 0 { "th" } else { "td" };
            let cells: String = row.iter().map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell))).collect();
            writeln!(page, "<tr>{cells}</tr>")?;
        }
        writeln!(page, "</table>")?;
        for note in tables::notes(summary) {
            writeln!(page, "<p>{}</p>", escaped(&note))?;
        }
        for plot in plots::of(summary)? {
            write_file(&directory.join(&plot.file), &plot.svg)?;
            writeln!(page, "<img src=\"{}\" alt=\"{}\">", plot.file, escaped(&plot.what))?;
        }
    }
    if let Some(text) = pinner {
        writeln!(page, "<h2>pinner</h2>\n<pre>{}</pre>", escaped(text))?;
    }
    page.push_str("</body></html>\n");
    write_file(&directory.join("index.html"), &page)
}

/// The same as a document of the repository, with its plots beside it.
pub(super) fn write_documents(
    directory: &Path,
    head: &[String],
    summaries: &[Summary],
    pinner: Option<&str>,
) -> Result<()> {
    std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let mut text = format!("# Linchpin and its peers\n\nWritten by `cargo xtask peers --write-docs`. {LEGEND}\n\n");
    for line in head {
        writeln!(text, "- {line}")?;
    }
    for summary in summaries {
        write!(text, "\n{}", tables::render(summary))?;
        for plot in plots::of(summary)? {
            write_file(&directory.join(&plot.file), &plot.svg)?;
            write!(text, "\n![{}]({})\n", plot.what, plot.file)?;
        }
    }
    if let Some(pinner) = pinner {
        write!(text, "\n### pinner\n\n```text\n{}\n```\n", pinner.trim_end())?;
    }
    write_file(&directory.join("README.md"), &text)
}

/// For the text of a page.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::summary::tests::example;
    use super::*;

    #[test]
    fn pages_show_tables_plots_and_what_is_missing() {
        let directory = std::env::temp_dir().join(format!("linchpin-peers-page-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let head = head(&[], &["missing: Go (no <go>)".to_owned()], 3);
        write(&directory, &head, &[example()], Some("Pin & Unpin")).unwrap();
        write_documents(&directory.join("documents"), &head, &[example()], Some("Pin & Unpin")).unwrap();
        let read = |path: &str| std::fs::read_to_string(directory.join(path)).unwrap();
        let page = read("index.html");
        for text in [
            "missing: Go (no &lt;go&gt;)",
            "<td>Slow &lt;&amp;&gt; steady</td><td>24.0 (2.00x)</td>",
            "<img src=\"trees-depth-18-2-latency.svg\"",
            "Unable: -, no &lt;threads&gt;.",
            "<pre>Pin &amp; Unpin</pre>",
        ] {
            assert!(page.contains(text), "{text} is not in {page}");
        }
        let document = read("documents/README.md");
        for text in ["- missing: Go (no <go>)", "| Slow <&> steady | 24.0 (2.00x) |", "](trees-depth-18-2.svg)"] {
            assert!(document.contains(text), "{text} is not in {document}");
        }
        for file in ["trees-depth-18-2.svg", "documents/trees-depth-18-2-latency.svg"] {
            assert!(read(file).starts_with("<svg "));
        }
        std::fs::remove_dir_all(directory).unwrap();
    }
}
