//! What a hook may do.

use std::sync::atomic::AtomicUsize;
use std::sync::{OnceLock, Weak};

use super::*;

/// A hook may allocate. It is told in the midst of an allocation here, when the processor's run is in hand and not in its place, so
/// it makes another one of the kind; neither may be lost.
#[test]
fn a_hook_that_allocates_in_mid_allocation_loses_no_run() {
    let told = Arc::new(AtomicUsize::new(0));
    let made = Arc::new(Mutex::new(None));
    let itself = Arc::<OnceLock<Weak<Heap>>>::default();
    let heap = {
        let (told, made, itself) = (Arc::clone(&told), Arc::clone(&made), Arc::clone(&itself));
        let hook = move |finding: &VerifyFinding| {
            assert_eq!(finding.kind(), FindingKind::WriteAfterFree, "{finding}");
            told.fetch_add(1, Ordering::Relaxed);
            let heap = itself.get().and_then(Weak::upgrade).expect("the heap is there");
            *made.lock().unwrap() = Some(heap.mutate(|mu| mu.root(mu.alloc(node(None)))));
        };
        let settings = DebugSettings::new().poison(true).verify(Verify::Strict);
        Arc::new(Heap::builder().processors(1).region_size(1 << 20).debug(settings).on_finding(hook).build().unwrap())
    };
    itself.set(Arc::downgrade(&heap)).unwrap();
    let region = &heap.core().memory.region;
    let first_word = region.unit_start(heap.core().memory.frontier()).cast::<usize>();
    // SAFETY: the unit is free and mapped, and nobody else uses the heap.
    unsafe { first_word.write(0x1234) };
    let root = heap.mutate(|mu| mu.root(mu.alloc(node(None))));
    assert_eq!(told.load(Ordering::Relaxed), 1);
    let units = [&root, made.lock().unwrap().as_ref().unwrap()]
        .map(|root| heap.mutate(|mu| region.unit_of(Gc::as_ptr(root.get(mu)).addr())));
    assert_ne!(units[0], units[1], "the hook has taken a span of its own");
    // Each span is in a place, and swept in every cycle.
    for _ in 0..3 {
        heap.verify().unwrap();
        heap.collect();
    }
    assert_eq!(told.load(Ordering::Relaxed), 1);
    // The heap keeps the hook, and the hook a root in the heap.
    made.lock().unwrap().take();
}
