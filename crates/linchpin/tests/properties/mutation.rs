//! Runs the steps of a program inside a mutation, on the heap and on the model side by side.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use linchpin::{Gc, GcCell, GcMutex, GcRwLock, Heap, Mutator, TaggedCell, WeakCell, WeakMap};
use parking_lot::Mutex;

use crate::contents::{byte_of, large_words, number_of, text_of};
use crate::fields::Field;
use crate::helpers::Beside;
use crate::model::{Id, Keeps, Thing};
use crate::objects::{
    Aligned, Any, AnyWeak, Head, Keepers, LINKS, Large, Node, Page, Place, Plain, Registry, TAGGED, Value, Vault,
    table_cell,
};
use crate::program::{By, Change, Kind, LOCALS, NAMES, Pick, Step};
use crate::shared::{self, Common, Stranger};
use crate::state::State;

/// The payload of a panic that is part of the program.
pub(crate) struct Planned;

/// Runs `action`; a planned panic ends it, any other goes on.
pub(crate) fn contain(action: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(action))
        && !payload.is::<Planned>()
    {
        resume_unwind(payload);
    }
}

/// Who runs steps: the program itself (0) or the mutation beside (1).
pub(crate) struct Actor<'a> {
    pub(crate) index: usize,
    pub(crate) heap: &'a Heap,
    pub(crate) state: &'a Mutex<State>,
    pub(crate) beside: Option<&'a Beside>,
    pub(crate) common: Option<&'a Common>,
}

/// What a mutation has in hand, the newest last.
#[derive(Default)]
pub(crate) struct Locals<'gc> {
    named: Vec<(Any<'gc>, Id)>,
    weak: Vec<(AnyWeak<'gc>, Id)>,
    pub(crate) stranger: Option<Gc<'gc, Stranger<'gc>>>,
}

impl<'gc> Locals<'gc> {
    pub(crate) fn pick(&self, pick: Pick) -> Option<(Any<'gc>, Id)> {
        (!self.named.is_empty()).then(|| self.named[usize::from(pick) % self.named.len()])
    }

    /// The pick that stands for the newest.
    pub(crate) fn newest(&self) -> Pick {
        (self.named.len() - 1) as Pick
    }

    pub(crate) fn pick_weak(&self, pick: Pick) -> Option<(AnyWeak<'gc>, Id)> {
        (!self.weak.is_empty()).then(|| self.weak[usize::from(pick) % self.weak.len()])
    }

    /// One that `of` accepts.
    pub(crate) fn pick_of<A: Item<'gc>, R>(&self, pick: Option<Pick>, of: impl Fn(A) -> Option<R>) -> Option<(R, Id)> {
        let fitting: Vec<(R, Id)> = A::among(self).iter().filter_map(|&(item, id)| Some((of(item)?, id))).collect();
        let at = usize::from(pick?) % fitting.len().max(1);
        fitting.into_iter().nth(at)
    }
}

/// What a mutation has in hand and puts into fields: pointers, or weak ones.
pub(crate) trait Item<'gc>: Copy + 'gc {
    fn among<'a>(locals: &'a Locals<'gc>) -> &'a [(Self, Id)];
    /// The fields of an object that hold such.
    fn fields(thing: &mut Thing) -> &mut [Option<Id>];
    /// Notes what such a field holds from now on.
    fn put(thing: &mut Thing, index: usize, id: Option<Id>) {
        Self::fields(thing)[index] = id;
    }
    /// Whether both lead to the same object.
    fn same(self, other: Self) -> bool;
    fn take(self, actor: &Actor<'_>, mu: &Mutator<'gc>, locals: &mut Locals<'gc>, id: Id);
}

impl<'gc> Item<'gc> for Any<'gc> {
    fn among<'a>(locals: &'a Locals<'gc>) -> &'a [(Self, Id)] {
        &locals.named
    }

    fn fields(thing: &mut Thing) -> &mut [Option<Id>] {
        &mut thing.cells
    }

    fn put(thing: &mut Thing, index: usize, id: Option<Id>) {
        thing.cells[index] = id;
        if index == TAGGED {
            thing.number = None;
        }
    }

    fn same(self, other: Self) -> bool {
        self.address() == other.address()
    }

    /// What was made or loaded is in hand until the mutation ends.
    fn take(self, actor: &Actor<'_>, _: &Mutator<'gc>, locals: &mut Locals<'gc>, id: Id) {
        let mut state = actor.state.lock();
        state.model.in_hand[actor.index].push(id);
        state.compare(self, id);
        name(&mut locals.named, (self, id));
    }
}

