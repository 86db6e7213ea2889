//! Runs a program: the actions outside mutations, and the end, at which everything must have been dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use linchpin::{DebugSettings, Heap, PinLeak, PinLeakCause, Verify, VerifyFinding};
use parking_lot::Mutex;

use crate::helpers::{Aside, Beside, let_the_collector_move};
use crate::mutation::{Actor, Locals, contain};
use crate::program::{Action, Handle, NAMES, Pick, Settings};
use crate::shared::Common;
use crate::state::State;

/// What the heap has told its hooks: leaked pins, and what its verifier has found.
#[derive(Default)]
pub(crate) struct Told {
    swept: AtomicUsize,
    outstanding: AtomicUsize,
    findings: Mutex<Vec<VerifyFinding>>,
}

impl Told {
    /// Fails if the verifier has found anything.
    #[track_caller]
    pub(crate) fn assert_in_order(&self) {
        let findings = self.findings.lock();
        assert!(findings.is_empty(), "the verifier has found: {findings:#?}");
    }

    fn note(&self, leak: &PinLeak) {
        let pins = match leak.cause() {
            PinLeakCause::PinnerSwept => &self.swept,
            _ => &self.outstanding,
        };
        pins.fetch_add(leak.pins(), Ordering::SeqCst);
    }
}

/// A heap as the settings say.
pub(crate) fn heap_of(settings: &Settings) -> (Arc<Heap>, Arc<Told>) {
    let told = Arc::<Told>::default();
    let [of_leaks, of_findings] = [(); 2].map(|()| Arc::clone(&told));
    let mut debug = DebugSettings::new();
    if let Some(watch) = &settings.watch {
        debug = debug
            .verify(Verify::Strict)
            .poison(true)
            .delay_handshakes(watch.delay_handshakes)
            .move_mutations(watch.move_mutations)
            .seed(watch.seed);
        debug = watch.collect_every.into_iter().fold(debug, DebugSettings::collect_every);
    }
    let heap = Heap::builder()
        .processors(settings.processors)
        .growth_percent(settings.growth_percent)
        .pinner_cache(settings.pinner_cache)
        .region_size(1 << 30)
        .debug(debug)
        .on_pin_leak(move |leak| of_leaks.note(leak))
        .on_finding(move |finding| of_findings.findings.lock().push(finding.clone()))
        .build()
        .expect("the settings are in range");
    (Arc::new(heap), told)
}

/// A program on its way.
pub(crate) struct World {
    // In the order in which they must go if the program fails.
    beside: Option<Beside>,
    aside: Option<Aside>,
    state: Arc<Mutex<State>>,
    heap: Option<Arc<Heap>>,
    /// What it shares with other threads; without it, it has the heap to itself.
    common: Option<Arc<Common>>,
    told: Arc<Told>,
    /// No cycle starts but those it asks for.
    only_own_cycles: bool,
    /// The heap, which it has to itself, verifies itself, and is to be verified exactly now and then.
    watched: bool,
}

impl World {
    pub(crate) fn alone(settings: &Settings) -> Self {
        let (heap, told) = heap_of(settings);
        let state = Arc::new(Mutex::new(State::new()));
        Self {
            beside: Some(Beside::new(Arc::clone(&heap), Arc::clone(&state))),
            aside: Some(Aside::new(Arc::clone(&heap))),
            state,
            heap: Some(heap),
            common: None,
            told,
            only_own_cycles: settings.growth_percent == 100_000
                && settings.watch.as_ref().is_none_or(|watch| watch.collect_every.is_none()),
            watched: settings.watch.is_some(),
        }
    }

    pub(crate) fn among(heap: Arc<Heap>, told: Arc<Told>, common: Arc<Common>) -> Self {
        Self {
            beside: None,
            aside: None,
            state: Arc::new(Mutex::new(State::new())),
            heap: Some(heap),
            common: Some(common),
            told,
            only_own_cycles: false,
            watched: false,
        }
    }

