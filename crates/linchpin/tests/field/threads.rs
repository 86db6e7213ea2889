//! Threads: where a pointer or a handle may go, and what happens to it there.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Output;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard};
use std::thread;

use corosensei::{Coroutine, CoroutineResult};
use linchpin::{
    AllocError, BuildError, Cleanup, CycleCause, CycleReport, DebugSettings, FindingKind, Gc, GcCell, GcDyn, GcMutex,
    GcMutexGuard, GcOnce, GcRwLock, GcRwLockReadGuard, GcRwLockWriteGuard, HeaderSlice, Heap, HeapBuilder, HeapStats,
    Inspector, Interner, LongMutation, Mutator, Opaque, OutOfMemory, PinLeak, PinLeakCause, Pinner, Root, SettingError,
    TaggedCell, Trace, Tracer, TypeInfo, Verify, VerifyError, VerifyFinding, VerifyReport, Weak, WeakCell, WeakMap,
    WeakRoot,
};

use crate::common::{Counted, Ledger, assert_nothing_live, churn};
use crate::tracing::implements;
use crate::{in_child, unheard_in_child};

#[derive(Trace)]
struct Node<'gc> {
    counted: Counted,
    next: GcCell<'gc, Node<'gc>>,
}

/// What a thread leaves behind: handles in a thread-local, whose destructors use them.
struct Estate {
    pinner: Pinner,
    root: Option<Root<Node<'static>>>,
    heap: Arc<Heap>,
}

impl Drop for Estate {
    fn drop(&mut self) {
        let root = self.root.take().expect("it is dropped once");
        self.heap.mutate(|mu| {
            let node = root.get(mu);
            assert_eq!(node.next.load().map(|next| next.counted.entry()), Some(node.counted.entry() + 1));
            assert_eq!(mu.pin_count(node), 1);
            self.pinner.unpin();
            assert_eq!(mu.pin_count(node), 0);
            node.next.clear(mu);
            self.pinner.pin(mu, mu.alloc(1_u64));
        });
    }
}

thread_local! {
    static FIRST: RefCell<Option<Estate>> = const { RefCell::new(None) };
    static SECOND: RefCell<Option<Estate>> = const { RefCell::new(None) };
}

/// rust-gc #102, crossbeam #422: thread-locals that touch the collector while its own thread-locals, or it, go away. Here a
/// thread keeps nothing that could be gone, so the last handles of a heap may be thread-locals, in whatever order they go.
/// (Besides: `destructors_of_thread_locals_can_mutate` in `tests/processors.rs`.)
#[test]
fn thread_locals_may_be_the_last_to_know_the_heap() {
    for first_before in [true, false] {
        let ledger = Ledger::new(4);
        let lent = ledger.clone();
        let end = move || {
            let heap = Arc::new(Heap::builder().processors(1).build().expect("a heap of one processor"));
            let estate = |first: usize| {
                let mut pinner = Pinner::new();
                let root = heap.mutate(|mu| {
                    let node = |entry, next| mu.alloc(Node { counted: lent.counted(entry), next });
                    let node = node(first, GcCell::new(node(first + 1, GcCell::null())));
                    pinner.pin(mu, node);
                    mu.root(node)
                });
                Some(Estate { pinner, root: Some(root), heap: Arc::clone(&heap) })
            };
            if first_before {
                FIRST.with_borrow_mut(|slot| *slot = estate(0));
                SECOND.with_borrow_mut(|slot| *slot = estate(2));
            } else {
                SECOND.with_borrow_mut(|slot| *slot = estate(2));
                FIRST.with_borrow_mut(|slot| *slot = estate(0));
            }
            heap.collect();
        };
        thread::spawn(end).join().expect("the thread's end does not panic");
        ledger.assert_each_once();
    }
}

