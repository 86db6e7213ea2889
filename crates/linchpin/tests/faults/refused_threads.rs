//! Threads that the system refuses: the collector's, which is started when it is first wanted, and the helpers that mark beside
//! it.

use std::sync::Mutex;

use crate::common::{Counted, Ledger, Triple, assert_nothing_live, churn, panic_text};
use crate::process::{allow_address_space, forbid_address_space_beyond, in_own_process_with, unheard_in_own_process};
use linchpin::{Gc, Heap, Mutator, Root, Trace};

const MIB: usize = 1 << 20;

/// A thread's stack takes so much address space, and nothing else of a thread takes any (glibc's allocator would reserve some for
/// each that allocates, sooner or later), and ...
const STACKS: [(&str, &str); 2] = [("RUST_MIN_STACK", "268435456"), ("MALLOC_ARENA_MAX", "1")];
const STACK: usize = 256 * MIB;
/// ... this is too little for one, and enough for everything else.
const NO_STACK: usize = 128 * MIB;

fn small_heap() -> Heap {
    Heap::builder().processors(1).region_size(64 * MIB).build().expect("64 MiB are allowed")
}

fn assert_says_what_to_do(text: &str) {
    assert!(text.starts_with("linchpin: the thread of the collector could not be started ("), "{text}");
    assert!(text.contains("ulimit -u") && text.contains("ulimit -v"), "no advice: {text}");
}

#[test]
fn a_collect_without_a_thread_panics_and_works_later() {
    let test = "refused_threads::a_collect_without_a_thread_panics_and_works_later";
    in_own_process_with(test, &STACKS, || {
        let heap = small_heap();
        let ledger = Ledger::new(10);
        heap.mutate(|mu| (0..10).for_each(|entry| _ = mu.alloc(ledger.counted(entry))));
        let root = heap.mutate(|mu| mu.root(mu.alloc(Triple::of(7))));
        forbid_address_space_beyond(NO_STACK);
        for _ in 0..3 {
            assert_says_what_to_do(&panic_text(|| heap.collect()));
        }
        assert_eq!(heap.stats().cycles, 0);
        ledger.assert_none();
        // The heap works as long as it needs no cycle.
        churn(&heap, 1000);
        heap.mutate(|mu| assert_eq!(*root.get(mu), Triple::of(7)));

        allow_address_space();
        heap.collect();
        ledger.assert_each_once();
        heap.mutate(|mu| assert_eq!(*root.get(mu), Triple::of(7)));
        drop(root);
        heap.collect();
        assert_nothing_live(&heap);
    })
    .well();
}

#[test]
fn a_heap_that_never_got_its_thread_ends_all_the_same() {
    let test = "refused_threads::a_heap_that_never_got_its_thread_ends_all_the_same";
    in_own_process_with(test, &STACKS, || {
        let heap = small_heap();
        let ledger = Ledger::new(10);
        heap.mutate(|mu| (0..10).for_each(|entry| _ = mu.alloc(ledger.counted(entry))));
        forbid_address_space_beyond(NO_STACK);
        assert_says_what_to_do(&panic_text(|| heap.collect()));
        drop(heap);
        ledger.assert_each_once();
    })
    .well();
}

/// The allocation at which a cycle is due panics; its value is dropped, its slot is not lost, and the heap asks again.
#[test]
fn an_allocation_without_a_thread_panics_and_works_later() {
    const VALUES: usize = 200_000;
    let test = "refused_threads::an_allocation_without_a_thread_panics_and_works_later";
    in_own_process_with(test, &STACKS, || {
        let heap = small_heap();
        let ledger = Ledger::new(VALUES);
        let mut entry = 0;
        let mut refused = 0;
        forbid_address_space_beyond(NO_STACK);
        assert_says_what_to_do(&panic_text(|| churn(&heap, 1_000_000)));
        // From now on a cycle is due at every allocation that looks.
        while refused < 30 && entry + 1000 <= VALUES {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                heap.mutate(|mu| {
                    for _ in 0..1000 {
                        entry += 1;
                        // Both ways, and a large object's.
                        match refused % 3 {
                            0 => _ = mu.alloc(ledger.counted(entry - 1)),
                            1 => _ = mu.try_alloc(ledger.counted(entry - 1)),
                            _ => {
                                let counted = ledger.counted(entry - 1);
                                mu.alloc_slice_with(6000, |_| 0_u64);
                                mu.alloc(counted);
                            }
                        }
                    }
                });
            }));
            if let Err(payload) = outcome {
                assert_says_what_to_do(payload.downcast_ref::<String>().expect("a text"));
                let in_hand = (0..entry).filter(|&entry| ledger.drops_of(entry) == 1).count();
                refused += 1;
                assert_eq!(in_hand, refused, "the value of each refused allocation is dropped, and no other");
            }
        }
        assert_eq!(refused, 30, "in {entry} allocations");
        assert_eq!(heap.stats().cycles, 0);

        // The next allocation that finds a cycle due asks for it again, without a `collect`.
        allow_address_space();
        let mut rounds = 0;
        while heap.stats().cycles == 0 {
            churn(&heap, 10_000);
            rounds += 1;
            assert!(rounds < 100_000, "gigabytes of garbage started no cycle");
        }
        heap.collect();
        heap.collect();
        assert!((0..entry).all(|entry| ledger.drops_of(entry) == 1));
        assert_eq!(ledger.total(), entry as u64);
        assert_nothing_live(&heap);
    })
    .well();
}

