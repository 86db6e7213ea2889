//! The mutants of the table.

use std::fs;

use anyhow::{Result, ensure};

use super::copy::{Copy, write_if_changed};
use super::table::{HAND_MADE, HandMade};
use super::{Fate, Options, Tally};

pub(super) fn try_all(copy: &Copy, options: &Options, tally: &mut Tally) -> Result<()> {
    let wanted = |mutant: &&HandMade| {
        (!options.quick || mutant.quick) && options.file.as_ref().is_none_or(|file| file == mutant.file)
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
    let found = text.matches(mutant.find).count();
    ensure!(found == 1, "the text to replace stands there {found} times");
    write_if_changed(&path, text.replace(mutant.find, mutant.replace).as_bytes())?;
    let fate = copy.fate_of_tests(log);
    write_if_changed(&path, text.as_bytes())?;
    fate
}