/// crossbeam #105: a nested entry moved the thread's epoch on, and freed what the outer one had in hand. Here a nested
/// mutation is part of the outer one: a cycle that another thread waits for does not get past it.
#[test]
fn nested_mutations_do_not_let_a_cycle_pass() {
    let heap = Heap::builder().processors(2).build().expect("a heap of two processors");
    let ledger = Ledger::new(2);
    let has_ended = AtomicBool::new(false);
    thread::scope(|scope| {
        heap.mutate(|mu| {
            let first = mu.alloc(Node { counted: ledger.counted(0), next: GcCell::null() });
            first.next.store(mu, mu.alloc(Node { counted: ledger.counted(1), next: GcCell::null() }));
            scope.spawn(|| {
                heap.collect();
                has_ended.store(true, Ordering::SeqCst);
            });
            for round in 0..3000 {
                heap.mutate(|nested| {
                    nested.alloc(round);
                    heap.mutate(|innermost| _ = innermost.root(innermost.alloc(round)));
                });
                if round % 100 == 0 {
                    thread::yield_now();
                }
            }
            assert!(!has_ended.load(Ordering::SeqCst), "the cycle did not wait for the outer mutation");
            ledger.assert_none();
            assert_eq!(first.next.load().map(|next| next.counted.entry()), Some(1));
        });
    });
    heap.collect();
    ledger.assert_each_once();
}

/// servo #19870: a guard that was forgotten kept its promise no longer. A mutation has no guard to forget, only a borrowed
/// `Mutator`; a root or a pinner that is forgotten keeps for ever, and the heap says so at its end.
#[test]
fn what_is_forgotten_keeps_for_ever() {
    let heap = Heap::builder().on_pin_leak(|leak| assert_eq!(leak.pins(), 1)).build().expect("a heap");
    let ledger = Ledger::new(4);
    let address = heap.mutate(|mu| {
        let chain = |entry: usize| {
            let child = mu.alloc(Node { counted: ledger.counted(entry + 1), next: GcCell::null() });
            mu.alloc(Node { counted: ledger.counted(entry), next: GcCell::new(child) })
        };
        std::mem::forget(mu.root(chain(0)));
        let (mut pinner, pinned) = (Pinner::new(), chain(2));
        pinner.pin(mu, pinned);
        std::mem::forget(pinner);
        Gc::as_ptr(pinned).cast::<u8>()
    });
    for _ in 0..4 {
        heap.collect();
        churn(&heap, 2000);
    }
    assert_eq!((heap.stats().roots, heap.pin_count(address)), (1, 1));
    drop(heap);
    ledger.assert_none();
}

/// A `Gc` may be used on a thread that holds no processor: that thread is part of the mutation, which waits for it. It loads
/// what nobody else leads to while other threads replace fields and the collector would free what it can.
#[test]
fn threads_without_a_processor_are_part_of_the_mutation() {
    let heap = Heap::builder().processors(2).build().expect("a heap of two processors");
    let ledger = Ledger::new(400);
    let root = heap.mutate(|mu| mu.root(mu.alloc(Node { counted: ledger.counted(0), next: GcCell::null() })));
    for first in (1..397).step_by(4) {
        let drops = heap.mutate(|mu| {
            let head = root.get(mu);
            let mut chain = None;
            for entry in first..first + 4 {
                chain = Some(mu.alloc(Node { counted: ledger.counted(entry), next: GcCell::new(chain) }));
            }
            head.next.store(mu, chain);
            thread::scope(|scope| {
                // Unlinks the chain from the heap, and asks for a cycle by allocating.
                scope.spawn(|| {
                    heap.mutate(|other| root.get(other).next.clear(other));
                    churn(&heap, 1000);
                });
                let readers: Vec<_> = (0..2)
                    .map(|_| {
                        scope.spawn(move || {
                            let mut entries = Vec::new();
                            let mut at = chain;
                            while let Some(node) = at {
                                entries.push(node.counted.entry());
                                at = node.next.load();
                            }
                            entries
                        })
                    })
                    .collect();
                for reader in readers {
                    let entries = reader.join().expect("a reader does not panic");
                    assert_eq!(entries, (first..first + 4).rev().collect::<Vec<_>>());
                }
            });
            (first..first + 4).map(|entry| ledger.drops_of(entry)).sum::<u32>()
        });
        assert_eq!(drops, 0);
    }
    heap.collect();
    assert_eq!(ledger.total(), 396);
    // The ledger's last entries were not given out.
    drop(root);
    heap.collect();
    assert_nothing_live(&heap);
}

