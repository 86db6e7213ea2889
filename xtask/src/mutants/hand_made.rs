//! The mutants of the table.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::copy::{Copy, write_if_changed};
use super::table::{HAND_MADE, HandMade};
use super::{Fate, Options, Tally};
use crate::tools::workspace;

pub(super) fn try_all(copy: &Copy, options: &Options, tally: &mut Tally) -> Result<()> {
    let wanted = |mutant: &&HandMade| {
        (!options.quick || mutant.quick) && options.wants_file(mutant.file) && options.wants_named(mutant.what)
    };
    let mut useless = 0;
    for (number, mutant) in HAND_MADE.iter().enumerate().filter(|(_, mutant)| wanted(mutant)) {
        let name = format!("{}: {}", mutant.file, mutant.what);
        match try_one(copy, mutant, &format!("hand-{number}")) {
            Ok(Fate::Unviable) => {
                useless += 1;
                println!("xtask: DOES NOT COMPILE: {name}");
            }
            Ok(fate) => {
                println!("xtask: {fate:?}: {name}");
                tally.add(name, fate);
            }
            Err(error) => {
                useless += 1;
                println!("xtask: NOT TRIED: {name}: {error:#}");
            }
        }
    }
    ensure!(useless == 0, "{useless} mutants of the table could not be tried; mend the table");
    Ok(())
}

fn try_one(copy: &Copy, mutant: &HandMade, log: &str) -> Result<Fate> {
    let path = copy.source(mutant.file);
    let text = fs::read_to_string(&path)?;
    write_if_changed(&path, text.replace(mutant.find, mutant.replace).as_bytes())?;
    let fate = copy.fate_of_tests(log);
    write_if_changed(&path, text.as_bytes())?;
    fate
}

/// Whether each text that the table replaces stands in the source, exactly once. The source changes; the table has to follow.
pub(super) fn check_table() -> Result<()> {
    let mut stale = Vec::new();
    for mutant in HAND_MADE {
        let path = workspace().join("crates/linchpin/src").join(mutant.file);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let found = text.matches(mutant.find).count();
        if found != 1 {
            stale.push(format!("{}: {} (there {found} times)", mutant.file, mutant.what));
        }
    }
    ensure!(stale.is_empty(), "mend the table, the text to replace does not stand there once:\n{}", stale.join("\n"));
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_table_fits_the_source() {
        super::check_table().unwrap();
    }
}
