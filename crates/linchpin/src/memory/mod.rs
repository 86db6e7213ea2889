//! The memory map: one reserved region, carved into spans, with side metadata found by address.
//!
//! A heap reserves one range of address space in one mapping, far larger than it will use; the operating
//! system commits a page when it is first touched. The range holds, one after another:
//!
//! | part | size | what it is |
//! | --- | --- | --- |
//! | region | `R`, aligned to 2 MiB | the objects, in spans of 64 KiB (or a multiple, for one large object; or a quarter, where a type has few) |
//! | mark bytes | `R / 16`, aligned to 2 MiB | one byte a granule of 16 bytes: 0 = free, else one of two colours |
//! | pin counters | `R / 2` | one [counter](crate::pin::counter) of 8 bytes a granule; only pages near pinned objects ever exist |
//! | pin flags | `R / 65536` | one byte a unit: [`PIN_FLAG_CLEAR`], [`PIN_FLAG_TOUCHED`] or [`PIN_FLAG_RAISED`] |
//! | spans | `R / 1024` | one [`Span`](span::Span) record a 64 KiB unit |
//! | quarters | `R / 256` | one such record for each [quarter](quarters) of a unit that is split; only pages near those ever exist |
//!
//! So the metadata of an object is found with a shift and an add. Only the granule an object *starts* in
//! carries its mark byte and its pin counter; it mostly starts with it, but see [odd slots](size_class).
//!
//! **Colours.** Cycle `n` marks with colour `1 + (n & 1)`; what carries the other colour when the mark ends
//! is dead and swept to 0. Every span is swept before the next cycle starts, hence a byte is always 0, the
//! colour of the last cycle, or (during a cycle) the colour of this one.
//!
//! **Who may touch a mark byte.** The processor that holds a span stores the colour of each new object;
//! markers and barriers store the colour of a cycle; all of these use relaxed atomic accesses. The sweeper
//! of a span reads and writes plainly: it owns the span, no barrier is active (every processor is in `Off`)
//! and no marker runs. The order between these epochs comes from the handshakes.

mod backing;
pub(crate) mod class;
pub(crate) mod free_spans;
pub(crate) mod opaque_load;
pub(crate) mod prefetch;
pub(crate) mod quarters;
pub(crate) mod region;
pub(crate) mod returning;
pub(crate) mod side;
pub(crate) mod size_class;
pub(crate) mod span;
pub(crate) mod sweep;
mod unit_set;

/// The unit of side metadata, in bytes.
pub(crate) const GRANULE: usize = 16;
/// The unit in which the region is carved, in bytes; spans are aligned to it.
pub(crate) const SPAN_BYTES: usize = 64 * 1024;
/// The size of a quarter of a unit, in bytes: a span of its own where the unit is split.
pub(crate) const QUARTER_BYTES: usize = SPAN_BYTES / 4;
/// A span goes by a number: that of its first unit, or, if it is a quarter, this and the quarter's number in the region.
pub(crate) const FIRST_QUARTER: usize = 1 << 31;
/// Objects above this size, in bytes, get a span of their own.
pub(crate) const LARGE_BYTES: usize = 32 * 1024;
/// A pin flag: no pin counter of the unit was touched since the unit was last empty.
pub(crate) const PIN_FLAG_CLEAR: u8 = 0;
/// A pin flag: counters were touched, so a sweep must reset those of dead objects.
pub(crate) const PIN_FLAG_TOUCHED: u8 = 1;
/// A pin flag: that, and objects of the unit may be pinned. Raised by pins; lowered by each cycle before its walk.
pub(crate) const PIN_FLAG_RAISED: u8 = 2;
/// Granules in a unit.
pub(crate) const SPAN_GRANULES: usize = SPAN_BYTES / GRANULE;
/// Slots in a span of the models' objects, the only size there is under loom.
#[cfg(loom)]
pub(crate) const MODEL_SLOTS: usize = 4;