/// Found here: a coroutine with a stack of its own may be suspended inside a mutation, so that a mutation that was begun
/// later, and uses the same processor, goes on when the first one ends and gives the processor back. In safe code, with a
/// crate from the registry; what the later one had in hand was freed. Nothing can be done at that point but to end the process.
#[test]
fn mutations_that_end_out_of_order_end_the_process() {
    let child = in_child("threads::mutations_that_end_out_of_order_end_the_process", end_mutations_out_of_order);
    let Some(child) = child else { return };
    assert_out_of_order_has_aborted(&child);
    let said = String::from_utf8_lossy(&child.stderr);
    assert!(said.contains("a mutation ended before another one"), "{said}");
}

/// Found by a review: saying why panicked where nobody could be told, so the process did not end.
#[test]
fn mutations_that_end_out_of_order_end_the_process_unheard() {
    let name = "threads::mutations_that_end_out_of_order_end_the_process_unheard";
    if let Some(child) = unheard_in_child(name, end_mutations_out_of_order) {
        assert_out_of_order_has_aborted(&child);
    }
}

fn end_mutations_out_of_order() {
    let heap = Arc::new(Heap::builder().processors(1).build().expect("a heap of one processor"));
    let lent = Arc::clone(&heap);
    let mut coroutine: Coroutine<(), (), ()> = Coroutine::new(move |yielder, ()| lent.mutate(|_| yielder.suspend(())));
    assert!(matches!(coroutine.resume(()), CoroutineResult::Yield(())));
    heap.mutate(|mu| {
        let text = mu.alloc("text".repeat(100));
        println!("the coroutine is resumed");
        if catch_unwind(AssertUnwindSafe(|| coroutine.resume(()))).is_err() {
            // To go on from here would be to wait for ever for the processor.
            println!("a panic was survived");
            std::process::exit(1);
        }
        let collects = Arc::clone(&heap);
        thread::spawn(move || collects.collect()).join().expect("collecting does not panic");
        println!("it was survived: {text}");
    });
}

#[track_caller]
fn assert_out_of_order_has_aborted(child: &Output) {
    let [output, said] = [&child.stdout, &child.stderr].map(|text| String::from_utf8_lossy(text));
    assert_eq!(child.status.signal(), Some(libc::SIGABRT), "{}: {output}{said}", child.status);
    assert!(output.contains("is resumed") && !output.contains("was survived"), "{output}{said}");
}

/// A coroutine suspended inside a mutation, or inside one nested in another, is no harm as long as mutations end in the
/// reverse order of their beginning.
#[test]
fn a_coroutine_may_be_suspended_in_a_mutation() {
    let heap = Arc::new(Heap::builder().processors(1).build().expect("a heap of one processor"));
    let ledger = Ledger::new(2);
    let (lent, counts) = (Arc::clone(&heap), ledger.clone());
    let mut coroutine: Coroutine<(), usize, usize> = Coroutine::new(move |yielder, ()| {
        lent.mutate(|mu| {
            let counted = mu.alloc(counts.counted(0));
            yielder.suspend(1);
            counted.entry()
        })
    });
    assert!(matches!(coroutine.resume(()), CoroutineResult::Yield(1)));
    let text = crate::common::panic_text(|| heap.collect());
    assert!(text.contains("inside a mutation"), "{text}");
    heap.mutate(|mu| assert_eq!(mu.alloc(ledger.counted(1)).entry(), 1));
    assert!(matches!(coroutine.resume(()), CoroutineResult::Return(0)));
    heap.collect();
    ledger.assert_each_once();
}

