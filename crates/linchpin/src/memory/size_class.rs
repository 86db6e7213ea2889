//! Slot sizes: what an object of so many bytes takes up.
//!
//! A Rust type has one size, so its slots are as large as the type, rounded up to a granule (but see below) and to its
//! alignment. Slices come in many sizes; theirs are rounded up to one of the classes here (eight steps to a
//! doubling, so at most an eighth is lost), and types without pointers and without `Drop` share spans by
//! these classes.
//!
//! **Odd slots.** A granule of 16 bytes is what has a mark byte and a pin counter; of small objects of three words it would waste the fourth. So up
//! to 120 bytes a slot may have an odd number of words: 24, 40, 56 and so on. Every other one of these begins in the middle of a granule. As none is smaller
//! than a granule, no two begin in one, so a granule still stands for one object, and its mark byte and its counter are found as those of any other:
//! by a shift of the object's address. The other way round, from a granule to the object, it takes a division by the size of the slot
//! ([`odd_slot_in_granule`]); for that, odd slots lie at multiples of their size from the beginning of their *unit*, in a quarter, too. What is traced
//! and comes in slots of several sizes, a slice of pointers, has none of them, so that a trace function knows its divisor when it is compiled.

use super::{GRANULE, LARGE_BYTES};

/// Up to so many bytes a slot may be odd. (Of a larger one a word is a sixteenth at most.)
pub(super) const MOST_ODD_BYTES: usize = 120;

/// How many classes are: 24, 40, ... 120 bytes.
const ODD: usize = MOST_ODD_BYTES / GRANULE;

const WORD: usize = GRANULE / 2;

/// The number of classes up to [`LARGE_BYTES`].
pub(crate) const CLASSES: usize = class_of(LARGE_BYTES) + 1;

/// The class of a size from 1 to [`LARGE_BYTES`] bytes.
pub(crate) const fn class_of(bytes: usize) -> usize {
    debug_assert!(bytes >= 1 && bytes <= LARGE_BYTES);
    if bytes <= MOST_ODD_BYTES {
        return if bytes <= GRANULE { 0 } else { bytes.div_ceil(WORD) - 2 };
    }
    let granules = bytes.div_ceil(GRANULE);
    if granules <= 16 {
        return granules - 1 + ODD;
    }
    // Sixteenths to eighths of a power of two: the four bits below the leading one, rounded up.
    let shift = (usize::BITS - 1 - (granules - 1).leading_zeros()) as usize - 3;
    let steps = granules.div_ceil(1 << shift);
    15 + ODD + (shift - 1) * 8 + (steps - 8)
}

/// The slot size of a class in bytes.
pub(crate) const fn slot_bytes(class: usize) -> usize {
    if class < 2 * ODD {
        return (class + 2) * WORD;
    }
    let class = class - ODD;
    if class < 16 {
        return (class + 1) * GRANULE;
    }
    let shift = (class - 16) / 8 + 1;
    let steps = (class - 16) % 8 + 9;
    (steps << shift) * GRANULE
}

/// The slot size for a Rust type of this layout: its size rounded up to its alignment, and to a word or a granule.
pub(crate) const fn slot_bytes_of_layout(size: usize, align: usize) -> usize {
    let size = if size < GRANULE { GRANULE } else { size };
    let least = if size <= MOST_ODD_BYTES { WORD } else { GRANULE };
    size.next_multiple_of(if align < least { least } else { align })
}

/// The slot size for values of a type: where they are allocated and how they are traced must agree on it.
pub(crate) const fn slot_bytes_of<T>() -> usize {
    slot_bytes_of_layout(size_of::<T>(), align_of::<T>())
}

/// Whether a slot has an odd number of words: every other one begins in the middle of a granule.
#[inline(always)]
pub(crate) const fn is_odd(slot_bytes: usize) -> bool {
    !slot_bytes.is_multiple_of(GRANULE)
}

/// Where the odd slot begins that begins in the granule of the byte at `offset`; both are counted from the beginning of the unit.
#[inline(always)]
pub(crate) const fn odd_slot_in_granule(offset: usize, slot_bytes: usize) -> usize {
    // If one begins there, in the first half or in the middle, the middle lies in it.
    (offset / GRANULE * GRANULE + WORD) / slot_bytes * slot_bytes
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::memory::SPAN_BYTES;

    #[test]
    fn every_size_gets_the_smallest_class_that_holds_it() {
        for bytes in 1..=LARGE_BYTES {
            let class = class_of(bytes);
            assert!(slot_bytes(class) >= bytes, "{bytes} bytes in class {class}");
            assert!(class == 0 || slot_bytes(class - 1) < bytes, "{bytes} bytes fit a smaller class");
        }
        assert_eq!(slot_bytes(CLASSES - 1), LARGE_BYTES);
    }

    #[test]
    fn at_most_an_eighth_is_lost() {
        for bytes in 129..=LARGE_BYTES {
            let lost = slot_bytes(class_of(bytes)) - bytes;
            assert!(lost * 8 <= bytes + 8 * GRANULE, "{bytes} bytes lose {lost}");
        }
    }

    /// Each object is found from its granule, wherever it lies in its unit.
    #[test]
    fn an_odd_slot_is_found_from_its_granule() {
        let sizes: Vec<usize> = (0..CLASSES).map(slot_bytes).filter(|&size| is_odd(size)).collect();
        assert_eq!(sizes, [24, 40, 56, 72, 88, 104, 120]);
        for size in sizes {
            for start in (0..=SPAN_BYTES - size).step_by(size) {
                for offset in [start, start / GRANULE * GRANULE, start / GRANULE * GRANULE + GRANULE - 1] {
                    assert_eq!(odd_slot_in_granule(offset, size), start, "{offset} in slots of {size} bytes");
                }
            }
        }
    }

    #[test]
    fn slots_of_types_respect_size_and_alignment() {
        assert_eq!(slot_bytes_of_layout(0, 1), 16);
        assert_eq!(slot_bytes_of_layout(17, 1), 24);
        assert_eq!(slot_bytes_of_layout(24, 8), 24);
        assert_eq!(slot_bytes_of_layout(32, 16), 32);
        assert_eq!(slot_bytes_of_layout(120, 8), 120);
        assert_eq!(slot_bytes_of_layout(121, 8), 128);
        assert_eq!(slot_bytes_of_layout(136, 8), 144);
        assert_eq!(slot_bytes_of_layout(1, 64), 64);
        assert_eq!(slot_bytes_of_layout(4097, 4096), 8192);
    }
}
