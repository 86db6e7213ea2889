//! A pointer cannot be skipped by way of a type that does not show it.

use std::marker::PhantomData;

use linchpin::{Gc, Trace};

trait Content {
    type Is;
}

impl<'gc> Content for BySelf<'gc> {
    type Is = Gc<'gc, u64>;
}

#[derive(Trace)]
struct BySelf<'gc> {
    #[trace(skip)]
    content: <Self as Content>::Is,
    brand: PhantomData<Gc<'gc, u64>>,
}

impl<T> Content for Option<T> {
    type Is = T;
}

#[derive(Trace)]
struct ByParameter<T: Content> {
    #[trace(skip)]
    content: T::Is,
}

/// Takes what is branded, and so is a subtype of what takes what is `'static`: that does not make it `'static`.
impl<'gc> Content for Taker<'gc> {
    type Is = fn(&'gc ());
}

#[derive(Trace)]
struct Taker<'gc> {
    #[trace(skip)]
    content: <Self as Content>::Is,
    brand: PhantomData<Gc<'gc, u64>>,
}

macro_rules! pointer {
    () => { <Self as Content>::Is };
}

impl<'gc> Content for ByMacro<'gc> {
    type Is = Option<Gc<'gc, u64>>;
}

#[derive(Trace)]
struct ByMacro<'gc> {
    #[trace(skip)]
    content: pointer!(),
    brand: PhantomData<Gc<'gc, u64>>,
}

fn main() {}
