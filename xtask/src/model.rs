//! `cargo xtask model`: the protocol's model, the table of its variants and its large configurations.

use anyhow::{Result, ensure};

use crate::tools::{cargo, run_and_read};

pub(crate) fn search() -> Result<String> {
    let mut figures = Vec::new();
    for form in [&[][..], &["--full"]] {
        let arguments = ["run", "--release", "--package", "linchpin-model", "--"];
        let output = run_and_read(cargo().args(arguments).args(form))?;
        let last = output.lines().last().unwrap_or_default();
        ensure!(last.contains(" searches, "), "the model's program ended without its figures: {last:?}");
        figures.push(last.to_owned());
    }
    Ok(figures.join("; "))
}
