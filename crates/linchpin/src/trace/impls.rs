//! `Trace` for the types of the standard library.
//!
//! What memory a value owns is reckoned from its capacity, or from its length where that is all there is to see. What owns memory says
//! so without asking its parameters: a type that contains itself does so by way of that, and the answer must not depend on itself.
//!
//! What owns its contents traces them. What shares them ([`Arc`], references) may hold no pointers, which
//! `T: 'static` sees to: a `Gc<'gc, _>` never is. In what can hold no pointer the verifier need not look for one, whatever
//! address a number may happen to be. `NEEDS_TRACE` is false for types without a brand only: those without parameters, those
//! whose parameters are `'static`, and those whose every parameter says the same. There is no `Trace` for `Rc` and `RefCell`,
//! which threads cannot share.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::sync::Arc;

use super::{Inspector, Trace, Tracer};
use crate::sync::const_thread_local;

/// `Trace` for types that can hold no pointer.
macro_rules! without_pointers {
    ($($type:ty),* $(,)?) => {$(
        // SAFETY: the type is `'static` and has no parameters, so it holds no `Gc`.
        unsafe impl Trace for $type {
            type Branded<'b> = $type;
            const NEEDS_TRACE: bool = false;
            #[inline(always)]
            fn trace(&self, _: &mut Tracer<'_>) {}
            fn inspect(&self, _: &mut Inspector<'_>) {}
        }
    )*};
}

without_pointers!(
    (),
    bool,
    char,
    u8,
    u16,
    u32,
    u64,
    u128,
    usize,
    i8,
    i16,
    i32,
    i64,
    i128,
    isize,
    f32,
    f64,
    Arc<str>,
    std::num::NonZeroU8,
    std::num::NonZeroU16,
    std::num::NonZeroU32,
    std::num::NonZeroU64,
    std::num::NonZeroU128,
    std::num::NonZeroUsize,
    std::num::NonZeroI8,
    std::num::NonZeroI16,
    std::num::NonZeroI32,
    std::num::NonZeroI64,
    std::num::NonZeroI128,
    std::num::NonZeroIsize,
    std::sync::atomic::AtomicBool,
    std::sync::atomic::AtomicU8,
    std::sync::atomic::AtomicU16,
    std::sync::atomic::AtomicU32,
    std::sync::atomic::AtomicU64,
    std::sync::atomic::AtomicUsize,
    std::sync::atomic::AtomicI8,
    std::sync::atomic::AtomicI16,
    std::sync::atomic::AtomicI32,
    std::sync::atomic::AtomicI64,
    std::sync::atomic::AtomicIsize,
    std::time::Duration,
    std::time::Instant,
    std::time::SystemTime,
    std::net::IpAddr,
    std::net::Ipv4Addr,
    std::net::Ipv6Addr,
    std::net::SocketAddr,
    std::ops::RangeFull,
    crate::Pinner,
);

/// `Trace` for texts, which own memory.
macro_rules! texts {
    ($($type:ty: |$text:ident| $bytes:expr),* $(,)?) => {$(
        // SAFETY: the type is `'static` and has no parameters, so it holds no `Gc`.
        unsafe impl Trace for $type {
            type Branded<'b> = $type;
            const NEEDS_TRACE: bool = false;
            const OWNS_MEMORY: bool = true;
            #[inline(always)]
            fn trace(&self, _: &mut Tracer<'_>) {}
            fn inspect(&self, _: &mut Inspector<'_>) {}
            #[inline(always)]
            fn owned_bytes(&self) -> usize {
                let $text = self;
                $bytes
            }
        }
    )*};
}

texts!(
    String: |text| text.capacity(),
    Box<str>: |text| text.len(),
    std::path::PathBuf: |text| text.capacity(),
    std::ffi::OsString: |text| text.capacity(),
    std::ffi::CString: |text| text.as_bytes_with_nul().len(),
);

/// `Trace` for types that can hold no pointer because their contents are `'static`.
macro_rules! static_contents {
    ($($type:ident),* $(,)?) => {$(
        // SAFETY: `T: 'static` holds no `Gc`, whose brand is never `'static`.
        unsafe impl<T: 'static> Trace for $type<T> {
            type Branded<'b> = $type<T>;
            const NEEDS_TRACE: bool = false;
            #[inline(always)]
            fn trace(&self, _: &mut Tracer<'_>) {}
            fn inspect(&self, _: &mut Inspector<'_>) {}
        }
    )*};
}

use crate::{Opaque, Root};
use std::sync::{Condvar, Mutex, OnceLock, RwLock, Weak};
static_contents!(Arc, Weak, Mutex, RwLock, OnceLock, Opaque);
without_pointers!(Condvar);

// SAFETY: a root is `'static`; it keeps its object alive by itself, without being traced.
unsafe impl<T: ?Sized + 'static> Trace for Root<T> {
    type Branded<'b> = Root<T>;
    const NEEDS_TRACE: bool = false;
    #[inline(always)]
    fn trace(&self, _: &mut Tracer<'_>) {}
    fn inspect(&self, _: &mut Inspector<'_>) {}
}

// SAFETY: `T: 'static` holds no `Gc`. The bound is spelled out: the type `&'static T` alone does not imply it to
// every version of the compiler.
unsafe impl<T: ?Sized + 'static> Trace for &'static T {
    type Branded<'b> = &'static T;
    const NEEDS_TRACE: bool = false;
    #[inline(always)]
    fn trace(&self, _: &mut Tracer<'_>) {}
    fn inspect(&self, _: &mut Inspector<'_>) {}
}

// SAFETY: phantom data holds nothing. But it has its parameter's brand, and what is implemented for it may lead to a pointer
// of that brand, so it may not say no where the parameter does not.
unsafe impl<T: Trace> Trace for std::marker::PhantomData<T> {
    type Branded<'b> = std::marker::PhantomData<T::Branded<'b>>;
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;
    #[inline(always)]
    fn trace(&self, _: &mut Tracer<'_>) {}
    fn inspect(&self, _: &mut Inspector<'_>) {}
}

/// `Trace` for containers: every element is traced, the keys of maps too. They own room for as many elements as the method named says.
macro_rules! containers {
    ($($type:ident<$($parameter:ident),*>: $room:ident),* $(,)?) => {$(
        // SAFETY: the container owns its elements, iterates over all of them, and drops them without looking
        // through them.
        unsafe impl<$($parameter: Trace),*> Trace for $type<$($parameter),*> {
            type Branded<'b> = $type<$($parameter::Branded<'b>),*>;
            const NEEDS_TRACE: bool = false $(|| $parameter::NEEDS_TRACE)*;
            const OWNS_MEMORY: bool = true;
            #[inline]
            fn trace(&self, tracer: &mut Tracer<'_>) {
                if const { $crate::trace::has_size::<($($parameter,)*)>() } {
                    for element in self {
                        element.trace_each(tracer);
                    }
                }
            }
            fn inspect(&self, inspector: &mut Inspector<'_>) {
                if const { $crate::trace::has_size::<($($parameter,)*)>() } {
                    for element in self {
                        element.inspect_each(inspector);
                    }
                }
            }
            fn owned_bytes(&self) -> usize {
                let mut bytes = self.$room().saturating_mul(size_of::<($($parameter,)*)>());
                if $crate::trace::has_size::<($($parameter,)*)>() && (false $(|| $parameter::OWNS_MEMORY)*) {
                    bytes = bytes.saturating_add($crate::trace::one_deeper(|| {
                        self.into_iter().fold(0, |bytes: usize, element| bytes.saturating_add(element.owned_each()))
                    }));
                }
                bytes
            }
        }
    )*};
}

/// What elements own.
pub(crate) fn owned_by_all<'a, T: Trace + 'a>(elements: impl IntoIterator<Item = &'a T>) -> usize {
    if !has_size::<T>() {
        return 0;
    }
    one_deeper(|| elements.into_iter().fold(0, |bytes: usize, element| bytes.saturating_add(element.owned_bytes())))
}

/// Whether there is anything in a value. In one of size zero is no pointer, whatever its type; and there may be so many that nobody
/// should look at each.
pub(crate) const fn has_size<T>() -> bool {
    size_of::<T>() != 0
}

/// How far into what a value owns is looked for more that it owns: a type may contain itself in boxes, a million deep.
const DEEPEST: u32 = 16;

const_thread_local! {
    static DEPTH: Cell<u32> = Cell::new(0);
}

/// What `look` finds, if that is not too deep. The same value is looked at as far the next time.
pub(crate) fn one_deeper(look: impl FnOnce() -> usize) -> usize {
    struct Back;
    impl Drop for Back {
        fn drop(&mut self) {
            DEPTH.with(|depth| depth.set(depth.get() - 1));
        }
    }
    let depth = DEPTH.with(|depth| depth.replace(depth.get() + 1));
    let _back = Back;
    if depth < DEEPEST { look() } else { 0 }
}

/// What iterating over a container yields.
pub(super) trait TraceEach {
    fn trace_each(self, tracer: &mut Tracer<'_>);
    fn inspect_each(self, inspector: &mut Inspector<'_>);
    fn owned_each(self) -> usize;
}

impl<T: Trace> TraceEach for &T {
    #[inline(always)]
    fn trace_each(self, tracer: &mut Tracer<'_>) {
        self.trace(tracer);
    }

    fn inspect_each(self, inspector: &mut Inspector<'_>) {
        self.inspect(inspector);
    }

    fn owned_each(self) -> usize {
        self.owned_bytes()
    }
}

impl<K: Trace, V: Trace> TraceEach for (&K, &V) {
    #[inline(always)]
    fn trace_each(self, tracer: &mut Tracer<'_>) {
        self.0.trace(tracer);
        self.1.trace(tracer);
    }

    fn inspect_each(self, inspector: &mut Inspector<'_>) {
        self.0.inspect(inspector);
        self.1.inspect(inspector);
    }

    fn owned_each(self) -> usize {
        self.0.owned_bytes().saturating_add(self.1.owned_bytes())
    }
}

containers!(
    Vec<T>: capacity,
    VecDeque<T>: capacity,
    LinkedList<T>: len,
    BTreeMap<K, V>: len,
    BTreeSet<T>: len,
    BinaryHeap<T>: capacity,
);

/// Maps and sets with a hasher: it is traced too.
macro_rules! hashed {
    ($($type:ident<$($parameter:ident),*>),* $(,)?) => {$(
        // SAFETY: as for the other containers; the hasher, which may hold pointers like any value, is traced
        // as well.
        unsafe impl<$($parameter: Trace,)* S: Trace> Trace for $type<$($parameter,)* S> {
            type Branded<'b> = $type<$($parameter::Branded<'b>,)* S::Branded<'b>>;
            const NEEDS_TRACE: bool = S::NEEDS_TRACE $(|| $parameter::NEEDS_TRACE)*;
            const OWNS_MEMORY: bool = true;
            #[inline]
            fn trace(&self, tracer: &mut Tracer<'_>) {
                self.hasher().trace(tracer);
                for element in self {
                    element.trace_each(tracer);
                }
            }
            fn inspect(&self, inspector: &mut Inspector<'_>) {
                self.hasher().inspect(inspector);
                for element in self {
                    element.inspect_each(inspector);
                }
            }
            fn owned_bytes(&self) -> usize {
                let mut bytes = self.capacity().saturating_mul(size_of::<($($parameter,)*)>());
                bytes = bytes.saturating_add(self.hasher().owned_bytes());
                if false $(|| $parameter::OWNS_MEMORY)* {
                    bytes = bytes.saturating_add($crate::trace::one_deeper(|| {
                        self.into_iter().fold(0, |bytes: usize, element| bytes.saturating_add(element.owned_each()))
                    }));
                }
                bytes
            }
        }
    )*};
}

hashed!(HashMap<K, V>, HashSet<T>);
without_pointers!(std::collections::hash_map::RandomState);

// SAFETY: the box owns its value.
unsafe impl<T: Trace> Trace for Box<T> {
    type Branded<'b> = Box<T::Branded<'b>>;
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;
    const OWNS_MEMORY: bool = true;
    #[inline(always)]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        (**self).trace(tracer);
    }
    fn inspect(&self, inspector: &mut Inspector<'_>) {
        (**self).inspect(inspector);
    }
    fn owned_bytes(&self) -> usize {
        let more = if T::OWNS_MEMORY { one_deeper(|| (**self).owned_bytes()) } else { 0 };
        size_of::<T>().saturating_add(more)
    }
}

// SAFETY: the box owns its elements.
unsafe impl<T: Trace> Trace for Box<[T]> {
    type Branded<'b> = Box<[T::Branded<'b>]>;
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;
    const OWNS_MEMORY: bool = true;
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        if const { has_size::<T>() } {
            for element in self {
                element.trace(tracer);
            }
        }
    }
    fn inspect(&self, inspector: &mut Inspector<'_>) {
        if const { has_size::<T>() } {
            for element in self {
                element.inspect(inspector);
            }
        }
    }
    fn owned_bytes(&self) -> usize {
        let elements = if T::OWNS_MEMORY { owned_by_all(self) } else { 0 };
        size_of_val::<[T]>(self).saturating_add(elements)
    }
}

// SAFETY: the array owns its elements.
unsafe impl<T: Trace, const N: usize> Trace for [T; N] {
    type Branded<'b> = [T::Branded<'b>; N];
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;
    const OWNS_MEMORY: bool = T::OWNS_MEMORY;
    #[inline(always)]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        if const { has_size::<T>() } {
            for element in self {
                element.trace(tracer);
            }
        }
    }
    fn inspect(&self, inspector: &mut Inspector<'_>) {
        if const { has_size::<T>() } {
            for element in self {
                element.inspect(inspector);
            }
        }
    }
    fn owned_bytes(&self) -> usize {
        if T::OWNS_MEMORY { owned_by_all(self) } else { 0 }
    }
}

// SAFETY: the value, if there is one, is traced.
unsafe impl<T: Trace> Trace for Option<T> {
    type Branded<'b> = Option<T::Branded<'b>>;
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;
    const OWNS_MEMORY: bool = T::OWNS_MEMORY;
    #[inline(always)]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        if let Some(value) = self {
            value.trace(tracer);
        }
    }
    fn inspect(&self, inspector: &mut Inspector<'_>) {
        if let Some(value) = self {
            value.inspect(inspector);
        }
    }
    fn owned_bytes(&self) -> usize {
        self.as_ref().map_or(0, T::owned_bytes)
    }
}

// SAFETY: exactly one of the two is there, and it is traced.
unsafe impl<T: Trace, E: Trace> Trace for Result<T, E> {
    type Branded<'b> = Result<T::Branded<'b>, E::Branded<'b>>;
    const NEEDS_TRACE: bool = T::NEEDS_TRACE || E::NEEDS_TRACE;
    const OWNS_MEMORY: bool = T::OWNS_MEMORY || E::OWNS_MEMORY;
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        match self {
            Ok(value) => value.trace(tracer),
            Err(error) => error.trace(tracer),
        }
    }
    fn inspect(&self, inspector: &mut Inspector<'_>) {
        match self {
            Ok(value) => value.inspect(inspector),
            Err(error) => error.inspect(inspector),
        }
    }
    fn owned_bytes(&self) -> usize {
        self.as_ref().map_or_else(E::owned_bytes, T::owned_bytes)
    }
}

/// `Trace` for tuples.
macro_rules! tuples {
    ($(($($parameter:ident $index:tt),+)),* $(,)?) => {$(
        // SAFETY: every element is traced.
        unsafe impl<$($parameter: Trace),+> Trace for ($($parameter,)+) {
            type Branded<'b> = ($($parameter::Branded<'b>,)+);
            const NEEDS_TRACE: bool = false $(|| $parameter::NEEDS_TRACE)+;
            const OWNS_MEMORY: bool = false $(|| $parameter::OWNS_MEMORY)+;
            #[inline(always)]
            fn trace(&self, tracer: &mut Tracer<'_>) {
                $(self.$index.trace(tracer);)+
            }
            fn inspect(&self, inspector: &mut Inspector<'_>) {
                $(self.$index.inspect(inspector);)+
            }
            #[inline(always)]
            fn owned_bytes(&self) -> usize {
                0_usize $(.saturating_add(self.$index.owned_bytes()))+
            }
        }
    )*};
}

tuples!(
    (A 0),
    (A 0, B 1),
    (A 0, B 1, C 2),
    (A 0, B 1, C 2, D 3),
    (A 0, B 1, C 2, D 3, E 4),
    (A 0, B 1, C 2, D 3, E 4, F 5),
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6),
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7),
);
