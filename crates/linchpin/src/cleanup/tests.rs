//! Cleanups between the end of a mark and the sweep, which a test from outside cannot arrange.

use std::sync::mpsc::channel;

use crate::Heap;
use crate::collector::cycle::Cycle;
use crate::collector::workers::Workers;

/// Of several that are due, the one that is cancelled is the one that does not run.
#[test]
fn a_cleanup_that_is_due_can_be_cancelled() {
    let heap = Heap::builder().processors(1).build().unwrap();
    let (sender, receiver) = channel();
    let cleanups = heap.mutate(|mu| {
        [0, 1, 2].map(|number| {
            let sender = sender.clone();
            mu.on_collect(mu.alloc(number), move |_| sender.send(number).unwrap())
        })
    });
    drop(sender);
    let workers = Workers::none();
    let mut cycle = Cycle::begin(heap.core(), &workers);
    cycle.take_the_snapshot();
    cycle.mark();
    cycle.close();
    assert_eq!(heap.core().cleanups.queue.lock().due.len(), 3);
    let [_, second, _] = cleanups;
    assert_eq!(format!("{second:?}"), "Cleanup { id: 2, .. }");
    assert!(second.cancel());
    cycle.switch_off();
    cycle.sweep();
    let mut run: Vec<i32> = receiver.iter().collect();
    run.sort_unstable();
    assert_eq!(run, [0, 2]);
}
