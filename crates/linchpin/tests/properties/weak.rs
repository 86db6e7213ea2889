//! What a mutation does with weak pointers.
//!
//! Of an upgrade the model knows one of three things: something leads to the object, so it must give that very object; the
//! object is gone, or an upgrade has failed before, so it must fail; or the collector may decide either way. What it gave is in
//! hand, and so must be there, with all it leads to, until the mutation has ended. An object whose upgrade failed is dead: from
//! then on nothing may lead to it.

use linchpin::{Gc, Mutator, Weak};

use crate::model::Id;
use crate::mutation::{Actor, Changing, Item, Locals};
use crate::objects::{Any, AnyWeak, Node, WEAK_CELLS};
use crate::program::{NAMES, Pick, Step, WeakStep};

impl<'gc> AnyWeak<'gc> {
    pub(crate) fn node(self) -> Option<Weak<'gc, Node<'gc>>> {
        match self {
            Self::Node(weak) => Some(weak),
            _ => None,
        }
    }
}

impl Actor<'_> {
    pub(crate) fn weak_step<'gc>(&self, mu: &Mutator<'gc>, locals: &mut Locals<'gc>, step: &WeakStep) {
        match *step {
            WeakStep::Lose { ref kind, name } => {
                self.alloc(mu, locals, kind);
                let local = locals.newest();
                self.weak_step(mu, locals, &WeakStep::RootLocal { local, name });
            }
            WeakStep::Downgrade(local) => {
                if let Some((any, id)) = self.some_local(mu, locals, local) {
                    self.state.lock().model.downgrades += 1;
                    let weak = any.downgrade(mu);
                    assert!(weak.upgrade(mu).is_some_and(|found| found.same(any)), "object {id} is in hand");
                    weak.take(self, mu, locals, id);
                }
            }
            WeakStep::Upgrade(weak) => {
                if let Some((weak, id)) = self.some_weak(mu, locals, weak) {
                    self.upgraded(mu, locals, weak.upgrade(mu), id);
                }
            }
            WeakStep::Follow { from, field } => {
                self.some_local(mu, locals, from);
                let Some((node, id)) = locals.pick_of(Some(from), Any::node) else { return };
                let weak = self.state.lock().model.things[id].weak.clone();
                let index = usize::from(field) % weak.len();
                self.take_expected(mu, locals, Any::Node(node).weak(mu, index), weak[index]);
            }
            WeakStep::Change { of, field, how, to } => {
                self.some_local(mu, locals, of);
                to.map(|to| self.some_weak(mu, locals, to));
                let Some((node, id)) = locals.pick_of(Some(of), Any::node) else { return };
                let index = usize::from(field) % WEAK_CELLS;
                let change = Changing { actor: self, mu, id, index, how, to };
                let node: &Node<'gc> = Gc::as_ref(node);
                match index {
                    0 => change.run(locals, &node.back, AnyWeak::node, AnyWeak::Node),
                    _ => change.run(locals, &node.shelved, Some, |weak: AnyWeak<'gc>| weak),
                }
            }
            WeakStep::Root { weak, name } => {
                if let Some((weak, id)) = self.some_weak(mu, locals, weak) {
                    self.state.lock().weak_roots[usize::from(name) % NAMES] = Some((weak.root(mu), id));
                }
            }
            WeakStep::RootLocal { local, name } => {
                if let Some((any, id)) = self.some_local(mu, locals, local) {
                    let mut state = self.state.lock();
                    state.model.downgrades += 1;
                    state.weak_roots[usize::from(name) % NAMES] = Some((any.weak_root(mu), id));
                }
            }
            WeakStep::SetRoot { weak, name } => {
                let weak = self.some_weak(mu, locals, weak);
                let mut state = self.state.lock();
                if let Some((weak, id)) = weak
                    && let Some(name) = state.pick_weak_root(name)
                    && let Some((root, held)) = &mut state.weak_roots[name]
                    && root.set(mu, weak)
                {
                    *held = id;
                }
            }
            WeakStep::Get(name) => {
                let state = self.state.lock();
                if let Some((root, id)) = state.pick_weak_root(name).and_then(|name| state.weak_roots[name].as_ref()) {
                    let (weak, id) = (root.get(mu), *id);
                    drop(state);
                    weak.take(self, mu, locals, id);
                }
            }
            WeakStep::UpgradeRoot(name) => {
                let state = self.state.lock();
                if let Some((root, id)) = state.pick_weak_root(name).and_then(|name| state.weak_roots[name].as_ref()) {
                    let (found, id) = (root.upgrade(mu), *id);
                    drop(state);
                    self.upgraded(mu, locals, found, id);
                }
            }
        }
    }

    /// What has a name or, if nothing has, what a root leads to.
    fn some_local<'gc>(&self, mu: &Mutator<'gc>, locals: &mut Locals<'gc>, pick: Pick) -> Option<(Any<'gc>, Id)> {
        if locals.pick(pick).is_none() {
            self.step(mu, locals, &Step::Get(pick));
        }
        locals.pick(pick)
    }

    /// The same for weak pointers.
    fn some_weak<'gc>(&self, mu: &Mutator<'gc>, locals: &mut Locals<'gc>, pick: Pick) -> Option<(AnyWeak<'gc>, Id)> {
        for step in [WeakStep::Get(pick), WeakStep::Downgrade(pick)] {
            if locals.pick_weak(pick).is_none() {
                self.weak_step(mu, locals, &step);
            }
        }
        locals.pick_weak(pick)
    }

    fn upgraded<'gc>(&self, mu: &Mutator<'gc>, locals: &mut Locals<'gc>, found: Option<Any<'gc>>, id: Id) {
        self.state.lock().compare_upgrade(found, id);
        if let Some(any) = found {
            any.take(self, mu, locals, id);
        }
    }
}
