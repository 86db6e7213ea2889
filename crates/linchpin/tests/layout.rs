//! Sizes and auto traits that the documentation promises.

#![cfg(not(loom))]

use linchpin::{Gc, GcCell, Heap, Mutator, Pinner, Root, Trace};

const WORD: usize = size_of::<usize>();

#[derive(Trace)]
struct Node<'gc> {
    next: GcCell<'gc, Node<'gc>>,
}

fn assert_send<T: Send + ?Sized>() {}
fn assert_sync<T: Sync + ?Sized>() {}
fn assert_copy<T: Copy>() {}
fn assert_static<T: 'static>() {}

#[test]
fn a_gc_is_one_word() {
    assert_eq!(size_of::<Gc<'_, u8>>(), WORD);
    assert_eq!(size_of::<Option<Gc<'_, u8>>>(), WORD);
    assert_eq!(size_of::<Gc<'_, [u64]>>(), WORD);
    assert_eq!(size_of::<Option<Gc<'_, [u64]>>>(), WORD);
    assert_eq!(size_of::<Gc<'_, Node<'_>>>(), WORD);
    assert_eq!(size_of::<GcCell<'_, Node<'_>>>(), WORD);
    assert_eq!(size_of::<Node<'_>>(), WORD);
    assert!(Node { next: GcCell::null() }.next.load().is_none());
}

#[test]
fn handles_go_where_they_should() {
    assert_send::<Heap>();
    assert_sync::<Heap>();
    assert_send::<Root<Node<'static>>>();
    assert_sync::<Root<Node<'static>>>();
    assert_send::<Root<[u8]>>();
    assert_sync::<Root<[u8]>>();
    assert_static::<Root<Node<'static>>>();
    assert_send::<Pinner>();
    assert_copy::<Gc<'_, Node<'_>>>();
    assert_copy::<Gc<'_, String>>();
    assert_send::<GcCell<'_, Node<'_>>>();
    assert_sync::<GcCell<'_, Node<'_>>>();
    // A mutator is neither, which tests/ui/mutator_to_thread.rs holds against the compiler.
    let _ = size_of::<Mutator<'_>>();
}

#[test]
fn a_pinner_is_made_at_compile_time() {
    const EMPTY: Pinner = Pinner::new();
    static SHARED: std::sync::Mutex<Pinner> = std::sync::Mutex::new(Pinner::new());
    assert!(EMPTY.is_empty());
    assert!(SHARED.lock().expect("nobody panics with it").is_empty());
}