    pub(crate) fn run(&mut self, action: &Action) {
        let Some(heap) = self.heap.clone() else {
            if let Action::Handle(handle) = action {
                self.handle_after_the_heap(handle);
            }
            return;
        };
        match action {
            Action::Mutate(steps) => {
                let actor = Actor {
                    index: 0,
                    heap: &heap,
                    state: &self.state,
                    beside: self.beside.as_ref(),
                    common: self.common.as_deref(),
                };
                contain(|| heap.mutate(|mu| actor.run(mu, &mut Locals::default(), steps)));
                self.state.lock().model.in_hand[0].clear();
            }
            Action::Handle(handle) => self.state.lock().handle(handle),
            Action::Collect => self.collect(&heap),
            &Action::SetProcessors(count) => {
                if count < 2 {
                    self.release();
                }
                heap.set_processors(count).expect("so many are allowed");
            }
            Action::DropHeap => {
                drop(heap);
                return self.drop_heap();
            }
            beside => self.run_beside(&heap, beside),
        }
        let mut state = self.state.lock();
        state.compare_drops();
        state.compare_pins(Some(&heap));
        self.told.assert_in_order();
    }

    fn run_beside(&mut self, heap: &Heap, action: &Action) {
        let (Some(beside), Some(aside)) = (&self.beside, &mut self.aside) else { return };
        match action {
            Action::Beside(steps) => return beside.run(steps),
            // With one processor, this thread would have none.
            Action::Hold if heap.processors() > 1 => beside.hold(),
            Action::Advance => beside.advance(),
            Action::Release => beside.release(),
            Action::StartCycle => aside.start(),
            _ => return,
        }
        let_the_collector_move();
    }

    /// No mutation and no cycle runs any more, unless other threads or the heap's growth want one.
    fn release(&mut self) {
        if let Some(beside) = &self.beside {
            beside.release();
        }
        if let Some(aside) = &mut self.aside {
            aside.wait();
        }
    }

    fn collect(&mut self, heap: &Heap) {
        self.release();
        let kept = self.state.lock().kept();
        heap.collect();
        if self.watched {
            let report = heap.verify().unwrap_or_else(|error| panic!("{error}"));
            assert!(report.suspicions.is_empty(), "{report:?}");
        }
        let mut state = self.state.lock();
        state.cleanups.wait(&kept);
        state.compare_freed(&kept);
        state.compare_contents(heap);
        if self.common.is_none() {
            self.compare_stats(&state, heap);
        }
    }

    #[track_caller]
    fn compare_stats(&self, state: &State, heap: &Heap) {
        let stats = heap.stats();
        let (live, things) = (state.live(), &state.model.things);
        // Handles of weak pointers are objects, too.
        let handles = state.weakly_held(&live) as u64;
        let (objects, downgrades) = (things.len() as u64, state.model.downgrades);
        assert!((objects + handles..=objects + downgrades).contains(&stats.allocated_objects));
        assert_eq!(stats.drop_panics, 0);
        assert_eq!(stats.processors, heap.processors());
        assert!(stats.cycles > 0 && stats.live_bytes <= stats.allocated_bytes);
        assert!(stats.spans_in_use * 65536 == stats.span_bytes && stats.span_bytes <= stats.region_bytes);
        let in_use = state.pinners.iter().filter(|named| !named.pinner.is_empty()).count() as u64;
        assert!(stats.pinners_created - stats.pinners_freed >= in_use);
        if things.iter().any(|thing| !live[thing.id] && !thing.gone) {
            return; // What a vault kept that has been swept; the next cycle sees to it.
        }
        let alive = things.iter().filter(|thing| live[thing.id]);
        let roots = state.roots.iter().flatten().count() + state.weak_roots.iter().flatten().count();
        let roots_in_vaults = alive.clone().filter(|thing| thing.keeps.as_ref().is_some_and(|k| k.root.is_some()));
        assert_eq!(stats.roots, roots + roots_in_vaults.count());
        let objects = alive.clone().count() as u64 + handles;
        assert_eq!(stats.allocated_objects - stats.freed_objects, objects);
        let dropped = things.iter().filter(|thing| thing.gone && thing.has_drop).count();
        assert_eq!(stats.dropped_values, dropped as u64);
        if self.only_own_cycles {
            assert_eq!(self.told.swept.load(Ordering::SeqCst), state.model.swept_pins);
            assert_eq!(stats.live_objects, objects);
            assert!(stats.live_bytes >= alive.map(|thing| thing.bytes as u64).sum());
            assert!(stats.span_bytes as u64 >= stats.live_bytes);
        }
    }

