//! Properties that hold for every program: random calls of the API against a naive model, on one thread and on several;
//! random shapes of objects; random settings of the builder. `proptest` shrinks what fails to a short program and
//! keeps its seed in `proptest-regressions/seeds.txt` beside this file, which every property tries first in every later run.
//!
//! A seed stands for a program only as long as the strategies stay as they are: once one of them draws another number, it
//! stands for any program. So what is found is kept twice. The seed is committed with the mending; and the shrunken program is
//! written down, as literal calls, as a test of its own, beside the tests of what it has broken.
//!
//! * `PROPTEST_CASES=100000 cargo test --release -p linchpin --test properties` for long.
//! * `PROPTEST_FORK=true` shrinks a program that ends the process, too.
//!
//! | module | idea |
//! | --- | --- |
//! | `program`, `chases` | a random program: what it may do, and how it is made up |
//! | `objects`, `fields`, `token`, `contents` | what it allocates, each value recognisable and its drop booked once |
//! | `model` | what must be there: ids, edges, reachability computed naively |
//! | `state` | the program's names (roots, weak roots, pinners) beside the model, and the comparison of both |
//! | `cleanups` | which cleanups have run, and may or must have |
//! | `mutation`, `weak`, `maps`, `shared` | runs the steps of a program inside a mutation |
//! | `world`, `helpers` | runs a program; a second mutation, and cycles that run meanwhile |
//! | `single`, `concurrent`, `shapes`, `sizes`, `builder` | the properties |

#![cfg(not(loom))]

mod builder;
mod chases;
mod cleanups;
mod concurrent;
mod contents;
mod fields;
mod helpers;
mod maps;
mod model;
mod mutation;
mod objects;
mod program;
mod shapes;
mod shared;
mod single;
mod sizes;
mod state;
mod token;
mod weak;
mod world;

use proptest::test_runner::{Config, FileFailurePersistence};

/// So many cases unless `PROPTEST_CASES` says otherwise; what failed once is kept beside the tests.
fn cases(usual: u32) -> Config {
    let mut config = Config::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = usual;
    }
    config.failure_persistence = Some(Box::new(FileFailurePersistence::Direct(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/properties/proptest-regressions/seeds.txt"
    ))));
    config
}
