//! `Trace` for the types of the standard library.
//!
//! What owns its contents traces them. What shares them ([`Arc`], references) may hold no pointers, which
//! `T: 'static` sees to: a `Gc<'gc, _>` never is. In what can hold no pointer the verifier need not look for one, whatever
//! address a number may happen to be. `NEEDS_TRACE` is false for types without a brand only: those without parameters, those
//! whose parameters are `'static`, and those whose every parameter says the same. There is no `Trace` for `Rc` and `RefCell`,
//! which threads cannot share.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::sync::Arc;

use super::{Inspector, Trace, Tracer};

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
    String,
    Box<str>,
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
    std::path::PathBuf,
    std::ffi::OsString,
    std::ffi::CString,
    std::net::IpAddr,
    std::net::Ipv4Addr,
    std::net::Ipv6Addr,
    std::net::SocketAddr,
    std::ops::RangeFull,
    crate::Pinner,
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

/// `Trace` for containers: every element is traced, the keys of maps too.
macro_rules! containers {
    ($($type:ident<$($parameter:ident $(: $bound:path)*),*>),* $(,)?) => {$(
        // SAFETY: the container owns its elements, iterates over all of them, and drops them without looking
        // through them.
        unsafe impl<$($parameter: Trace),*> Trace for $type<$($parameter),*> {
            type Branded<'b> = $type<$($parameter::Branded<'b>),*>;
            const NEEDS_TRACE: bool = false $(|| $parameter::NEEDS_TRACE)*;
            #[inline]
            fn trace(&self, tracer: &mut Tracer<'_>) {
                for element in self {
                    element.trace_each(tracer);
                }
            }
            fn inspect(&self, inspector: &mut Inspector<'_>) {
                for element in self {
                    element.inspect_each(inspector);
                }
            }
        }
    )*};
}

/// What iterating over a container yields.
pub(super) trait TraceEach {
    fn trace_each(self, tracer: &mut Tracer<'_>);
    fn inspect_each(self, inspector: &mut Inspector<'_>);
}

impl<T: Trace> TraceEach for &T {
    #[inline(always)]
    fn trace_each(self, tracer: &mut Tracer<'_>) {
        self.trace(tracer);
    }

    fn inspect_each(self, inspector: &mut Inspector<'_>) {
        self.inspect(inspector);
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
}

containers!(Vec<T>, VecDeque<T>, LinkedList<T>, BTreeMap<K, V>, BTreeSet<T>, BinaryHeap<T>);

/// Maps and sets with a hasher: it is traced too.
macro_rules! hashed {
    ($($type:ident<$($parameter:ident),*>),* $(,)?) => {$(
        // SAFETY: as for the other containers; the hasher, which may hold pointers like any value, is traced
        // as well.
        unsafe impl<$($parameter: Trace,)* S: Trace> Trace for $type<$($parameter,)* S> {
            type Branded<'b> = $type<$($parameter::Branded<'b>,)* S::Branded<'b>>;
            const NEEDS_TRACE: bool = S::NEEDS_TRACE $(|| $parameter::NEEDS_TRACE)*;
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
        }
    )*};
}

hashed!(HashMap<K, V>, HashSet<T>);
without_pointers!(std::collections::hash_map::RandomState);

// SAFETY: the box owns its value.
unsafe impl<T: Trace> Trace for Box<T> {
    type Branded<'b> = Box<T::Branded<'b>>;
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;
    #[inline(always)]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        (**self).trace(tracer);
    }
    fn inspect(&self, inspector: &mut Inspector<'_>) {
        (**self).inspect(inspector);
    }
}

// SAFETY: the box owns its elements.
unsafe impl<T: Trace> Trace for Box<[T]> {
    type Branded<'b> = Box<[T::Branded<'b>]>;
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        for element in self {
            element.trace(tracer);
        }
    }
    fn inspect(&self, inspector: &mut Inspector<'_>) {
        for element in self {
            element.inspect(inspector);
        }
    }
}

// SAFETY: the array owns its elements.
unsafe impl<T: Trace, const N: usize> Trace for [T; N] {
    type Branded<'b> = [T::Branded<'b>; N];
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;
    #[inline(always)]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        for element in self {
            element.trace(tracer);
        }
    }
    fn inspect(&self, inspector: &mut Inspector<'_>) {
        for element in self {
            element.inspect(inspector);
        }
    }
}

// SAFETY: the value, if there is one, is traced.
unsafe impl<T: Trace> Trace for Option<T> {
    type Branded<'b> = Option<T::Branded<'b>>;
    const NEEDS_TRACE: bool = T::NEEDS_TRACE;
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
}

// SAFETY: exactly one of the two is there, and it is traced.
unsafe impl<T: Trace, E: Trace> Trace for Result<T, E> {
    type Branded<'b> = Result<T::Branded<'b>, E::Branded<'b>>;
    const NEEDS_TRACE: bool = T::NEEDS_TRACE || E::NEEDS_TRACE;
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
}

/// `Trace` for tuples.
macro_rules! tuples {
    ($(($($parameter:ident $index:tt),+)),* $(,)?) => {$(
        // SAFETY: every element is traced.
        unsafe impl<$($parameter: Trace),+> Trace for ($($parameter,)+) {
            type Branded<'b> = ($($parameter::Branded<'b>,)+);
            const NEEDS_TRACE: bool = false $(|| $parameter::NEEDS_TRACE)+;
            #[inline(always)]
            fn trace(&self, tracer: &mut Tracer<'_>) {
                $(self.$index.trace(tracer);)+
            }
            fn inspect(&self, inspector: &mut Inspector<'_>) {
                $(self.$index.inspect(inspector);)+
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
