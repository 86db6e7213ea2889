//! `Trace` for the types of `hashbrown`, with the global allocator.

use ::hashbrown::{DefaultHashBuilder, HashMap, HashSet, HashTable};

use crate::trace::impls::TraceEach;
use crate::trace::{Inspector, Trace, Tracer};

containers!(HashTable<T>: capacity);
hashed!(HashMap<K, V>, HashSet<T>);
without_pointers!(DefaultHashBuilder);
