//! `Trace` for the types of `indexmap`.

use ::indexmap::{IndexMap, IndexSet};

use crate::trace::impls::TraceEach;
use crate::trace::{Inspector, Trace, Tracer};

hashed!(IndexMap<K, V>, IndexSet<T>);
