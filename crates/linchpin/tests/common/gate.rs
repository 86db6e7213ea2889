//! A gate in the graph, which holds the marker fast at a known point.

use std::sync::{Arc, Condvar, Mutex};

use linchpin::{Trace, Tracer};

/// Lets the marker through an object, or holds it there.
#[derive(Default)]
pub(crate) struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    closed: bool,
    reached: bool,
}

impl Gate {
    /// Holds the marker from now on, until what is returned is dropped.
    pub(crate) fn close(&self) -> Closed<'_> {
        *self.state.lock().expect("nobody panics with it") = GateState { closed: true, reached: false };
        Closed(self)
    }

    /// Called by the marker.
    pub(crate) fn pass(&self) {
        let mut state = self.state.lock().expect("nobody panics with it");
        state.reached = true;
        self.changed.notify_all();
        while state.closed {
            state = self.changed.wait(state).expect("nobody panics with it");
        }
    }

    /// Whether the marker has come there.
    #[allow(dead_code, reason = "not every test program asks")]
    pub(crate) fn is_reached(&self) -> bool {
        self.state.lock().expect("nobody panics with it").reached
    }

    /// Waits until the marker stands there.
    pub(crate) fn wait_until_reached(&self) {
        let mut state = self.state.lock().expect("nobody panics with it");
        while !state.reached {
            state = self.changed.wait(state).expect("nobody panics with it");
        }
    }
}

/// Opens the gate when it is dropped, also if the test fails.
pub(crate) struct Closed<'gate>(&'gate Gate);

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        self.0.state.lock().expect("nobody panics with it").closed = false;
        self.0.changed.notify_all();
    }
}

/// A first field of an object, which so has its other fields traced only when the gate is open.
pub(crate) struct Behind(pub(crate) Arc<Gate>);

// SAFETY: there is no brand, and no pointer.
unsafe impl Trace for Behind {
    type Branded<'b> = Self;
    const NEEDS_TRACE: bool = true;

    fn trace(&self, _: &mut Tracer<'_>) {
        self.0.pass();
    }
}
