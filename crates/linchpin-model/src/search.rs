//! The search: breadth first through every state that can be reached from an empty heap.
//!
//! States are kept as their [keys](crate::state::State::key), in the order in which they were found, so that the first
//! violation has a trace of the least possible length.

use std::fmt;
use std::ops::Range;
use std::thread;

use crate::config::{Config, Violation};
use crate::object::Colour;
use crate::report::Step;
use crate::state::State;
use crate::{steps_collector, steps_mutator};

/// How many states are explored before what they lead to is added.
const ROUND: usize = 1 << 14;
/// How many are explored before what they lead to is looked up.
const BATCH: usize = 64;

/// A step and where it leads.
pub(crate) struct Successor {
    pub(crate) step: Step,
    pub(crate) state: State,
    pub(crate) violation: Option<Violation>,
}

/// How to break a promise.
#[derive(Clone, Debug)]
pub struct Counterexample {
    /// Every step from the empty heap on.
    pub steps: Vec<Step>,
    /// What is broken by the last one.
    pub violation: Violation,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in self.steps.iter().enumerate() {
            writeln!(f, "{:>4}  {step}", number + 1)?;
        }
        write!(f, "      => {}", self.violation)
    }
}

/// What a search has found.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// States explored, not counting renamed ones.
    pub states: usize,
    /// Steps looked at.
    pub steps: u64,
    /// The first broken promise.
    pub counterexample: Option<Counterexample>,
    /// The search gave up at its limit of states.
    pub gave_up: bool,
}

impl Outcome {
    /// Every state was explored, and none breaks a promise.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.counterexample.is_none() && !self.gave_up
    }
}

/// Explores all states, or so many that there are more than `most_states`.
#[must_use]
pub fn search(config: &Config, most_states: usize) -> Outcome {
    search_on(1, config, most_states)
}

/// The same on so many threads, which makes no difference to the outcome.
///
/// # Panics
/// If the configuration is not [possible](Config::is_possible).
#[must_use]
pub fn search_on(threads: usize, config: &Config, most_states: usize) -> Outcome {
    assert!(config.is_possible(), "{config}");
    let mut found = Found::new();
    found.add(first_state(config).key(config), 0);
    let mut steps = 0;
    let mut index = 0;
    while index < found.keys.len() && found.keys.len() <= most_states {
        let round = index..found.keys.len().min(index + ROUND);
        index = round.end;
        // Where a promise is broken, nothing of its round counts, whatever the parts before have come to.
        let states = found.keys.len();
        for explored in explore_on(threads, config, &found, round) {
            steps += explored.steps;
            if let Some(index) = explored.violated {
                let counterexample = Some(replay(config, &found.path_to(index)));
                return Outcome { states, steps, counterexample, gave_up: false };
            }
            for (key, parent) in explored.unknown {
                found.add(key, parent);
            }
        }
    }
    Outcome { states: found.keys.len(), steps, counterexample: None, gave_up: index < found.keys.len() }
}

/// What came of exploring some states.
#[derive(Default)]
struct Explored {
    steps: u64,
    /// Keys that were not found before, each with the state that led to it. Some of them twice.
    unknown: Vec<(u128, u32)>,
    /// The first state from which a step breaks a promise; none was explored after it.
    violated: Option<usize>,
}

/// Explores a round of states in as many parts as there are threads.
fn explore_on(threads: usize, config: &Config, found: &Found, round: Range<usize>) -> Vec<Explored> {
    if threads == 1 || round.len() < ROUND {
        return vec![explore(config, found, round)];
    }
    let part = round.len().div_ceil(threads);
    thread::scope(|scope| {
        let parts = round.clone().step_by(part).map(|start| start..round.end.min(start + part));
        let parts: Vec<_> = parts.map(|part| scope.spawn(|| explore(config, found, part))).collect();
        parts.into_iter().map(|part| part.join().expect("a search does not panic")).collect()
    })
}

/// Explores some of the states found.
fn explore(config: &Config, found: &Found, states: Range<usize>) -> Explored {
    let mut explored = Explored::default();
    let mut successors = Vec::new();
    let mut batch = Vec::new();
    for start in states.clone().step_by(BATCH) {
        for index in start..states.end.min(start + BATCH) {
            let state = State::unpacked(found.keys[index], config);
            list(config, &state, &mut successors);
            explored.steps += successors.len() as u64;
            for successor in successors.drain(..) {
                if successor.violation.is_some() {
                    explored.violated = Some(index);
                    return explored;
                }
                batch.push((successor.state.key(config), index as u32));
            }
        }
        found.drop_known(&mut batch);
        explored.unknown.append(&mut batch);
    }
    explored
}

/// An empty heap between cycles, or one with two objects.
fn first_state(config: &Config) -> State {
    let mut state = State::default();
    for processor in &mut state.processors {
        processor.answered = true;
    }
    if config.begins_with_two {
        // As one mutation leaves them that allocates the second, then the first, and makes a root.
        state.colour[..2].fill(Colour::Black);
        state.field[0] = Some(1);
        state.root = Some(0);
    }
    state
}

