//! Objects that the mark has missed, and pointers that lead nowhere.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::collector::queue::Grey;
use crate::memory::GRANULE;
use crate::{Gc, Pinner, Root, Tracer, WeakMap};

#[test]
fn a_rooted_object_that_was_not_marked_is_lost_and_saved() {
    let verified = Verified::new();
    let (root, address) = verified.rooted();
    verified.collect_sabotaged(move |core| set_mark(core, address, white(core)));
    let finding = verified.assert_told(FindingKind::LostObject);
    assert_eq!(finding.address(), address);
    assert!(finding.type_name().unwrap().contains("Node"), "{finding}");
    assert!(finding.to_string().contains("root"), "how it was reached: {finding}");
    assert_eq!(verified.heap.mutate(|mu| root.get(mu).numbers), [7, 8, 9], "it was marked after all");
    verified.assert_in_order();
}

#[test]
fn a_pinned_object_that_was_not_marked_is_lost() {
    let verified = Verified::new();
    let mut pinner = Pinner::new();
    let address = verified.heap.mutate(|mu| pinner.pin(mu, mu.alloc(node(None))).addr().get());
    verified.collect_sabotaged(move |core| set_mark(core, address, white(core)));
    let finding = verified.assert_told(FindingKind::LostObject);
    assert!(finding.address() == address && finding.to_string().contains("pin"), "{finding}");
    pinner.unpin();
    verified.assert_in_order();
}

/// The verifier looks into a weak map, and its look does not count as that of a mark.
#[test]
fn what_only_a_weak_map_has_and_was_not_marked_is_lost() {
    type Map<'gc> = WeakMap<'gc, u64, Gc<'gc, [u64; 2]>>;
    let verified = Verified::new();
    let (map, key, address): (Root<Map<'static>>, Root<u64>, usize) = verified.heap.mutate(|mu| {
        let (map, key, value) = (mu.alloc(Map::new(mu)), mu.alloc(1_u64), mu.alloc([7_u64, 8]));
        map.insert(mu, key, value);
        (mu.root(map), mu.root(key), Gc::as_ptr(value).addr())
    });
    verified.collect_sabotaged(move |core| set_mark(core, address, white(core)));
    let finding = verified.assert_told(FindingKind::LostObject);
    assert_eq!(finding.address(), address);
    for _ in 0..2 {
        verified.assert_in_order();
        verified.heap.collect();
        verified.heap.mutate(|mu| assert_eq!(*map.get(mu).get(mu, key.get(mu)).unwrap(), [7, 8]));
    }
}

#[test]
fn an_edge_from_black_to_white_is_found() {
    let verified = Verified::new();
    // Both are garbage; the first one is made to look marked.
    let (parent, child) = verified.heap.mutate(|mu| {
        let child = mu.alloc(node(None));
        let parent = mu.alloc(node(Some(child)));
        (Gc::as_ptr(parent).addr(), Gc::as_ptr(child).addr())
    });
    verified.collect_sabotaged(move |core| {
        let black = colour_of_cycle(core.memory.marked_cycle());
        set_mark(core, parent, black);
    });
    let finding = verified.assert_told(FindingKind::BlackToWhite);
    assert_eq!(finding.address(), child);
    assert!(finding.to_string().contains(&format!("{parent:#x}")), "who leads there: {finding}");
    verified.assert_in_order();
}

/// Reports whatever address it is told to.
struct Stray {
    address: AtomicUsize,
    inside: AtomicUsize,
}

// SAFETY: it is not kept to, which is what is to be found; the address is given only while the verifier looks.
unsafe impl Trace for Stray {
    type Branded<'b> = Self;
    const NEEDS_TRACE: bool = true;
    fn trace(&self, tracer: &mut Tracer<'_>) {
        let address = self.address.load(Ordering::Relaxed);
        if let Some(start) = NonNull::new(std::ptr::without_provenance_mut::<u8>(address)) {
            // SAFETY: a tracer that inspects looks at the address only.
            tracer.visit(unsafe { Gc::<Self>::from_start(start) });
        }
    }
}

#[test]
fn a_pointer_to_no_object_is_found() {
    let verified = Verified::new();
    let root: Root<Stray> = verified
        .heap
        .mutate(|mu| mu.root(mu.alloc(Stray { address: AtomicUsize::new(0), inside: AtomicUsize::new(0) })));
    let address = verified.heap.mutate(|mu| {
        let stray = root.get(mu);
        stray.inside.store(Gc::as_ptr(stray).addr(), Ordering::Relaxed);
        Gc::as_ptr(stray).expose_provenance()
    });
    let inside = address + GRANULE / 2;
    verified.collect_sabotaged(move |_| {
        // SAFETY: the object is rooted.
        unsafe { &*std::ptr::with_exposed_provenance::<Stray>(address) }.address.store(inside, Ordering::Relaxed);
    });
    verified.heap.mutate(|mu| {
        root.get(mu).address.store(0, Ordering::Relaxed);
        root.get(mu).inside.store(0, Ordering::Relaxed);
    });
    // Its other word leads to itself, and its trace says nothing of that.
    let told = verified.take_told();
    let of =
        |kind| told.iter().filter(|finding| finding.kind() == kind).map(VerifyFinding::address).collect::<Vec<_>>();
    assert_eq!(of(FindingKind::StrayPointer), [inside], "{told:?}");
    assert_eq!(of(FindingKind::UnreportedPointer), [address], "{told:?}");
    assert_eq!(told.len(), 2, "{told:?}");
    verified.assert_in_order();
}

#[test]
fn grey_objects_left_in_the_handshake_to_off_are_found() {
    let verified = Verified::new();
    let (_root, address) = verified.rooted();
    verified.collect_sabotaged(move |core| core.queue.push(vec![Grey(core.memory.region.pointer(address))]));
    verified.assert_told(FindingKind::GreyLeft);
    assert_eq!(verified.core().queue.take().map(|left| left.len()), Some(1));
    verified.assert_in_order();
}
