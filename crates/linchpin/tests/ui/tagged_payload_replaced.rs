//! What packs a tagged word cannot be replaced by a crate that calls itself `linchpin`: the real trait's methods ask for the real thing.

extern crate linchpin as real;
extern crate self as linchpin;

pub use real::{Gc, Inspector, MustNotImplementDrop, Tagged, Trace, Tracer};

pub trait Payload: Copy {
    fn into_bits(self) -> *mut u8;
    fn from_bits(bits: *mut u8) -> Self;
    fn target(self) -> Option<std::ptr::NonNull<u8>>;
}

impl Payload for u64 {
    fn into_bits(self) -> *mut u8 {
        self as *mut u8
    }

    fn from_bits(bits: *mut u8) -> Self {
        bits as u64
    }

    fn target(self) -> Option<std::ptr::NonNull<u8>> {
        std::ptr::NonNull::new(self as *mut u8)
    }
}

pub mod tagged {
    pub fn join(bits: *mut u8, _: usize) -> *mut u8 {
        bits
    }

    pub fn split(word: *mut u8) -> (*mut u8, usize) {
        (word, 0)
    }
}

#[derive(Trace, Tagged, Clone, Copy)]
enum Value {
    Address(u64),
}

fn main() {}