impl<'gc> Item<'gc> for AnyWeak<'gc> {
    fn among<'a>(locals: &'a Locals<'gc>) -> &'a [(Self, Id)] {
        &locals.weak
    }

    fn fields(thing: &mut Thing) -> &mut [Option<Id>] {
        &mut thing.weak
    }

    fn same(self, other: Self) -> bool {
        self == other
    }

    fn take(self, _: &Actor<'_>, _: &Mutator<'gc>, locals: &mut Locals<'gc>, id: Id) {
        for &(weak, of) in &locals.weak {
            assert_eq!(weak == self, of == id, "weak pointers to objects {of} and {id} compare wrongly");
        }
        name(&mut locals.weak, (self, id));
    }
}

fn name<T>(locals: &mut Vec<T>, new: T) {
    if locals.len() == LOCALS {
        locals.remove(0);
    }
    locals.push(new);
}

impl Actor<'_> {
    pub(crate) fn run<'gc>(&self, mu: &Mutator<'gc>, locals: &mut Locals<'gc>, steps: &[Step]) {
        for step in steps {
            self.step(mu, locals, step);
            self.state.lock().compare_drops();
        }
    }

    pub(crate) fn step<'gc>(&self, mu: &Mutator<'gc>, locals: &mut Locals<'gc>, step: &Step) {
        match step {
            Step::Alloc(kind) => self.alloc(mu, locals, kind),
            &Step::Get(name) => {
                let state = self.state.lock();
                if let Some((root, id)) = state.pick_root(name).and_then(|name| state.roots[name].as_ref()) {
                    let (any, id) = (root.get(mu), *id);
                    drop(state);
                    any.take(self, mu, locals, id);
                }
            }
            &Step::Follow { from, field } => {
                let Some((any, id)) = locals.pick(from) else { return };
                let pointers = self.state.lock().model.things[id].pointers();
                if pointers != 0 {
                    let index = usize::from(field) % pointers;
                    let expected = self.state.lock().model.things[id].pointer(index);
                    self.take_expected(mu, locals, any.follow(mu, index), expected);
                }
            }
            &Step::Change { of, field, how, to } => self.change(mu, locals, of, field, how, to),
            &Step::Root { local, name } => {
                if let Some((any, id)) = locals.pick(local) {
                    self.state.lock().roots[usize::from(name) % NAMES] = Some((any.root(mu), id));
                }
            }
            &Step::RootNewest(name) => {
                if let Some(&(any, id)) = locals.named.last() {
                    self.state.lock().roots[usize::from(name) % NAMES] = Some((any.root(mu), id));
                }
            }
            &Step::SetRoot { local, name } => {
                let mut state = self.state.lock();
                if let Some((any, id)) = locals.pick(local)
                    && let Some(name) = state.pick_root(name)
                    && let Some((root, held)) = &mut state.roots[name]
                    && root.set(mu, any)
                {
                    *held = id;
                }
            }
            &Step::Pin { pinner, local, by } => self.pin(mu, locals, pinner, local, by),
            &Step::Enclose { pinner, root } => self.enclose(mu, locals, pinner, root),
            &Step::OpenVault(pick) => {
                let vault = |any: Any<'gc>| if let Any::Vault(gc) = any { Some(gc) } else { None };
                if let Some((vault, id)) = locals.pick_of(Some(pick), vault) {
                    let mut state = self.state.lock();
                    vault.keepers.lock().pinner.unpin();
                    state.model.things[id].keeps.as_mut().expect("a vault keeps something").pins.clear();
                }
            }
            Step::Handle(handle) => self.state.lock().handle(handle),
            // The pointers of the mutation around cannot be named in there; they stay in hand.
            Step::Nested(steps) => contain(|| self.heap.mutate(|mu| self.run(mu, &mut Locals::default(), steps))),
            Step::Beside(steps) => {
                if let Some(beside) = self.beside {
                    beside.run(steps);
                }
            }
            &Step::PanicInElement { length, at, header } => self.panic_in_element(mu, length, at, header),
            &Step::CleanUp(local) => self.clean_up(mu, locals, local),
            &Step::Number { of, number } => {
                let Some((node, id)) = locals.pick_of(Some(of), Any::node) else { return };
                let held = node.tagged.swap(mu, Value::Number(number)).node().map(Any::Node);
                let expected = self.state.lock().model.things[id].cells[TAGGED].take();
                self.state.lock().model.things[id].number = Some(number);
                self.take_expected(mu, locals, held, expected);
            }
            Step::Weak(step) => self.weak_step(mu, locals, step),
            Step::Map(step) => self.map_step(mu, locals, step),
            Step::Panic => resume_unwind(Box::new(Planned)),
            Step::Shared(step) => {
                if let Some(common) = self.common {
                    shared::step(common, &mut self.state.lock(), mu, &mut locals.stranger, step);
                }
            }
        }
    }

    #[track_caller]
    pub(crate) fn take_expected<'gc>(
        &self,
        mu: &Mutator<'gc>,
        locals: &mut Locals<'gc>,
        found: Option<impl Item<'gc>>,
        expected: Option<Id>,
    ) {
        match (found, expected) {
            (Some(item), Some(id)) => item.take(self, mu, locals, id),
            (found, expected) => {
                assert!(found.is_none() && expected.is_none(), "a pointer field does not hold what was stored");
            }
        }
    }

    /// Notes a new object in the model; `describe` adds what is not usual about it.
    fn born<'gc>(&self, mu: &Mutator<'gc>, locals: &mut Locals<'gc>, any: Any<'gc>, describe: impl FnOnce(&mut Thing)) {
        let mut state = self.state.lock();
        let id = state.model.things.len();
        let end = state.ledger.next_entry();
        let mut thing = Thing { id, address: any.address(), bytes: any.bytes(), tokens: end..end, ..Thing::default() };
        describe(&mut thing);
        state.model.things.push(thing);
        drop(state);
        any.take(self, mu, locals, id);
    }

    pub(crate) fn alloc<'gc>(&self, mu: &Mutator<'gc>, locals: &mut Locals<'gc>, kind: &Kind) {
        let (id, first) = {
            let state = self.state.lock();
            (state.model.things.len(), state.ledger.next_entry())
        };
        let token = || self.state.lock().ledger.token();
        // All that have a `Drop` hold tokens, but for an empty slice of them.
        let with_drop = |thing: &mut Thing| {
            thing.tokens.start = first;
            thing.has_drop = true;
        };
        match *kind {
            Kind::Node { link, load, weak } => {
                let weak = locals.pick_of(weak, Some);
                let back = weak.and_then(|(weak, id)| Some((AnyWeak::node(weak)?, id)));
                let link = locals.pick_of(link, Any::node);
                let load = load.and_then(|load| locals.pick(load));
                let [gc, twin] = [link.map(|(gc, _)| gc), link.map(|(gc, _)| gc)];
                let node = Node {
                    number: number_of(id),
                    links: [GcCell::new(gc), GcCell::null()],
                    cells: GcCell::null(),
                    bytes: GcCell::null(),
                    locked: GcMutex::new(None),
                    shelved: GcRwLock::default(),
                    tagged: TaggedCell::new(gc.map_or(Value::Nothing, Value::Node)),
                    twin,
                    load: load.map(|(any, _)| any),
                    back: WeakCell::new(back.map(|(weak, _)| weak)),
                    weak: weak.map(|(weak, _)| weak),
                    token: token(),
                };
                self.born(mu, locals, Any::Node(mu.alloc(node)), |thing| {
                    with_drop(thing);
                    let link = link.map(|(_, id)| id);
                    thing.cells = vec![link, None, None, None, None, None, link];
                    thing.fixed = vec![link, load.map(|(_, id)| id)];
                    thing.weak = vec![back.map(|(_, id)| id), None, weak.map(|(_, id)| id)];
                });
            }
            Kind::Cells { length, fill } => {
                let fill = locals.pick_of(fill, Any::node);
                let cells = mu.alloc_slice_with(length, |_| GcCell::new(fill.map(|(gc, _)| gc)));
                self.born(mu, locals, Any::Cells(cells), |thing| {
                    thing.length = length;
                    thing.cells = vec![fill.map(|(_, id)| id); length];
                });
            }
            Kind::Pointers { length } => {
                let nodes: Vec<_> = locals.named.iter().filter_map(|&(any, id)| Some((any.node()?, id))).collect();
                let nodes: Vec<_> = nodes.iter().cycle().take(length).collect();
                let pointers = mu.alloc_slice_from_iter(nodes.iter().map(|(gc, _)| *gc));
                self.born(mu, locals, Any::Pointers(pointers), |thing| {
                    thing.length = nodes.len();
                    thing.fixed = nodes.iter().map(|(_, id)| Some(*id)).collect();
                });
            }
            Kind::Tokens { length } => {
                let tokens = mu.alloc_slice_with(length, |_| token());
                self.born(mu, locals, Any::Tokens(tokens), |thing| {
                    with_drop(thing);
                    thing.length = length;
                });
            }
            Kind::Table { first, length, fill } => {
                let [(first, first_id), (fill, fill_id)] =
                    [first, fill].map(|pick| locals.pick_of(pick, Any::node).unzip());
                let head = Head { number: number_of(id), first: GcCell::new(first), token: token() };
                let place = |_| Place { cell: GcCell::new(fill), token: token() };
                let table = mu.alloc_header_slice(head, length, place);
                self.born(mu, locals, Any::Table(table), |thing| {
                    with_drop(thing);
                    thing.length = length;
                    thing.cells = vec![fill_id; 1 + length];
                    thing.cells[0] = first_id;
                });
            }
            Kind::Text { length } => {
                let text = mu.alloc_str(&text_of(id, length));
                self.born(mu, locals, Any::Text(text), |thing| thing.length = length);
            }
            Kind::Bytes { length } => {
                let fill = |bytes: &mut [u8]| {
                    assert!(bytes.iter().all(|&byte| byte == 0), "a new buffer is not zero");
                    bytes.iter_mut().enumerate().for_each(|(index, byte)| *byte = byte_of(id, index));
                };
                let (bytes, ()) = mu.alloc_bytes_with(length, fill);
                self.born(mu, locals, Any::Bytes(bytes), |thing| thing.length = length);
            }
            Kind::Registry => {
                let registry = mu.alloc(Registry { map: WeakMap::new(mu), token: token() });
                self.born(mu, locals, Any::Registry(registry), with_drop);
            }
            Kind::Plain => self.born(mu, locals, Any::Plain(mu.alloc(Plain { words: [number_of(id); 3] })), |_| ()),
            Kind::Large => {
                let large = mu.alloc(Large { words: large_words(id), token: token() });
                self.born(mu, locals, Any::Large(large), with_drop);
            }
            Kind::Aligned => self.born(mu, locals, Any::Aligned(mu.alloc(Aligned { token: token() })), with_drop),
            Kind::Page => {
                let page = mu.alloc(Page { token: token(), word: number_of(id) });
                self.born(mu, locals, Any::Page(page), with_drop);
            }
            Kind::Empty => self.born(mu, locals, Any::Empty(mu.alloc(())), |_| ()),
        }
    }

    /// A slice that is never finished: what was made of it is dropped by the collector.
    fn panic_in_element(&self, mu: &Mutator<'_>, length: usize, at: usize, header: bool) {
        let first = self.state.lock().ledger.next_entry();
        contain(|| {
            let token = || self.state.lock().ledger.token();
            let element = |index| {
                if index == at {
                    resume_unwind(Box::new(Planned));
                }
                token()
            };
            if header {
                mu.alloc_header_slice(token(), length, element);
            } else {
                mu.alloc_slice_with(length, element);
            }
        });
        let model = &mut self.state.lock().model;
        let id = model.things.len();
        model.things.push(Thing {
            id,
            tokens: first..first + at + usize::from(header),
            has_drop: true,
            ..Thing::default()
        });
    }

    fn change<'gc>(
        &self,
        mu: &Mutator<'gc>,
        locals: &mut Locals<'gc>,
        of: Pick,
        field: Pick,
        how: Change,
        to: Option<Pick>,
    ) {
        let Some((any, id)) = locals.pick_of(Some(of), |any: Any<'gc>| (any.cells() != 0).then_some(any)) else {
            return;
        };
        let index = usize::from(field) % any.cells();
        let change = Changing { actor: self, mu, id, index, how, to };
        match any {
            Any::Node(gc) => match index {
                0..LINKS => change.run(locals, &gc.as_ref().links[index], Any::node, Any::Node),
                LINKS => {
                    let cells = |any: Any<'gc>| if let Any::Cells(gc) = any { Some(gc) } else { None };
                    change.run(locals, &gc.as_ref().cells, cells, Any::Cells);
                }
                4 => change.run(locals, &gc.as_ref().locked, Any::node, Any::Node),
                5 => change.run(locals, &gc.as_ref().shelved, Any::node, Any::Node),
                TAGGED => change.run(locals, &gc.as_ref().tagged, Any::node, Any::Node),
                _ => {
                    let bytes = |any: Any<'gc>| if let Any::Bytes(gc) = any { Some(gc) } else { None };
                    change.run(locals, &gc.as_ref().bytes, bytes, Any::Bytes);
                }
            },
            Any::Cells(gc) => change.run(locals, &gc.as_ref()[index], Any::node, Any::Node),
            Any::Table(gc) => change.run(locals, table_cell(gc, index), Any::node, Any::Node),
            _ => unreachable!("only these have cells"),
        }
    }

    fn pin<'gc>(&self, mu: &Mutator<'gc>, locals: &Locals<'gc>, pinner: Pick, local: Pick, by: By) {
        let Some((any, id)) = locals.pick(local) else { return };
        let mut state = self.state.lock();
        let named = &mut state.pinners[usize::from(pinner) % NAMES];
        let pin = match by {
            By::Pointer => Some(any.pin(mu, &mut named.pinner, id)),
            By::Reference => any.pin_whole(mu, &mut named.pinner, id),
            By::ReferenceToPart => any.pin_part(mu, &mut named.pinner, id),
        };
        named.pins.extend(pin);
        let (least, most) = state.pin_counts(&state.live())[id];
        let count = any.pin_count(mu);
        assert!((least..=most).contains(&count), "object {id} has {count} pins, not {least} to {most}");
    }

    fn enclose<'gc>(&self, mu: &Mutator<'gc>, locals: &mut Locals<'gc>, pinner: Pick, root: Option<Pick>) {
        let mut state = self.state.lock();
        let named = std::mem::take(&mut state.pinners[usize::from(pinner) % NAMES]);
        let root = root.and_then(|pick| state.pick_root(pick)).and_then(|name| state.roots[name].take());
        let (root, root_id) = root.unzip();
        let first = state.ledger.next_entry();
        let keepers = Arc::new(Mutex::new(Keepers { pinner: named.pinner, root }));
        state.vaults.push(Arc::downgrade(&keepers));
        let vault = mu.alloc(Vault { keepers, token: state.ledger.token() });
        drop(state);
        self.born(mu, locals, Any::Vault(vault), |thing| {
            thing.tokens.start = first;
            thing.has_drop = true;
            thing.keeps = Some(Keeps { pins: named.pins, root: root_id });
        });
    }
}

