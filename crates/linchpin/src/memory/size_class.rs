//! Slot sizes: what an object of so many bytes takes up.
//!
//! A Rust type has one size, so its slots are as large as the type, rounded up to a granule and to its
//! alignment. Slices come in many sizes; theirs are rounded up to one of the classes here (eight steps to a
//! doubling, so at most an eighth is lost), and types without pointers and without `Drop` share spans by
//! these classes.

use super::{GRANULE, LARGE_BYTES};

/// The number of classes up to [`LARGE_BYTES`].
pub(crate) const CLASSES: usize = class_of(LARGE_BYTES) + 1;

/// The class of a size from 1 to [`LARGE_BYTES`] bytes.
pub(crate) const fn class_of(bytes: usize) -> usize {
    debug_assert!(bytes >= 1 && bytes <= LARGE_BYTES);
    let granules = bytes.div_ceil(GRANULE);
    if granules <= 16 {
        return granules - 1;
    }
    // Sixteenths to eighths of a power of two: the four bits below the leading one, rounded up.
    let shift = (usize::BITS - 1 - (granules - 1).leading_zeros()) as usize - 3;
    let steps = granules.div_ceil(1 << shift);
    15 + (shift - 1) * 8 + (steps - 8)
}

/// The slot size of a class in bytes, a multiple of the granule.
pub(crate) const fn slot_bytes(class: usize) -> usize {
    if class < 16 {
        return (class + 1) * GRANULE;
    }
    let shift = (class - 16) / 8 + 1;
    let steps = (class - 16) % 8 + 9;
    (steps << shift) * GRANULE
}

/// The slot size for a Rust type of this layout: its size rounded up to its alignment and a granule.
pub(crate) const fn slot_bytes_of_layout(size: usize, align: usize) -> usize {
    let size = if size == 0 { 1 } else { size };
    let align = if align < GRANULE { GRANULE } else { align };
    size.next_multiple_of(align)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

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

    #[test]
    fn slots_of_types_respect_size_and_alignment() {
        assert_eq!(slot_bytes_of_layout(0, 1), 16);
        assert_eq!(slot_bytes_of_layout(24, 8), 32);
        assert_eq!(slot_bytes_of_layout(1, 64), 64);
        assert_eq!(slot_bytes_of_layout(4097, 4096), 8192);
    }
}
