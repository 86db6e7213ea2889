//! A garbage-collected heap that many threads share, that never stops them, and whose objects can be *pinned*, so that
//! C code or the kernel may keep their addresses.
//!
//! ```
//! use linchpin::{Gc, GcCell, Heap, Pinner, Root, Trace};
//!
//! #[derive(Trace)]
//! struct Session<'gc> {
//!     id: u64,
//!     buffer: Gc<'gc, [u8]>,
//!     next: GcCell<'gc, Session<'gc>>,
//! }
//!
//! let heap = Heap::new();
//! let root: Root<Session<'static>> = heap.mutate(|mu| {
//!     let buffer = mu.alloc_slice_copy(b"hello");
//!     mu.root(mu.alloc(Session { id: 1, buffer, next: GcCell::null() }))
//! });
//! let mut pinner = Pinner::new();
//! let address = heap.mutate(|mu| pinner.pin(mu, root.get(mu).buffer));
//! drop(root); // from here on only the pin keeps the buffer
//! heap.collect();
//! // SAFETY: the buffer is pinned and nobody writes to it.
//! assert_eq!(unsafe { address.as_ref() }, b"hello");
//! pinner.unpin();
//! ```
//!
//! # How it works
//!
//! * Threads work on a heap in *mutations* ([`Heap::mutate`]), each holding a *processor* (Go's P): its
//!   allocation runs, its barrier buffer, its cached inner pinner.
//! * Pointers ([`Gc`]) are one word, `Copy`, and branded by the lifetime of their mutation, so they cannot leave it; no
//!   thread's stack is ever scanned. What outlives a mutation is a [`Root`] or is pinned by a [`Pinner`].
//! * Objects are shared, hence `Send + Sync` and immutable but for their atomic parts; [`GcCell`] is the
//!   pointer field that changes, [`GcMutex`] and [`GcRwLock`] are for whatever else holds pointers and changes.
//! * A collector thread marks and sweeps while mutations go on. It asks each processor, between two mutations or where one
//!   allocates, to adopt the next phase of the cycle; mutations never wait for it.
//!
//! # Features
//!
//! * `derive` (by default): `#[derive(Trace)]`.
//! * `arrayvec`, `either`, `hashbrown`, `indexmap`, `smallvec`: [`Trace`](trait@Trace) for the types of these crates.
//!
//! # Where to find what
//!
//! | module | idea |
//! | --- | --- |
//! | `heap`, `builder`, `stats`, `settle` | the value a program makes, and how it ends |
//! | `mutator` | what a mutation can do |
//! | `processor` | taking and giving back a processor, its state word, handshakes, allocation runs |
//! | `memory` | the region, spans, side metadata, classes, sweep |
//! | `collector` | the cycle, marking, background threads, the growth rule |
//! | `pin` | the pinner, its cache and leak reports |
//! | `gc` | pointers, pointer fields, roots, slices, locks around what holds pointers |
//! | `long_mutations` | computations in steps, and reports of mutations that delay a cycle |
//! | `cleanup` | what is to be done when an object has been collected |
//! | `trace` | what the collector knows of types |
//! | `verify` | a heap that checks and disturbs itself, when asked to |
//! | `process` | which process this is, of those that fork made |
//! | `panics` | panics of the program's code that are contained; words to the user |

#![warn(missing_docs)]
// They panic where the stream cannot be written; `panics::tell` does not.
#![cfg_attr(not(test), deny(clippy::print_stderr, clippy::print_stdout, clippy::dbg_macro))]

// For what the derive writes in the unit tests.
#[cfg(all(test, not(loom)))]
extern crate self as linchpin;

mod builder;
mod cleanup;
mod collector;
mod error;
mod gc;
mod heap;
mod long_mutations;
#[cfg(all(test, loom))]
mod loom_tests;
mod memory;
mod mutator;
mod opaque;
mod panics;
mod pin;
mod process;
mod processor;
mod settle;
mod stats;
mod sync;
mod trace;
mod verify;

pub use builder::HeapBuilder;
pub use cleanup::Cleanup;
pub use collector::report::{CycleCause, CycleReport};
pub use error::{AllocError, BuildError, OutOfMemory, SettingError};
pub use gc::{
    DynObject, Gc, GcCell, GcDyn, GcMutex, GcMutexGuard, GcOnce, GcRwLock, GcRwLockReadGuard, GcRwLockWriteGuard,
    HeaderSlice, Interner, Object, Payload, Root, Tagged, TaggedCell, Weak, WeakCell, WeakMap, WeakRoot,
};
pub use heap::Heap;
pub use long_mutations::LongMutation;
pub use mutator::Mutator;
pub use opaque::Opaque;
pub use pin::Pinner;
pub use pin::leak::{PinLeak, PinLeakCause};
pub use stats::HeapStats;
pub use trace::{Allocate, Trace, Tracer};
pub use verify::exact::{VerifyError, VerifyReport};
pub use verify::findings::{FindingKind, VerifyFinding};
pub use verify::settings::{DebugSettings, Verify};

#[doc(hidden)]
pub use trace::{Inspector, MustNotImplementDrop, TypeInfo};

/// Derives [`Trace`](trait@Trace) for a struct or an enum. See the trait.
#[cfg(feature = "derive")]
pub use linchpin_derive::Trace;

/// Derives [`Tagged`](trait@Tagged) for an enum. See the trait.
#[cfg(feature = "derive")]
pub use linchpin_derive::Tagged;

/// The guide's programs, as tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide.md")]
struct Guide;

/// The README's example, as a test.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