/// A change of one pointer field.
pub(crate) struct Changing<'a, 'gc> {
    pub(crate) actor: &'a Actor<'a>,
    pub(crate) mu: &'a Mutator<'gc>,
    pub(crate) id: Id,
    pub(crate) index: usize,
    pub(crate) how: Change,
    pub(crate) to: Option<Pick>,
}

impl<'gc> Changing<'_, 'gc> {
    pub(crate) fn run<P: Copy, A: Item<'gc>>(
        self,
        locals: &mut Locals<'gc>,
        cell: &impl Field<'gc, P>,
        of_type: impl Fn(A) -> Option<P> + Copy,
        any: impl Fn(P) -> A + Copy,
    ) {
        let Self { actor, mu, id, index, how, to } = self;
        let (new, new_id) = locals.pick_of(to, of_type).unzip();
        let held = A::fields(&mut actor.state.lock().model.things[id])[index];
        let mut stored = true;
        match how {
            Change::Store => cell.store(mu, new),
            Change::Swap => actor.take_expected(mu, locals, cell.swap(mu, new).map(any), held),
            Change::Exchange => {
                let current = cell.load(mu);
                let outcome = cell.compare_exchange(mu, current, new);
                assert!(outcome.is_ok(), "nobody else changes this cell");
                actor.take_expected(mu, locals, current.map(any), held);
            }
            Change::ExchangeOther(other) => {
                let (expected, expected_id) = locals.pick_of(Some(other), of_type).unzip();
                let outcome = cell.compare_exchange(mu, expected, new);
                stored = outcome.is_ok();
                assert_eq!(stored, expected_id == held, "a comparison went wrong");
                let (Ok(old) | Err(old)) = outcome;
                actor.take_expected(mu, locals, old.map(any), held);
            }
        }
        if stored {
            A::put(&mut actor.state.lock().model.things[id], index, new_id);
            match (cell.load(mu).map(any), new.map(any)) {
                (Some(holds), Some(new)) => assert!(holds.same(new)),
                (holds, new) => assert!(holds.is_none() && new.is_none()),
            }
        }
    }
}
