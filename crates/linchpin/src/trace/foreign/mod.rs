//! `Trace` for the types of other crates, each behind a feature of that crate's name.
//!
//! As for those of the standard library: what owns its contents traces them, hashers and keys too.

#[cfg(feature = "arrayvec")]
mod arrayvec;
#[cfg(feature = "either")]
mod either;
#[cfg(feature = "hashbrown")]
mod hashbrown;
#[cfg(feature = "indexmap")]
mod indexmap;
#[cfg(feature = "smallvec")]
mod smallvec;