/// A mutation has no guard, but a coroutine suspended in one can be forgotten, and the mutation with it. Then it lasts for
/// ever: what it has in hand is never freed, no cycle ends, and everybody else goes on.
#[test]
fn a_mutation_that_is_forgotten_lasts_for_ever() {
    let child = in_child("threads::a_mutation_that_is_forgotten_lasts_for_ever", || {
        let heap = Arc::new(Heap::builder().processors(2).build().expect("a heap of two processors"));
        let ledger = Ledger::new(3);
        let (lent, counts) = (Arc::clone(&heap), ledger.clone());
        // The forgotten mutation is of a thread that ends.
        let forget = move || {
            let inner = Arc::clone(&lent);
            let mut coroutine: Coroutine<(), (), ()> = Coroutine::new(move |yielder, ()| {
                inner.mutate(|mu| {
                    let counted = mu.alloc(counts.counted(0));
                    yielder.suspend(());
                    assert_eq!(counted.entry(), 0);
                });
            });
            assert!(matches!(coroutine.resume(()), CoroutineResult::Yield(())));
            std::mem::forget(coroutine);
            // The rest of the thread is part of it.
            assert!(crate::common::panic_text(|| lent.collect()).contains("inside a mutation"));
        };
        thread::spawn(forget).join().expect("forgetting does not panic");
        let mut pinner = Pinner::new();
        let root = heap.mutate(|mu| {
            pinner.pin(mu, mu.alloc(ledger.counted(1)));
            mu.root(mu.alloc(ledger.counted(2)))
        });
        // Enough to ask for cycles, none of which comes to its end.
        churn(&heap, 300_000);
        heap.mutate(|mu| assert_eq!(root.get(mu).entry(), 2));
        drop((root, pinner));
        churn(&heap, 300_000);
        ledger.assert_none();
        assert_eq!(heap.stats().cycles, 0);
        eprintln!("everything went on");
        // To drop the heap would be to wait for that mutation.
        std::process::exit(0);
    });
    let Some(child) = child else { return };
    let said = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success() && said.contains("everything went on"), "{said}");
}

