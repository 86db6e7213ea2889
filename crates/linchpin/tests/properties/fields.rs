//! Pointer fields that change, of whatever sort: cells, and places behind locks; for pointers and for weak pointers.

use linchpin::{Gc, GcCell, GcMutex, GcRwLock, Mutator, Object, TaggedCell, Weak, WeakCell};

use crate::objects::{AnyWeak, Node, Shelf, Value};

/// A field that holds a pointer of type `P`, or null.
pub(crate) trait Field<'gc, P> {
    fn load(&self, mu: &Mutator<'gc>) -> Option<P>;
    fn store(&self, mu: &Mutator<'gc>, new: Option<P>);
    fn swap(&self, mu: &Mutator<'gc>, new: Option<P>) -> Option<P>;
    fn compare_exchange(&self, mu: &Mutator<'gc>, current: Option<P>, new: Option<P>) -> Result<Option<P>, Option<P>>;
}

impl<'gc, T: ?Sized + Object> Field<'gc, Gc<'gc, T>> for GcCell<'gc, T> {
    fn load(&self, _: &Mutator<'gc>) -> Option<Gc<'gc, T>> {
        self.load()
    }

    fn store(&self, mu: &Mutator<'gc>, new: Option<Gc<'gc, T>>) {
        match new {
            Some(new) => self.store(mu, new),
            None => self.clear(mu),
        }
    }

    fn swap(&self, mu: &Mutator<'gc>, new: Option<Gc<'gc, T>>) -> Option<Gc<'gc, T>> {
        self.swap(mu, new)
    }

    fn compare_exchange(
        &self,
        mu: &Mutator<'gc>,
        current: Option<Gc<'gc, T>>,
        new: Option<Gc<'gc, T>>,
    ) -> Result<Option<Gc<'gc, T>>, Option<Gc<'gc, T>>> {
        self.compare_exchange(mu, current, new)
    }
}

impl<'gc, T: ?Sized + Object> Field<'gc, Weak<'gc, T>> for WeakCell<'gc, T> {
    fn load(&self, _: &Mutator<'gc>) -> Option<Weak<'gc, T>> {
        self.load()
    }

    fn store(&self, mu: &Mutator<'gc>, new: Option<Weak<'gc, T>>) {
        match new {
            Some(new) => self.store(mu, new),
            None => self.clear(mu),
        }
    }

    fn swap(&self, mu: &Mutator<'gc>, new: Option<Weak<'gc, T>>) -> Option<Weak<'gc, T>> {
        self.swap(mu, new)
    }

    fn compare_exchange(
        &self,
        mu: &Mutator<'gc>,
        current: Option<Weak<'gc, T>>,
        new: Option<Weak<'gc, T>>,
    ) -> Result<Option<Weak<'gc, T>>, Option<Weak<'gc, T>>> {
        self.compare_exchange(mu, current, new)
    }
}

/// Changes a place behind a lock if `is_current` says so of what it holds.
fn exchange<P: Copy>(
    place: &mut Option<P>,
    is_current: impl FnOnce(Option<P>) -> bool,
    new: Option<P>,
) -> Result<Option<P>, Option<P>> {
    let held = *place;
    if !is_current(held) {
        return Err(held);
    }
    *place = new;
    Ok(held)
}

fn same_node<'gc>(current: Option<Gc<'gc, Node<'gc>>>) -> impl FnOnce(Option<Gc<'gc, Node<'gc>>>) -> bool {
    move |held| held.map(Gc::as_ptr) == current.map(Gc::as_ptr)
}

impl<'gc> Field<'gc, Gc<'gc, Node<'gc>>> for GcMutex<Option<Gc<'gc, Node<'gc>>>> {
    fn load(&self, mu: &Mutator<'gc>) -> Option<Gc<'gc, Node<'gc>>> {
        *self.lock(mu)
    }

    fn store(&self, mu: &Mutator<'gc>, new: Option<Gc<'gc, Node<'gc>>>) {
        *self.lock(mu) = new;
    }

    fn swap(&self, mu: &Mutator<'gc>, new: Option<Gc<'gc, Node<'gc>>>) -> Option<Gc<'gc, Node<'gc>>> {
        std::mem::replace(&mut *self.lock(mu), new)
    }

    fn compare_exchange(
        &self,
        mu: &Mutator<'gc>,
        current: Option<Gc<'gc, Node<'gc>>>,
        new: Option<Gc<'gc, Node<'gc>>>,
    ) -> Result<Option<Gc<'gc, Node<'gc>>>, Option<Gc<'gc, Node<'gc>>>> {
        exchange(&mut self.lock(mu), same_node(current), new)
    }
}

impl<'gc> Field<'gc, Gc<'gc, Node<'gc>>> for GcRwLock<Shelf<'gc>> {
    fn load(&self, mu: &Mutator<'gc>) -> Option<Gc<'gc, Node<'gc>>> {
        self.read(mu).places.first().copied()
    }

    fn store(&self, mu: &Mutator<'gc>, new: Option<Gc<'gc, Node<'gc>>>) {
        let places = &mut self.write(mu).places;
        places.clear();
        places.extend(new);
    }

    fn swap(&self, mu: &Mutator<'gc>, new: Option<Gc<'gc, Node<'gc>>>) -> Option<Gc<'gc, Node<'gc>>> {
        std::mem::replace(&mut self.write(mu).places, Vec::from_iter(new)).pop()
    }

    fn compare_exchange(
        &self,
        mu: &Mutator<'gc>,
        current: Option<Gc<'gc, Node<'gc>>>,
        new: Option<Gc<'gc, Node<'gc>>>,
    ) -> Result<Option<Gc<'gc, Node<'gc>>>, Option<Gc<'gc, Node<'gc>>>> {
        let places = &mut self.write(mu).places;
        let mut place = places.pop();
        let outcome = exchange(&mut place, same_node(current), new);
        places.extend(place);
        outcome
    }
}

impl<'gc> Field<'gc, AnyWeak<'gc>> for GcRwLock<Shelf<'gc>> {
    fn load(&self, mu: &Mutator<'gc>) -> Option<AnyWeak<'gc>> {
        self.read(mu).weak
    }

    fn store(&self, mu: &Mutator<'gc>, new: Option<AnyWeak<'gc>>) {
        self.write(mu).weak = new;
    }

    fn swap(&self, mu: &Mutator<'gc>, new: Option<AnyWeak<'gc>>) -> Option<AnyWeak<'gc>> {
        std::mem::replace(&mut self.write(mu).weak, new)
    }

    fn compare_exchange(
        &self,
        mu: &Mutator<'gc>,
        current: Option<AnyWeak<'gc>>,
        new: Option<AnyWeak<'gc>>,
    ) -> Result<Option<AnyWeak<'gc>>, Option<AnyWeak<'gc>>> {
        exchange(&mut self.write(mu).weak, |held| held == current, new)
    }
}

impl<'gc> Value<'gc> {
    fn of(node: Option<Gc<'gc, Node<'gc>>>) -> Self {
        node.map_or(Self::Nothing, Self::Node)
    }

    pub(crate) fn node(self) -> Option<Gc<'gc, Node<'gc>>> {
        if let Self::Node(node) = self { Some(node) } else { None }
    }
}

/// A number is no pointer, as nothing is.
impl<'gc> Field<'gc, Gc<'gc, Node<'gc>>> for TaggedCell<'gc, Value<'gc>> {
    fn load(&self, _: &Mutator<'gc>) -> Option<Gc<'gc, Node<'gc>>> {
        self.load().node()
    }

    fn store(&self, mu: &Mutator<'gc>, new: Option<Gc<'gc, Node<'gc>>>) {
        self.store(mu, Value::of(new));
    }

    fn swap(&self, mu: &Mutator<'gc>, new: Option<Gc<'gc, Node<'gc>>>) -> Option<Gc<'gc, Node<'gc>>> {
        self.swap(mu, Value::of(new)).node()
    }

    fn compare_exchange(
        &self,
        mu: &Mutator<'gc>,
        current: Option<Gc<'gc, Node<'gc>>>,
        new: Option<Gc<'gc, Node<'gc>>>,
    ) -> Result<Option<Gc<'gc, Node<'gc>>>, Option<Gc<'gc, Node<'gc>>>> {
        let expected = match (current, self.load()) {
            (None, number @ Value::Number(_)) => number,
            _ => Value::of(current),
        };
        self.compare_exchange(mu, expected, Value::of(new)).map(Value::node).map_err(Value::node)
    }
}
