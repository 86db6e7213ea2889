//! The thread sanitizer: accesses to the same memory that nothing orders.
//!
//! The library and its dependencies are instrumented, the standard library is not. What it orders where the sanitizer does not
//! see it is told by `std_order.c`, which is linked before it, and what cannot be told so is in `tsan.supp`; both say why. Each
//! of these has a planted race beside it, which must be reported with all of it in force.

use std::ffi::OsStr;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{LeftOut, Options, Sanitizer, beside};
use crate::tools::{run, run_for};

const LEFT_OUT: [LeftOut; 4] = [
    ("a_child_may_make_a_heap_of_its_own", "the sanitizer cannot start a thread in a forked child"),
    (
        "a_region_is_unmapped_or_it_is_told_that_it_is_not",
        "uses up the mappings of the process, which the sanitizer needs",
    ),
    ("no_ordinary_memory_for_", "takes away the address space, of which the sanitizer needs more at any time"),
    ("memory::returning::tests::what_the_system_", "locks pages in memory, which the sanitizer's mlock does not do"),
];

/// What `std_order.c` stands before: its name there, and the end of the standard library's mangled name, which differs from
/// toolchain to toolchain only before that.
const OF_STD: [(&str, &str); 5] = [
    ("SCOPED_THREAD_ENDS", "3std6thread6scopedNtB2_9ScopeData29decrement_num_running_threads"),
    ("MUTEX_LOCK_CONTENDED", "3std3sys4sync5mutex5futexNtB2_5Mutex14lock_contended"),
    ("CONDVAR_WAIT", "3std3sys4sync7condvar5futexNtB2_7Condvar4wait"),
    ("BARRIER_WAIT", "3std4sync7barrierNtB5_7Barrier4wait"),
    ("ONCE_CALL", "3std3sys4sync4once5futexNtB5_4Once4call"),
];

/// The same, of the sanitizer itself.
const OF_SANITIZER: [&str; 2] = ["__tsan_atomic64_fetch_sub", "__tsan_atomic_thread_fence"];

const RACES: [&str; 8] = [
    "race",
    "race-in-scope",
    "race-beside-mutex",
    "race-beside-condvar",
    "race-after-barrier",
    "race-after-once",
    "race-after-arc",
    "race-in-arc",
];

pub(crate) fn run_all(options: &Options) -> Result<String> {
    let mut sanitizer = Sanitizer::new("thread", "tsan", "TSAN_OPTIONS", &LEFT_OUT)?;
    sanitizer.settings = format!("suppressions={}:", beside("tsan.supp").display());
    // A region is mapped and unmapped by calls of the C library, which the sanitizer sees, not by the kernel's own: what
    // it knew of the addresses would be held against the next region there.
    sanitizer.flags.push("--cfg=rustix_use_libc".to_owned());
    // Locks that it sees: the standard library's it does not.
    sanitizer.flags.push("--cfg=linchpin_tsan".to_owned());
    // Else generic functions that std has compiled for itself would be taken from there, without the sanitizer.
    sanitizer.flags.push("-Zshare-generics=no".to_owned());
    link_std_order(&mut sanitizer)?;
    let planted = sanitizer.planted()?;
    for race in RACES {
        planted.must_be_reported(race, "ThreadSanitizer: data race")?;
    }
    planted.must_be_clean("ordered")?;
    sanitizer.run_all(options)
}

/// Compiles `std_order.c` and has it linked before the standard library.
fn link_std_order(sanitizer: &mut Sanitizer) -> Result<()> {
    let names = names_in_std(&sanitizer.host)?;
    fs::create_dir_all(&sanitizer.directory)?;
    let object = sanitizer.directory.join("std_order.o");
    let before = fs::read(&object).ok();
    // With tables for unwinding: the closures that pass through it may panic.
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-g", "-fexceptions", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&object);
    for (name, mangled) in &names {
        cc.args(["real", "wrap"].map(|part| format!("-D__{part}_{name}=__{part}_{mangled}")));
    }
    run_for("compiling std_order.c", cc.arg("-c").arg(beside("std_order.c")))?;
    sanitizer.flags.push(format!("-Clink-arg={}", object.display()));
    for name in names.iter().map(|(_, mangled)| mangled.as_str()).chain(OF_SANITIZER) {
        sanitizer.flags.push(format!("-Clink-arg=-Wl,--wrap={name}"));
    }
    if before.is_some_and(|before| fs::read(&object).is_ok_and(|now| now != before)) {
        // Cargo does not know what the linker reads.
        run(&mut sanitizer.cargo(&["clean", "--package", "linchpin", "--package", "linchpin-cli"])?)?;
    }
    Ok(())
}

/// The names in `std_order.c`, and the mangled ones they stand for in the standard library of the nightly toolchain.
fn names_in_std(host: &str) -> Result<Vec<(&'static str, String)>> {
    let arguments = ["run", "nightly", "rustc", "--target", host, "--print", "target-libdir"];
    let output = Command::new("rustup").args(arguments).output()?;
    let directory = String::from_utf8(output.stdout)?;
    let mut library = None;
    for entry in fs::read_dir(directory.trim()).context("the nightly toolchain has no libraries")? {
        let path = entry?.path();
        let name = path.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
        if name.starts_with("libstd-") && name.ends_with(".rlib") {
            library = Some(fs::read(&path)?);
        }
    }
    let library = library.context("the nightly toolchain has no standard library")?;
    OF_STD.into_iter().map(|(name, end)| Ok((name, mangled(&library, end)?))).collect()
}

/// The one symbol in a library's table of names that ends like this.
fn mangled(library: &[u8], end: &str) -> Result<String> {
    let mut found = None;
    for name in
        library.split(|byte| *byte == 0).filter(|name| name.starts_with(b"_R") && name.ends_with(end.as_bytes()))
    {
        let name = String::from_utf8(name.to_vec())?;
        ensure!(found.as_ref().is_none_or(|earlier| *earlier == name), "two functions of std end in {end}");
        found = Some(name);
    }
    found.with_context(|| format!("this toolchain's std has no {end} any more: see std_order.c"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mangled_name_is_found() {
        let library = b"x\0_RNv1std4wait\0_RNv1std4wait2\0y4wait\0_RNv1std4wait\0";
        assert_eq!(mangled(library, "4wait").unwrap(), "_RNv1std4wait");
        mangled(library, "5other").unwrap_err();
        mangled(b"_Ra4wait\0_Rb4wait\0", "4wait").unwrap_err();
    }
}