    /// Drops the heap with whatever roots and pins are outstanding.
    fn drop_heap(&mut self) {
        self.release();
        (self.beside, self.aside) = (None, None);
        let heap = self.heap.take().and_then(Arc::into_inner).expect("nobody else has the heap");
        drop(heap);
        self.compare_settled();
        let state = self.state.lock();
        let outstanding: usize = state.pinners.iter().map(|named| named.pins.len()).sum();
        let vaults = state.model.things.iter().filter(|thing| !thing.gone).flat_map(|thing| &thing.keeps);
        let in_vaults: usize = vaults.map(|keeps| keeps.pins.len()).sum();
        assert_eq!(self.told.outstanding.load(Ordering::SeqCst), outstanding + in_vaults);
    }

    fn handle_after_the_heap(&self, handle: &Handle) {
        self.state.lock().handle(handle);
        self.compare_settled();
    }

    /// Once the heap has gone, nothing is there that nothing leads to.
    #[track_caller]
    fn compare_settled(&self) {
        let mut state = self.state.lock();
        state.compare_drops();
        let kept = state.kept();
        state.compare_freed(&kept);
        state.compare_pins(None);
        self.told.assert_in_order();
        if self.only_own_cycles {
            assert_eq!(self.told.swept.load(Ordering::SeqCst), state.model.swept_pins);
        }
    }

    /// The end of a program that has a heap to itself.
    pub(crate) fn finish(mut self, heap_first: bool) {
        if let Some(heap) = self.heap.clone() {
            self.collect(&heap);
            drop(heap);
            if heap_first {
                self.drop_heap();
            }
        }
        self.let_go();
        if let Some(heap) = self.heap.clone() {
            self.collect(&heap);
            self.state.lock().ledger.assert_each_once();
            assert_eq!(heap.stats().allocated_objects, heap.stats().freed_objects);
            drop(heap);
            self.drop_heap();
        }
        self.state.lock().ledger.assert_each_once();
    }

    /// Drops every root, weak root and pinner, and opens the vaults that keep themselves.
    pub(crate) fn let_go(&mut self) {
        for name in 0..NAMES as Pick {
            // What is left comes first, whatever the number.
            for handle in [Handle::DropRoot(0), Handle::DropWeakRoot(0), Handle::DropPinner(name)] {
                self.run(&Action::Handle(handle));
            }
        }
        let mut state = self.state.lock();
        state.compare_drops();
        for index in 0..state.vaults.len() {
            let Some(keepers) = state.vaults[index].upgrade() else { continue };
            let mut keepers = std::mem::take(&mut *keepers.lock());
            keepers.pinner.unpin();
            drop(keepers);
        }
        // All of them are open now, or swept.
        for thing in &mut state.model.things {
            if !thing.gone
                && let Some(keeps) = &mut thing.keeps
            {
                *keeps = Default::default();
            }
        }
    }

    /// The comparison of a program that has run among others, when all have ended.
    pub(crate) fn compare_at_rest(&mut self) {
        let heap = self.heap.clone().expect("the heap outlives programs that share it");
        self.collect(&heap);
        let mut state = self.state.lock();
        state.compare_drops();
        state.compare_pins(Some(&heap));
    }

    /// Nothing is left of the program.
    #[track_caller]
    pub(crate) fn assert_nothing_left(&self) {
        self.state.lock().ledger.assert_each_once();
    }
}
