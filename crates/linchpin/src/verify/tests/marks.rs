//! Mark bytes after the sweep.

use super::*;
use crate::memory::GRANULE;

#[test]
fn a_mark_byte_where_no_object_can_start_is_found() {
    let verified = Verified::new();
    let (_root, address) = verified.rooted();
    let middle = address + GRANULE;
    verified.collect_sabotaged(move |core| set_mark(core, middle, colour_of_cycle(core.memory.marked_cycle())));
    assert_eq!(verified.assert_told(FindingKind::MarkByte).address(), middle);
    let error = verified.heap.verify().unwrap_err();
    // It counts as an object too many.
    assert_eq!(kinds_of(&error), [FindingKind::MarkByte, FindingKind::Figures], "{error}");
    assert_eq!(error.findings()[0].address(), middle);
    set_mark(verified.core(), middle, 0);
    verified.assert_in_order();
}

#[test]
fn a_mark_byte_of_no_colour_is_found() {
    let verified = Verified::new();
    let (_root, address) = verified.rooted();
    verified.heap.collect();
    let mark = verified.core().memory.region.mark(address).load(Ordering::Relaxed);
    set_mark(verified.core(), address, 3);
    assert_eq!(verified.assert_verify_finds(FindingKind::MarkByte).address(), address);
    set_mark(verified.core(), address, mark);
    verified.assert_in_order();
}
