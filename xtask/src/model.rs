//! `cargo xtask model`: the protocol's model in its large configurations.

use anyhow::Result;

use crate::tools::{cargo, run};

pub(crate) fn search() -> Result<String> {
    run(cargo().args(["run", "--release", "--package", "linchpin-model", "--", "--full"]))?;
    Ok("the protocol holds in every configuration, each fault is found".to_owned())
}