/// The program's panic hook may use the heap, so no lock is held while the panic is told.
#[test]
fn a_panic_hook_may_look_at_the_heap_whose_thread_was_refused() {
    static HEAP: Mutex<Option<std::sync::Arc<Heap>>> = Mutex::new(None);
    let test = "refused_threads::a_panic_hook_may_look_at_the_heap_whose_thread_was_refused";
    let said = in_own_process_with(test, &STACKS, || {
        let heap = std::sync::Arc::new(small_heap());
        *HEAP.lock().expect("nobody panics with it") = Some(std::sync::Arc::clone(&heap));
        std::panic::set_hook(Box::new(|_| {
            let heap = HEAP.lock().expect("nobody panics with it").clone().expect("it was put there");
            heap.mutate(|mu| _ = mu.alloc(Triple::of(1)));
            eprintln!("the hook has seen {} cycles", heap.stats().cycles);
        }));
        forbid_address_space_beyond(NO_STACK);
        assert_says_what_to_do(&panic_text(|| heap.collect()));
        // The same from an allocation, at which the heap asks for a cycle by itself.
        let text = panic_text(|| {
            heap.mutate(|mu| {
                for _ in 0..1_000_000 {
                    mu.alloc(Triple::of(2));
                }
            });
        });
        assert_says_what_to_do(&text);
    })
    .well();
    assert_eq!(said.matches("the hook has seen 0 cycles").count(), 2, "{said}");
}

#[derive(Trace)]
struct Link<'gc> {
    counted: Gc<'gc, Counted>,
    next: Option<Gc<'gc, Link<'gc>>>,
}

fn chain_of<'gc>(mu: &Mutator<'gc>, ledger: &Ledger, first: usize, links: usize) -> Root<Link<'static>> {
    let mut next = None;
    for entry in first..first + links {
        next = Some(mu.alloc(Link { counted: mu.alloc(ledger.counted(entry)), next }));
    }
    mu.root(next.expect("a chain has links"))
}

/// Marks chains in a heap that gets two of its fifteen helpers.
fn mark_with_two_helpers() {
    const CHAINS: usize = 64;
    const LINKS: usize = 500;
    let heap = Heap::builder().processors(64).region_size(64 * MIB).build().expect("64 MiB are allowed");
    assert_eq!(heap.stats().mark_workers, 16);
    let ledger = Ledger::new(CHAINS * LINKS);
    let chains: Vec<Root<Link<'static>>> =
        (0..CHAINS).map(|chain| heap.mutate(|mu| chain_of(mu, &ledger, chain * LINKS, LINKS))).collect();
    // Room for the collector's own and two more.
    forbid_address_space_beyond(3 * STACK + NO_STACK);
    heap.collect();
    assert_eq!(heap.stats().mark_workers, 3);
    ledger.assert_none();
    allow_address_space();
    heap.collect();
    ledger.assert_none();
    drop(chains);
    heap.collect();
    ledger.assert_each_once();
    assert_nothing_live(&heap);
}

/// Where that cannot be told, the collector's thread must not end over it: nobody would start another one.
#[test]
fn a_heap_marks_with_the_helpers_it_gets_unheard() {
    let test = "refused_threads::a_heap_marks_with_the_helpers_it_gets_unheard";
    unheard_in_own_process(test, &STACKS, mark_with_two_helpers).well();
}

/// Fewer helpers than a heap is to have are told of, counted as they are, and enough.
#[test]
fn a_heap_marks_with_the_helpers_it_gets() {
    let test = "refused_threads::a_heap_marks_with_the_helpers_it_gets";
    let said = in_own_process_with(test, &STACKS, mark_with_two_helpers).well();
    assert!(said.contains("linchpin: only 2 of the 15 threads that help heap 1 to mark could be started"), "{said}");
}