/// cgc #5: `Send` and `Sync` given too broadly. Each public type has exactly those that it should, and none is left out.
#[test]
fn every_type_goes_where_it_may_and_nowhere_else() {
    macro_rules! assert_goes {
        ($($type:ty: $send:literal $sync:literal),* $(,)?) => { const { $(
            assert!(implements!($type: Send) == $send, concat!("Send: ", stringify!($type)));
            assert!(implements!($type: Sync) == $sync, concat!("Sync: ", stringify!($type)));
        )* } const TABLE: &[&str] = &[$(stringify!($type)),*]; };
    }
    /// `Sync`, not `Send`.
    type Guard = Opaque<MutexGuard<'static, u8>>;
    /// `Send`, not `Sync`.
    type Celled = Opaque<Cell<u8>>;
    /// Neither.
    type Neither = Opaque<Rc<u8>>;
    assert_goes! {
        Heap: true true,
        HeapBuilder: true true,
        HeapStats: true true,
        BuildError: true true,
        OutOfMemory: true true,
        PinLeak: true true,
        PinLeakCause: true true,
        Pinner: true true,
        Mutator<'static>: false false,
        &'static Mutator<'static>: false false,
        Tracer<'static>: false false,
        // A pointer shares its object, and the object may be dropped elsewhere: both need both.
        Gc<'static, u8>: true true,
        Gc<'static, str>: true true,
        Gc<'static, [u8]>: true true,
        Gc<'static, Node<'static>>: true true,
        Gc<'static, Celled>: false false,
        Gc<'static, Guard>: false false,
        Gc<'static, [Celled]>: false false,
        Gc<'static, [Guard]>: false false,
        GcCell<'static, u8>: true true,
        GcCell<'static, Node<'static>>: true true,
        GcCell<'static, Celled>: false false,
        GcCell<'static, Guard>: false false,
        // A mutex lends its contents to one thread at a time, so they need only go there.
        GcMutex<u8>: true true,
        GcMutex<Gc<'static, u8>>: true true,
        GcMutex<Celled>: true true,
        GcMutex<Guard>: false false,
        GcMutex<Neither>: false false,
        // Several may read at a time.
        GcRwLock<u8>: true true,
        GcRwLock<Gc<'static, u8>>: true true,
        GcRwLock<Celled>: true false,
        GcRwLock<Guard>: false false,
        GcRwLock<Neither>: false false,
        // What is written once may be written by one thread and dropped by another, and be read meanwhile.
        GcOnce<u8>: true true,
        GcOnce<Gc<'static, u8>>: true true,
        GcOnce<Celled>: true false,
        GcOnce<Guard>: false false,
        GcOnce<Neither>: false false,
        // A guard belongs to its mutation, hence stays on its thread; others there may look through it.
        GcMutexGuard<'static, 'static, u8>: false true,
        GcMutexGuard<'static, 'static, Gc<'static, u8>>: false true,
        GcMutexGuard<'static, 'static, Celled>: false false,
        GcMutexGuard<'static, 'static, Guard>: false true,
        GcRwLockReadGuard<'static, 'static, u8>: false true,
        GcRwLockReadGuard<'static, 'static, Gc<'static, u8>>: false true,
        GcRwLockReadGuard<'static, 'static, Celled>: false false,
        GcRwLockReadGuard<'static, 'static, Guard>: false true,
        GcRwLockWriteGuard<'static, 'static, u8>: false true,
        GcRwLockWriteGuard<'static, 'static, Gc<'static, u8>>: false true,
        GcRwLockWriteGuard<'static, 'static, Celled>: false false,
        GcRwLockWriteGuard<'static, 'static, Guard>: false true,
        // What has a root is in a heap, hence both; so a root needs no bounds.
        Root<Node<'static>>: true true,
        Root<[u8]>: true true,
        // So do weak roots, and pointers to trait objects, whose traits need not say it.
        WeakRoot<Node<'static>>: true true,
        WeakRoot<str>: true true,
        GcDyn<'static, dyn std::fmt::Debug>: true true,
        // An upgrade gives a pointer: like one.
        Weak<'static, u8>: true true,
        Weak<'static, [u8]>: true true,
        Weak<'static, Celled>: false false,
        Weak<'static, Guard>: false false,
        WeakCell<'static, u8>: true true,
        WeakCell<'static, Celled>: false false,
        WeakCell<'static, Guard>: false false,
        WeakMap<'static, u8, u8>: true true,
        WeakMap<'static, Celled, u8>: false false,
        WeakMap<'static, Guard, u8>: false false,
        WeakMap<'static, u8, Celled>: false false,
        WeakMap<'static, u8, Guard>: false false,
        Interner<'static, str>: true true,
        Interner<'static, Celled>: false false,
        Interner<'static, Guard>: false false,
        TaggedCell<'static, u8>: true true,
        TaggedCell<'static, Gc<'static, u8>>: true true,
        TaggedCell<'static, Celled>: false false,
        TaggedCell<'static, Guard>: false false,
        // What a cleanup holds may go to any thread, and is called by one.
        Cleanup: true true,
        // Plain values are what their contents are.
        Opaque<u8>: true true,
        HeaderSlice<u8, [u8]>: true true,
        HeaderSlice<Celled, [u8]>: true false,
        HeaderSlice<u8, [Guard]>: false true,
        Celled: true false,
        Guard: false true,
        Neither: false false,
        AllocError<u8>: true true,
        AllocError<Cell<u8>>: true false,
        AllocError<Rc<u8>>: false false,
        // Figures, settings and reports.
        DebugSettings: true true,
        SettingError: true true,
        Verify: true true,
        VerifyError: true true,
        VerifyReport: true true,
        VerifyFinding: true true,
        FindingKind: true true,
        LongMutation: true true,
        CycleReport: true true,
        CycleCause: true true,
        // What only the collector and the derive have to do with. Nobody can make one.
        Inspector<'static>: false false,
        TypeInfo: true true,
    }
    // What stands behind `pub use`, on however many lines.
    let exports = include_str!("../../src/lib.rs").split("\npub use ").skip(1);
    let exported = exports.filter_map(|rest| rest.split_once(';')).flat_map(|(export, _)| {
        let names = export.rsplit("::").next().unwrap_or(export);
        names.split([' ', ',', '\n', '{', '}']).filter(|name| !name.is_empty())
    });
    let traits = ["Allocate", "DynObject", "MustNotImplementDrop", "Object", "Payload", "Tagged", "Trace"];
    let types: Vec<&str> = exported.filter(|name| !traits.contains(name)).collect();
    assert!(types.len() >= 30, "the list of exports is not where it was: {types:?}");
    for name in types {
        let begins =
            |entry: &&str| entry.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('<'));
        assert!(TABLE.iter().any(begins), "`{name}` is not in the table");
    }
}
