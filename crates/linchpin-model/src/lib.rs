//! The protocol of linchpin's collector as a state machine, searched exhaustively.
//!
//! The model has a few objects with a pointer field each, a root, pins, weak pointers, processors and a collector,
//! which take atomic steps in every order there is. The search goes through every state that can be reached from an
//! empty heap, over any number of cycles, and checks the [promises](config::Promise):
//!
//! * when a mark ends, nothing is white that can be reached from the root, pins or what a mutation has in hand, and
//!   after that no barrier finds anything white;
//! * nobody ever reaches, shades or marks a free slot, and none is handed out while it is in use;
//! * what the weak map has for a key that is in use is in use, too, and no entry leads to what is freed;
//! * a weak upgrade never returns what is freed, never fails for what is in use, and what has failed once fails for
//!   good;
//! * a cycle begins with everything swept, and frees what was garbage when it began;
//! * whatever is pinned has its flag raised, or the collector is about to look.
//!
//! What each part of the protocol is for, where it is in the source, and which [`Fault`] leaves it out stands in a
//! table at the head of [`verdict`].
//!
//! # What is modelled
//!
//! | part of linchpin | in the model |
//! | --- | --- |
//! | mark byte | free, white or black; the flip swaps the latter |
//! | mutation on a processor | what it has in hand: all it could have loaded since it began |
//! | `GcCell::store`, `Root::set` | shade the old value, compare and swap or begin again; in `Arm`, shade the new |
//! | dropping a root, unpinning | shade, then remove; in a mutation, or outside, holding a processor for a moment |
//! | making a root or a pin | in `Arm`, shade; then, for a pin: raise the flag, count |
//! | cloning a root outside mutations | a mutation that loads it, and makes one |
//! | a pinned address | any mutation may turn it into a pointer |
//! | allocation | with a null or any pointer in hand as first value, which passes no barrier |
//! | answer to a handshake | between mutations, by a thread or the collector; hands over buffer and newborns |
//! | safepoints | a mutation answers any handshake but the second, where it is in the midst of no barrier |
//! | a full barrier buffer | is handed over at any time in a mutation |
//! | `set_processors` | an idle processor is emptied and retired; later it is in use again, in the phase of then |
//! | the spare | never runs a mutation, is held for a moment |
//! | marking | the root, the list of flagged spans, each counter, each grey object: a step each |
//! | helpers | take grey objects, and trace them later, or give them back |
//! | assists | a mutation in `Mark` takes grey objects, traces them, and gives back what it has not come to |
//! | closing rounds | a round after which the queue is empty ends the mark |
//! | sweep | a slot at a time, read and written back in two steps; runs are returned on entering `Off` |
//! | spans | each slot is one; or one has all slots, and belongs to a processor with a run in it, or to the sweeper |
//! | weak pointers | a root and a field in each object; upgraded, copied, cleared after the end of the mark |
//! | ephemerons | a weak map with one entry: looked up, inserted, removed; its key listed; a new map in its place; a pass after each quiet round |
//! | `GcMutex`, `GcRwLock` | the field of each object is behind one: taken, given back, its guard forgotten |
//! | locks behind locks | behind that one is another: taken by who shares the outer one, or taken out, changed, put elsewhere |
//!
//! Everything the code does in one step here is one access to shared memory that matters, or several that nobody can
//! tell from one. What a state need not tell apart is written at [`State::key`](state::State::key),
//! [`State::load_everything`](state::State::load_everything) and [`State::forget_black`](state::State::forget_black).
//!
//! # What is left out
//!
//! * **Memory orderings.** The steps are sequentially consistent. That the code's orderings are strong enough for that
//!   is for loom, which runs the pieces as they are in the source.
//! * **The state word.** Who takes a processor has it alone. A mutation may begin in an outdated phase here, which the
//!   fast path of the code forbids: it makes no difference, since the collector waits for the answer.
//! * **Two accesses for one.** A marker or barrier loads a mark byte, and stores it: two that both find it white both
//!   trace the object, which is the same as one that does. A marker loads a field, and marks what was there: meanwhile
//!   that can be shaded, but not freed, and no round ends before the marker is done.
//! * **The two halves of a pin counter**, and more pins of an object than one. Unpinning shades whichever pin it
//!   undoes.
//! * **Flags of spans in a row.** They are taken, and listed, in one step: what is walked beyond need is marked because
//!   it is pinned.
//! * **Waiting.** Nothing here has to happen, so nothing can be late: neither a full region, nor a `Drop` that
//!   allocates in it, nor a thread that waits for a processor. That a cycle comes to its end is for the tests of the
//!   library.
//! * **More locks than two behind each other**, more than one behind one, and more in hand than one that is not new. Of three behind
//!   each other the middle one is inner to the first, and outer to the last.
//! * **`GcOnce`** with a lock in the value. That it is shaded before anybody sees it is for a test of the library. Without a lock in it,
//!   it is a field that is stored to once, with nothing to remove.
//! * **A marker's look** behind a lock, or two, is one step: meanwhile others wait, or take no notice, which nobody can tell from
//!   coming later or before.
//! * **More entries than one** of a weak map, and so the way from values to keys within a pass, which finds the first value only. And a
//!   map that is part of an object: here it is reached in each cycle but the one it is made in, and not part of a value. For both there are
//!   tests of the library.
//! * **Dropping values.** It runs the program's code in `Off` on the collector's thread, as a mutation could. What that
//!   must not do, to pin what is being dropped, is a variant.
//! * **More of the same.** Objects have one field, heaps one root, and three is the most there are of anything.
//!
//! # Why the old value is shaded first
//!
//! With [`Fault::ShadeAfterSwap`] a closing round can bring nothing although there is something grey: one mutation has
//! replaced the last pointer to `B` that the mark would find, and not shaded it yet. Another one, on a processor that
//! has answered the round, comes across `B`, removes it elsewhere and shades it, into a buffer that has been handed
//! over already. The first one finds `B` black then, and has nothing to hand over. What `B` leads to stays white.
//! Either the old value is shaded before it is replaced, or [two rounds](Config::two_quiet_rounds) in a row must bring
//! nothing.
//!
//! # Parts
//!
//! [`state`], [`object`] and [`processor`] are what there is; `steps_mutator`, `steps_birth`, `steps_assist`, `steps_weak`, `steps_lock`,
//! `steps_inner_lock`, `steps_ephemeron` and `steps_collector` are what can happen; [`search()`] explores it; [`report`] puts it into
//! words. [`Fault`] lists ways to break it, [`verdict`] what
//! becomes of each.

pub mod config;
pub mod fault;
pub mod memory;
pub mod object;
pub mod processor;
pub mod report;
pub mod search;
pub mod state;
mod steps_assist;
mod steps_birth;
mod steps_collector;
mod steps_ephemeron;
mod steps_inner_lock;
mod steps_lock;
mod steps_mutator;
mod steps_weak;
pub mod verdict;

pub use config::{Config, Violation};
pub use fault::{Fault, Faults};
pub use search::{Counterexample, Outcome, search, search_on, walk};
