//! The protocol of linchpin's collector as a state machine, searched exhaustively.
//!
//! The model has a few objects with a pointer field each, a root, pins, processors and a collector, which take atomic
//! steps in every order there is. The search goes through every state that can be reached from an empty heap, over any
//! number of cycles, and checks that
//!
//! * when a mark ends, nothing is white that can be reached from the root, pins or what a mutation has in hand;
//! * nobody ever reaches, shades or marks a free slot, so that no slot is handed out while it is in use;
//! * after the end of a mark no barrier finds anything white, and a cycle begins with nothing white.
//!
//! # What is modelled
//!
//! | part of linchpin | in the model |
//! | --- | --- |
//! | mark byte | free, white or black; the flip swaps the latter |
//! | mutation on a processor | what it has in hand: all it could have loaded since it began |
//! | `GcCell::store`, `Root::set` | shade the old value, compare and swap (else begin again); in `Arm`, shade the new one |
//! | dropping a root, unpinning | shade, then remove; with nothing in hand it stands for a processor held for a moment |
//! | making a root or a pin | in `Arm`, shade; then, for a pin: raise the flag, count |
//! | a pinned address | any mutation may turn it into a pointer |
//! | allocation | with a null or any pointer in hand as first value, which passes no barrier |
//! | answer to a handshake | between mutations; hands over buffer and newborns |
//! | marking | the root, the list of flagged spans, each counter, each grey object: a step each |
//! | closing rounds | a round after which the queue is empty ends the mark |
//! | sweep | a slot at a time, read and written back in two steps; runs are returned on entering `Off` |
//!
//! Everything the code does in one step here is one access to shared memory that matters, or several that nobody can
//! tell from one. What a state need not tell apart is written at [`State::key`](state::State::key),
//! [`State::load_everything`](state::State::load_everything) and [`State::forget_black`](state::State::forget_black).
//!
//! # Why the old value is shaded first
//!
//! With [`Fault::ShadeAfterSwap`] a closing round can bring nothing although there is something grey: one mutation has
//! replaced the last pointer to `B` that the mark would find, and not shaded it yet. Another one, on a processor that
//! has answered the round, comes across `B`, removes it elsewhere and shades it, into a buffer that has been handed over
//! already. The first one finds `B` black then, and has nothing to hand over. What `B` leads to stays white.
//! Either the old value is shaded before it is replaced, or [two rounds](Config::two_quiet_rounds) in a row must bring
//! nothing.
//!
//! # Parts
//!
//! [`state`], [`object`] and [`processor`] are what there is; `steps_mutator` and `steps_collector` are what can happen;
//! [`search()`] explores it; [`report`] puts it into words. [`Fault`] lists ways to break it, [`verdict`] what
//! becomes of each.

pub mod config;
pub mod fault;
pub mod object;
pub mod processor;
pub mod report;
pub mod search;
pub mod state;
mod steps_collector;
mod steps_mutator;
mod steps_weak;
pub mod verdict;

pub use config::{Config, Violation};
pub use fault::{Fault, Faults};
pub use search::{Counterexample, Outcome, search, search_on};