/// Lists every step from a state.
fn list(config: &Config, state: &State, successors: &mut Vec<Successor>) {
    steps_mutator::steps(config, state, successors);
    steps_collector::steps(config, state, successors);
    for successor in successors {
        let next = &mut successor.state;
        next.load_everything(config);
        next.forget_black();
        let held = next.reachable_from(next.held());
        next.garbage = next.garbage.without(held);
        if successor.violation.is_none() {
            let noticed = next.reachable_from(next.noticed());
            let free = noticed.both(next.coloured(Colour::Free)).each().next().map(Violation::FreeSlotReachable);
            let left = next.free_in_entry().map(Violation::EntryLeft);
            let undecided = held.both(next.failed).each().next().map(Violation::Undecided);
            successor.violation =
                free.or(left).or(undecided).or(next.unflagged_pin(config).map(Violation::PinNotFlagged));
        }
        successor.violation = successor.violation.filter(|violation| !config.ignored.has(violation.promise()));
    }
}

/// Takes steps that are written down, from the first state on; gives the promise that the last one breaks.
///
/// # Panics
/// If a step is not possible where it is to be taken, or one before the last breaks a promise.
#[must_use]
pub fn walk(config: &Config, steps: &[Step]) -> Option<Violation> {
    assert!(config.is_possible(), "{config}");
    let mut state = first_state(config);
    let mut violation = None;
    let mut successors = Vec::new();
    for (number, &step) in steps.iter().enumerate() {
        assert_eq!(violation, None, "before step {}: {step}", number + 1);
        successors.clear();
        list(config, &state, &mut successors);
        let taken = successors.iter().find(|successor| successor.step == step);
        let taken = taken.unwrap_or_else(|| panic!("step {} is not possible: {step}", number + 1));
        (state, violation) = (taken.state, taken.violation);
    }
    violation
}

/// Walks a path of keys again with the same names from end to end, and breaks the promise at its end.
fn replay(config: &Config, path: &[u128]) -> Counterexample {
    let mut state = first_state(config);
    let mut steps = Vec::new();
    let mut successors = Vec::new();
    for &next in &path[1..] {
        successors.clear();
        list(config, &state, &mut successors);
        let taken = successors
            .iter()
            .find(|successor| successor.state.key(config) == next)
            .expect("states with the same key have successors with the same keys");
        steps.push(taken.step);
        state = taken.state;
    }
    successors.clear();
    list(config, &state, &mut successors);
    let (step, violation) = successors
        .iter()
        .find_map(|successor| Some((successor.step, successor.violation?)))
        .expect("states with the same key break the same promises");
    steps.push(step);
    Counterexample { steps, violation }
}

/// The states found so far: an open-addressing table of positions in the list of keys.
struct Found {
    keys: Vec<u128>,
    /// From which state each was found.
    parents: Vec<u32>,
    /// One more than the position; 0 is an empty place. The length is a power of two.
    table: Vec<u32>,
}

impl Found {
    fn new() -> Self {
        Self { keys: Vec::new(), parents: Vec::new(), table: vec![0; 1 << 12] }
    }

    /// Drops keys that are found already, as most are.
    ///
    /// The table and the list are far larger than any cache. So this goes over the batch twice, and no look waits for
    /// the one before. What is not at the first place it may be at is kept, known or not.
    fn drop_known(&self, batch: &mut Vec<(u128, u32)>) {
        let firsts: Vec<u32> = batch.iter().map(|&(key, _)| self.table[self.first_place(key)]).collect();
        let mut firsts = firsts.iter();
        batch.retain(|&(key, _)| {
            let first = firsts.next().copied().unwrap_or_default();
            first == 0 || self.keys[first as usize - 1] != key
        });
    }

    /// The place at which the search for a key begins.
    fn first_place(&self, key: u128) -> usize {
        const MULTIPLIER: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
        let product = key.wrapping_mul(MULTIPLIER);
        let mixed = (product >> 64) as u64 ^ product as u64;
        let hash = mixed.wrapping_mul(0xd6e8_feb8_6659_fd93) >> 20;
        hash as usize & (self.table.len() - 1)
    }

    /// The place of a key, or the empty place where it would be.
    fn place(&self, key: u128) -> usize {
        let mask = self.table.len() - 1;
        let mut place = self.first_place(key);
        while self.table[place] != 0 && self.keys[self.table[place] as usize - 1] != key {
            place = (place + 1) & mask;
        }
        place
    }

    fn add(&mut self, key: u128, parent: u32) {
        let place = self.place(key);
        if self.table[place] != 0 {
            return;
        }
        self.keys.push(key);
        self.parents.push(parent);
        self.table[place] = u32::try_from(self.keys.len()).expect("fewer states than a table takes");
        if self.keys.len() * 3 > self.table.len() * 2 {
            let length = self.table.len() * 2;
            self.table.clear();
            self.table.resize(length, 0);
            for position in 0..self.keys.len() {
                let place = self.place(self.keys[position]);
                self.table[place] = position as u32 + 1;
            }
        }
    }

    /// The keys on the way to the state at `index`, itself included.
    fn path_to(&self, mut index: usize) -> Vec<u128> {
        let mut path = vec![self.keys[index]];
        while index != 0 {
            index = self.parents[index] as usize;
            path.push(self.keys[index]);
        }
        path.reverse();
        path
    }
}
