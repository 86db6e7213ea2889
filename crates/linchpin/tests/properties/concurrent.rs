//! Programs that run at the same time on one heap, each with roots and pinners of its own and all with a set of shared cells,
//! while another thread collects without end. Each agrees with its own model, on the way and when all have ended.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::cases;
use crate::program::{Program, Setting, program};
use crate::shared::Common;
use crate::world::{World, heap_of};

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn programs_on_one_heap_agree_with_their_models(
        programs in vec(program(Setting::Among, 40), 2..=4),
        processors in 1..=4_usize,
    ) {
        run(&programs, processors);
    }
}

fn run(programs: &[Program], processors: usize) {
    let mut settings = programs[0].settings.clone();
    settings.processors = processors;
    let (heap, told) = heap_of(&settings);
    let common = Arc::new(Common::new(&heap));
    let stop = AtomicBool::new(false);
    let mut worlds: Vec<World> = thread::scope(|scope| {
        scope.spawn(|| {
            // Relaxed: a flag that orders nothing.
            while !stop.load(Ordering::Relaxed) {
                heap.collect();
            }
        });
        let workers: Vec<_> = programs
            .iter()
            .map(|program| {
                let mut world = World::among(Arc::clone(&heap), Arc::clone(&told), Arc::clone(&common));
                scope.spawn(move || {
                    program.actions.iter().for_each(|action| world.run(action));
                    world
                })
            })
            .collect();
        let outcomes: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        stop.store(true, Ordering::Relaxed);
        outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(|payload| resume_unwind(payload))).collect()
    });
    worlds.iter_mut().for_each(World::compare_at_rest);
    worlds.iter_mut().for_each(World::let_go);
    worlds.iter_mut().for_each(World::compare_at_rest);
    worlds.iter().for_each(World::assert_nothing_left);
    drop(worlds);
    let ledger = Arc::into_inner(common).expect("no program runs any more").into_ledger();
    heap.collect();
    ledger.assert_each_once();
    let stats = heap.stats();
    assert_eq!((stats.roots, stats.live_objects), (0, 0));
    assert_eq!(stats.allocated_objects, stats.freed_objects);
    if settings.watch.is_some() {
        assert!(stats.verifications > 0);
        heap.verify().unwrap_or_else(|error| panic!("{error}"));
    }
    told.assert_in_order();
}
