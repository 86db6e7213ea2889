//! What the collector must know of a type: which pointers a value holds.

// Its macros are for `foreign`, too.
#[macro_use]
mod impls;
mod foreign;
mod type_info;

pub use crate::collector::mark::Tracer;
pub use crate::verify::words::Inspector;
pub(crate) use impls::{has_size, one_deeper, owned_by_all};
pub use type_info::TypeInfo;
pub(crate) use type_info::{TraceWindow, owns_memory, plain};

/// A type whose values may live in a heap.
///
/// Use `#[derive(Trace)]`. It calls [`trace`](Self::trace) on every field, makes
/// [`Branded`](Self::Branded) from the lifetime named `'gc`, and sees to it that a type that may hold pointers has
/// no `Drop` of its own.
///
/// ```
/// use linchpin::{Gc, GcCell, Trace};
///
/// #[derive(Trace)]
/// struct Session<'gc> {
///     id: u64,
///     name: String,
///     peer: Option<Gc<'gc, Session<'gc>>>,
///     next: GcCell<'gc, Session<'gc>>,
/// }
/// ```
///
/// Data that is `'static`, so without pointers into the heap, and does not implement `Trace` goes into a field with
/// `#[trace(skip)]`, or into [`Opaque`](crate::Opaque). It is an error to skip what is not `'static`; a type parameter is with the bound
/// that says so, and stays what it is then under every brand.
///
/// A value may outlive every borrow. So a lifetime beside the heap's must be `'static`, and say so, or be the heap's by another name:
///
/// ```
/// use linchpin::{Gc, Trace};
///
/// struct Tuning { fast: bool } // of another crate, say
///
/// #[derive(Trace)]
/// struct Frame<'gc, 'code: 'static, Host: 'static> {
///     outer: Option<Gc<'gc, Frame<'gc, 'code, Host>>>,
///     code: &'code [u8],
///     #[trace(skip)]
///     tuning: Tuning,
///     #[trace(skip)]
///     host: Host,
/// }
/// ```
///
/// # Memory outside the heap
///
/// What an object owns elsewhere, such as the elements of a `Vec`, counts towards the growth at which a cycle starts, as if it were in
/// the heap: see [`owned_bytes`](Self::owned_bytes), which the derive adds up over the fields that are not skipped.
///
/// # Drop
///
/// Values are dropped by the collector, on its thread (on the program's where a heap ends). A `Drop` that panics is contained:
/// the value counts as dropped, its fields and the other elements of its slice are dropped, the panic is counted in
/// [`HeapStats::drop_panics`](crate::HeapStats::drop_panics), and the sweep goes on. Two panics in the drop of one value end the
/// process, as they do everywhere in Rust.
///
/// # Safety
/// * `Branded<'b>` is the same type with the heap's lifetime replaced by `'b`, and nothing else changed.
/// * `trace` reports every [`Gc`](crate::Gc) that the value holds (by calling `trace` on every field that may hold
///   some), through owned contents too, and nothing it merely borrows; it does not panic, and does not use a heap. (Nor should it
///   wait for a lock: a mutation traces as well, where it allocates, and may have that lock itself.)
/// * `NEEDS_TRACE` is false only if the type has no brand in it at all, as its own or an argument's (but `'static`, which is
///   no heap's), so that neither its values nor those of any type that can be made from it hold a `Gc`.
/// * If it is true, dropping a value does not look through a `Gc`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot live in a linchpin heap: it does not implement `Trace`",
    label = "`Trace` is not implemented for `{Self}`",
    note = "add `#[derive(Trace)]` to `{Self}`; if it is `'static`, and so holds no `Gc`, put `#[trace(skip)]` before the field, or wrap it in `linchpin::Opaque`"
)]
pub unsafe trait Trace: Sized {
    /// The type under the brand of another heap access: `Session<'b>` for `Session<'gc>`.
    ///
    /// The bound `'b` makes sure that a value holds no other borrowed data.
    type Branded<'b>: for<'c> Trace<Branded<'c> = Self::Branded<'c>> + 'b;

    /// Whether values may hold pointers; if not, `trace` is never called.
    ///
    /// The rule: *false means that the type has no brand in it at all.* That its values hold no pointer is not enough:
    /// `PhantomData<Gc<'gc, u64>>` holds nothing, but a trait implemented for it may lead back to `Gc<'gc, u64>`, and a generic
    /// type that asks only its parameter would have that in a field, untraced.
    const NEEDS_TRACE: bool;

    /// Reports every pointer the value holds.
    fn trace(&self, tracer: &mut Tracer<'_>);

    /// Whether values may own memory outside the heap, and say how much; if not, [`owned_bytes`](Self::owned_bytes) is never called.
    const OWNS_MEMORY: bool = false;

    /// How many bytes outside the heap the value owns, as far as its type lets us see: a `Vec`'s capacity, and what its elements own.
    ///
    /// They count towards the growth at which a cycle starts, from when an object is allocated until it is dropped. So that what is
    /// counted then is what is taken off now, the answer must not change in between: what can change, behind a lock, is left out, and
    /// is for [`Mutator::report_external`](crate::Mutator::report_external). It must not panic.
    fn owned_bytes(&self) -> usize {
        0
    }

    /// Shows the value's words to the verifier, which looks for pointers that `trace` has forgotten: all its bytes, unless the
    /// implementation knows better which of them hold something.
    #[doc(hidden)]
    fn inspect(&self, inspector: &mut Inspector<'_>) {
        inspector.words(self);
    }
}

/// A type whose values can be allocated in the heap branded `'gc`: it implements [`Trace`], carries that brand (or
/// none), and may be shared between threads.
///
/// Implemented for every such type; there is nothing to do.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be allocated in this heap",
    label = "not `Trace + Send + Sync` under this heap's brand",
    note = "objects are shared by threads: use atomics, `GcCell` and `std::sync` types instead of `Cell`, `RefCell` and `Rc`"
)]
pub trait Allocate<'gc>: Trace<Branded<'gc> = Self> + Send + Sync {}

impl<'gc, T: Trace<Branded<'gc> = T> + Send + Sync> Allocate<'gc> for T {}

/// Fails to compile for a type that implements `Drop`, which would conflict with this blanket implementation.
///
/// The derive implements it, by its name, and has [`Tracer::check_drop`] ask for it, by a name that cannot be taken for
/// another: a crate may call a trait of its own `linchpin::MustNotImplementDrop`.
#[doc(hidden)]
pub trait MustNotImplementDrop {
    /// Who is called when a value is dropped, before its fields are: nobody, `()`, or the type itself.
    type Dropper;
}

#[allow(drop_bounds, reason = "that a type implements Drop itself is exactly the question")]
impl<T: Drop> MustNotImplementDrop for T {
    type Dropper = T;
}
