//! A full region in each mode, which a test from outside does not see.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::protocol_tests::{StopOnDrop, mutate_in};
use crate::processor::phase::Mode;
use crate::{Heap, Mutator, Root};

const SPAN: usize = 1 << 16;

fn span_object<'gc>(mu: &Mutator<'gc>) -> Option<crate::Gc<'gc, [u8]>> {
    mu.try_alloc_bytes_with(SPAN - 64, |_| ()).ok().map(|(bytes, ())| bytes)
}

#[test]
fn a_full_region_refuses_in_every_mode_and_loses_nothing() {
    let heap = Heap::builder().processors(1).region_size(1 << 20).build().unwrap();
    let roots: Vec<Root<[u8]>> =
        heap.mutate(|mu| std::iter::from_fn(|| span_object(mu)).map(|object| mu.root(object)).collect());
    assert_eq!(roots.len(), 16);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        // Set on unwinding, too, so that a failure does not hang.
        let stop = StopOnDrop(&stop);
        scope.spawn(|| {
            while !stop.0.load(Ordering::Relaxed) {
                heap.collect();
            }
        });
        for mode in [Mode::Off, Mode::Arm, Mode::Mark, Mode::Close] {
            mutate_in(&heap, mode, |mu| {
                assert_eq!(mu.try_alloc(7_u64).unwrap_err().value, 7, "{mode:?}");
                assert_eq!(mu.try_alloc(String::from("back")).unwrap_err().value, "back", "{mode:?}");
                assert!(mu.try_alloc_slice_copy(&[0_u8; SPAN]).is_err(), "{mode:?}");
                assert!(mu.try_alloc_bytes_with(10, |_| ()).is_err(), "{mode:?}");
                // Neither needs room.
                let again = mu.root(roots[3].get(mu));
                let mut pinner = crate::Pinner::new();
                pinner.pin(mu, again.get(mu));
            });
        }
    });
    drop(roots);
    heap.collect();
    let stats = heap.stats();
    assert_eq!((stats.live_bytes, stats.spans_in_use, stats.roots), (0, 0, 0));
    assert_eq!(stats.allocated_objects, stats.freed_objects);
    assert_eq!(heap.mutate(|mu| std::iter::from_fn(|| span_object(mu)).count()), 16);
}

/// What is allocated in a region that has a little room is there in every mode.
#[test]
fn the_last_room_is_given_out_in_every_mode() {
    let heap = Heap::builder().processors(1).region_size(1 << 20).build().unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let stop = StopOnDrop(&stop);
        scope.spawn(|| {
            while !stop.0.load(Ordering::Relaxed) {
                heap.collect();
            }
        });
        for mode in [Mode::Off, Mode::Arm, Mode::Mark, Mode::Close] {
            let filled = mutate_in(&heap, mode, |mu| {
                let mut roots = Vec::new();
                while let Ok(object) = mu.try_alloc([roots.len(); 512]) {
                    roots.push(mu.root(object));
                }
                roots
            });
            // 15 objects of 4 KiB fit a span of 64 KiB at least.
            assert!(filled.len() > 15 * 8, "{} in {mode:?}", filled.len());
            for _ in 0..3 {
                heap.collect();
                heap.mutate(|mu| {
                    assert!(filled.iter().enumerate().all(|(number, root)| *root.get(mu) == [number; 512]), "{mode:?}");
                });
            }
            drop(filled);
            heap.collect();
        }
    });
}
