//! `cargo xtask faults`: the long forms of the tests of faults, which `cargo test` leaves out.

use anyhow::{Result, ensure};

use crate::tools::{cargo, run_and_read};

/// Runs them, in the build that `cargo test` makes, with debug assertions; gives the figures that they end with.
pub(crate) fn run_long() -> Result<String> {
    let test = ["test", "--package", "linchpin", "--test", "faults", "--", "--ignored", "--nocapture"];
    let figures = figures(&run_and_read(cargo().args(test))?);
    ensure!(!figures.is_empty(), "no test ended with its figures");
    Ok(figures)
}

fn figures(output: &str) -> String {
    let lines: Vec<&str> = output.lines().filter_map(|line| line.strip_prefix("figures: ")).collect();
    lines.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found() {
        assert_eq!(
            figures("running 1 test\nfigures: 3 heaps: nothing left\ntest figures: ok\n"),
            "3 heaps: nothing left"
        );
        assert_eq!(figures("running 0 tests\n"), "");
    }
}
