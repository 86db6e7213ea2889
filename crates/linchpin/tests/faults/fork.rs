//! Forked children. They have a copy of the memory and none of the threads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::common::{Ledger, Stop, Triple, assert_nothing_live, churn, panic_text};
use crate::process::in_own_process;
use linchpin::{Heap, Pinner, Root};

/// A child that hangs is killed after so many seconds.
const KILLED_AFTER: u32 = 60;

/// Forks, runs `child` there, and gives how it ended: its code, or less than 0 for a signal.
fn fork(child: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the children below keep to what a child of many threads may do: glibc's allocator works in one, locks of this
    // program are not taken, and it leaves by `_exit`.
    unsafe {
        match libc::fork() {
            -1 => panic!("fork is refused: {}", std::io::Error::last_os_error()),
            0 => {
                libc::alarm(KILLED_AFTER);
                libc::_exit(child())
            }
            pid => {
                let mut status = 0;
                assert_eq!(libc::waitpid(pid, &raw mut status, 0), pid);
                if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -libc::WTERMSIG(status) }
            }
        }
    }
}

/// A parent whose threads mutate and collect all the while, as `work` is done beside.
fn beside_a_busy_heap(work: impl FnOnce(&Heap)) {
    let heap = Heap::builder().processors(2).build().expect("a heap of two processors");
    let stop = Stop::default();
    let root: Root<AtomicU64> = heap.mutate(|mu| mu.root(mu.alloc(AtomicU64::new(0))));
    thread::scope(|scope| {
        let _at_end = stop.on_drop();
        for _ in 0..2 {
            scope.spawn(|| {
                stop.until(|| {
                    churn(&heap, 500);
                    heap.mutate(|mu| root.get(mu).fetch_add(1, Ordering::SeqCst));
                });
            });
        }
        scope.spawn(|| stop.until(|| heap.collect()));
        // Everybody is at work.
        while heap.stats().cycles < 3 || heap.mutate(|mu| root.get(mu).load(Ordering::SeqCst)) < 10 {
            thread::yield_now();
        }
        work(&heap);
        // And goes on.
        let (cycles, count) = (heap.stats().cycles, heap.mutate(|mu| root.get(mu).load(Ordering::SeqCst)));
        while heap.stats().cycles < cycles + 3 || heap.mutate(|mu| root.get(mu).load(Ordering::SeqCst)) < count + 10 {
            thread::yield_now();
        }
    });
    drop(root);
    heap.collect();
    assert_nothing_live(&heap);
}

#[test]
fn a_child_that_leaves_the_heap_alone_ends_well() {
    in_own_process("fork::a_child_that_leaves_the_heap_alone_ends_well", || {
        beside_a_busy_heap(|_| {
            for code in 0..20 {
                assert_eq!(fork(|| code), code);
            }
        });
    })
    .well();
}

#[test]
fn a_child_may_exec() {
    in_own_process("fork::a_child_may_exec", || {
        beside_a_busy_heap(|heap| {
            // Its arguments may be pinned: C's strings in the heap.
            let mut pinner = Pinner::new();
            let program = heap.mutate(|mu| pinner.pin(mu, mu.alloc_slice_copy(b"/bin/true\0")));
            for _ in 0..5 {
                let code = fork(|| {
                    let arguments = [program.as_ptr().cast::<libc::c_char>(), std::ptr::null()];
                    // SAFETY: a path and a list of arguments, each with a zero at its end; pinned memory is there in the child.
                    unsafe { libc::execv(arguments[0], arguments.as_ptr()) };
                    42
                });
                assert_eq!(code, 0);
            }
        });
    })
    .well();
}

#[test]
fn a_child_reads_what_is_pinned() {
    in_own_process("fork::a_child_reads_what_is_pinned", || {
        beside_a_busy_heap(|heap| {
            let mut pinner = Pinner::new();
            let address = heap.mutate(|mu| pinner.pin(mu, mu.alloc(Triple::of(11))));
            for _ in 0..10 {
                // SAFETY: the object is pinned, in the copy that the child has, too.
                let reads = || i32::from(unsafe { address.as_ref() } != &Triple::of(11));
                assert_eq!(fork(reads), 0);
            }
        });
    })
    .well();
}

/// Ending the heap would be to wait for threads that the child has not.
#[test]
fn a_heap_dropped_in_a_child_is_left_to_the_parent() {
    in_own_process("fork::a_heap_dropped_in_a_child_is_left_to_the_parent", || {
        // One whose thread was started, and one whose was not.
        for collected in [true, false] {
            let heap = Heap::builder().processors(1).build().expect("a heap of one processor");
            let ledger = Ledger::new(2);
            heap.mutate(|mu| _ = mu.alloc(ledger.counted(0)));
            let root = heap.mutate(|mu| mu.root(mu.alloc(ledger.counted(1))));
            if collected {
                heap.collect();
            }
            let before = ledger.total();
            let mut heap = Some(heap);
            let code = fork(|| {
                drop(heap.take());
                // Its values are the parent's: none is dropped here.
                i32::from(ledger.total() != before)
            });
            assert_eq!(code, 0);
            // The parent's own is whole.
            let heap = heap.expect("the child has dropped its copy");
            heap.mutate(|mu| assert_eq!(root.get(mu).entry(), 1));
            churn(&heap, 1000);
            heap.collect();
            assert_eq!((ledger.drops_of(0), ledger.drops_of(1)), (1, 0));
            drop(root);
            drop(heap);
            ledger.assert_each_once();
        }
    })
    .well();
}

#[test]
fn a_collect_in_a_child_is_refused() {
    in_own_process("fork::a_collect_in_a_child_is_refused", || {
        let heap = Heap::builder().processors(1).build().expect("a heap of one processor");
        heap.collect();
        let code = fork(|| {
            let text = panic_text(|| heap.collect());
            i32::from(!(text.contains("forked child") && text.contains("exec")))
        });
        assert_eq!(code, 0);
        heap.collect();
    })
    .well();
}

#[test]
fn a_child_may_make_a_heap_of_its_own() {
    in_own_process("fork::a_child_may_make_a_heap_of_its_own", || {
        let heap = Heap::new();
        churn(&heap, 1000);
        heap.collect();
        let code = fork(|| {
            let own = Heap::new();
            let ledger = Ledger::new(100);
            own.mutate(|mu| (0..100).for_each(|entry| _ = mu.alloc(ledger.counted(entry))));
            own.collect();
            let collected = ledger.total();
            drop(own);
            i32::from(collected != 100)
        });
        assert_eq!(code, 0);
        heap.collect();
    })
    .well();
}
