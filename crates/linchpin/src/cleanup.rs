//! Cleanups: what is to be done when an object has been collected.
//!
//! Like Go's `runtime.AddCleanup`, and unlike its finalizers, a cleanup never sees the object: it cannot bring it back, so objects
//! that lead to each other are no obstacle, and one object may have any number of cleanups.
//!
//! They are registered by the object's address. When a mark has ended, those of dead objects become *due*, with the clearing of weak
//! pointers ([`decision`](crate::collector::decision)); after the sweep they are queued, and run on a thread of their own, one after
//! another. So a cleanup finds the object's value dropped and its weak pointers cleared, and may do whatever the program
//! may: mutate the heap, wait for a cycle, take its time.
//!
//! When the heap is dropped, what is queued runs first. After the heap's end the thread that lets go of the last thing that kept
//! an object runs its cleanups.

#[cfg(all(test, not(loom)))]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::BuildHasherDefault;

use smallvec::SmallVec;

use crate::collector::NoThread;
use crate::gc::weak::{AddressHasher, give_room_back, part_of};
use crate::gc::{Gc, Object};
use crate::heap::{Core, Heap, Lent};
use crate::memory::region::Region;
use crate::mutator::Mutator;
use crate::panics::{contained, discard};
use crate::processor::thread as this_thread;
use crate::sync::{Arc, AtomicU64, Condvar, Mutex, Ordering, Weak, thread};

/// What is to be done.
type Work = Box<dyn FnOnce(&Heap) + Send>;

struct Job {
    id: u64,
    work: Work,
}

type Registered = HashMap<usize, SmallVec<[Job; 1]>, BuildHasherDefault<AddressHasher>>;

/// Parts with a lock each: threads seldom meet, and the collector keeps nobody waiting for long.
const PARTS: usize = if cfg!(loom) { 1 } else { 16 };

/// A part with no more room than this keeps it.
const KEPT_ROOM: usize = 64;

/// The cleanups of a heap.
#[derive(Default)]
pub(crate) struct Cleanups {
    registered: [Mutex<Registered>; PARTS],
    queue: Mutex<Queue>,
    /// Notified when something is queued, or the thread is to end.
    queued: Condvar,
    run: AtomicU64,
    panics: AtomicU64,
}

#[derive(Default)]
struct Queue {
    last_id: u64,
    /// Of objects that are dead and not swept yet.
    due: Vec<Job>,
    jobs: VecDeque<Job>,
    /// Somebody runs them.
    busy: bool,
    stop: bool,
    /// The heap was dropped by a cleanup: the thread ends it when it ends itself.
    end_heap: bool,
    thread: Option<thread::JoinHandle<()>>,
}

/// A cleanup that was registered by [`Mutator::on_collect`], to [cancel](Self::cancel) it. If it is dropped, the cleanup stays.
pub struct Cleanup {
    core: Weak<Core>,
    target: usize,
    id: u64,
}

impl Cleanup {
    /// Takes the cleanup back, unless it has begun to run; whether it did so. What it holds is dropped here.
    pub fn cancel(self) -> bool {
        let Some(core) = self.core.upgrade() else { return false };
        // Not dropped under a lock: that may run the program's code.
        let job = core.cleanups.take(self.target, self.id);
        job.is_some()
    }
}

impl fmt::Debug for Cleanup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cleanup").field("id", &self.id).finish_non_exhaustive()
    }
}

impl<'gc> Mutator<'gc> {
    /// Registers what is to be done once the object has been collected.
    ///
    /// `work` is called once, when nothing leads to the object any more, its value has been dropped and its weak pointers are
    /// cleared; on a thread that the heap has for cleanups, which run one after another: those of an object in the order in which
    /// they were registered. It gets the heap, and may do with it what the program may: mutate it, wait for a cycle, drop it. It
    /// cannot have the object: if it holds a [`Root`](crate::Root) or a pin of it, or of what leads to it, that is never collected.
    ///
    /// If it panics, the program's panic hook tells of it, it counts in
    /// [`HeapStats::cleanup_panics`](crate::HeapStats::cleanup_panics), and the others run all the same.
    ///
    /// # At the end of the heap
    ///
    /// When the heap is dropped, objects that nothing from outside keeps are collected; their cleanups run before the drop returns, on
    /// the thread that drops it. (If that is a cleanup, or the collector's thread, it ends a little later.) Objects that a root or a pin
    /// still keeps are collected, and their cleanups run, when that is let go of, by who does so: with whatever locks it holds. So
    /// what is said at [`Heap`] of dropping it, and of what a `Drop` may wait for, is true of cleanups as well; and one must not wait for a
    /// thread that is dropping the heap.
    ///
    /// There is no collector then any more: a cleanup that allocates much may find the region full. And a cleanup that is
    /// registered then never runs: else one that registers itself anew would keep the heap for ever.
    ///
    /// Of a heap that is never dropped, nothing is sure at the end of the program.
    ///
    /// ```
    /// use std::sync::mpsc::channel;
    ///
    /// let heap = linchpin::Heap::new();
    /// let (sender, receiver) = channel();
    /// heap.mutate(|mu| {
    ///     let file = mu.alloc("file 7".to_owned());
    ///     mu.on_collect(file, move |_| sender.send("close 7").unwrap());
    /// });
    /// heap.collect();
    /// assert_eq!(receiver.recv(), Ok("close 7"));
    /// ```
    ///
    /// # Panics
    /// If the thread for cleanups has to be started and cannot be.
    pub fn on_collect<T>(&self, gc: Gc<'gc, T>, work: impl FnOnce(&Heap) + Send + 'static) -> Cleanup
    where
        T: ?Sized + Object,
    {
        let core = self.core();
        let cleanups = &core.cleanups;
        let id = cleanups.new_id(core).unwrap_or_else(|refused| refused.panic());
        let target = gc.start().addr().get();
        if !core.has_ended() {
            core.decision.note_weak();
            let job = Job { id, work: Box::new(work) };
            cleanups.part(target).lock().entry(target).or_default().push(job);
        }
        Cleanup { core: Arc::downgrade(&core.shared()), target, id }
    }
}

impl Cleanups {
    /// A number for a new cleanup, which there is a thread for from now on.
    fn new_id(&self, core: &Core) -> Result<u64, NoThread> {
        let mut queue = self.queue.lock();
        if queue.thread.is_none() && !queue.stop {
            let shared = core.shared();
            let thread = thread::Builder::new().name(format!("linchpin-{}-cleanups", core.id));
            let started = thread.spawn(move || serve(&shared));
            queue.thread = Some(started.map_err(|error| NoThread { whose: "for cleanups", error })?);
        }
        queue.last_id += 1;
        Ok(queue.last_id)
    }

    fn part(&self, target: usize) -> &Mutex<Registered> {
        &self.registered[part_of(target, PARTS)]
    }

    fn take(&self, target: usize, id: u64) -> Option<Job> {
        // One lock inside the other, so that it cannot be on its way from here to there.
        let mut registered = self.part(target).lock();
        if let Some(jobs) = registered.get_mut(&target)
            && let Some(index) = jobs.iter().position(|job| job.id == id)
        {
            let job = jobs.remove(index);
            if jobs.is_empty() {
                registered.remove(&target);
            }
            return Some(job);
        }
        let mut queue = self.queue.lock();
        if let Some(index) = queue.due.iter().position(|job| job.id == id) {
            return Some(queue.due.remove(index));
        }
        let index = queue.jobs.iter().position(|job| job.id == id)?;
        queue.jobs.remove(index)
    }

    /// Makes those of dead objects due. After the decision, and before the handshake to `Off`.
    pub(crate) fn take_dead(&self, region: &Region, black: u8) {
        // Relaxed: all marks came before the decision, which has been taken on this thread.
        let is_dead = |target: usize| region.mark(target).load(Ordering::Relaxed) != black;
        for part in &self.registered {
            let mut part = part.lock();
            let dead: Vec<Job> = part.extract_if(|&target, _| is_dead(target)).flat_map(|(_, jobs)| jobs).collect();
            if !dead.is_empty() {
                self.queue.lock().due.extend(dead);
            }
            give_room_back(&mut part, KEPT_ROOM);
        }
    }

    /// Queues what is due. After the sweep.
    pub(crate) fn queue_due(&self) {
        let mut queue = self.queue.lock();
        let due = std::mem::take(&mut queue.due);
        if !due.is_empty() {
            queue.jobs.extend(due);
            self.queued.notify_one();
        }
    }

    /// Runs what is queued, unless somebody is at it already; whether it ran anything.
    pub(crate) fn run_queued(&self, core: &Core) -> bool {
        let mut ran = false;
        let mut queue = self.queue.lock();
        if queue.busy {
            return false;
        }
        queue.busy = true;
        while let Some(job) = queue.jobs.pop_front() {
            drop(queue);
            self.run_one(core, job);
            ran = true;
            queue = self.queue.lock();
        }
        queue.busy = false;
        ran
    }

    fn run_one(&self, core: &Core, job: Job) {
        let heap = Lent::new(core.shared());
        let panicked = contained(|| (job.work)(&heap));
        drop(heap);
        // Relaxed: figures.
        self.run.fetch_add(1, Ordering::Relaxed);
        self.panics.fetch_add(u64::from(panicked), Ordering::Relaxed);
    }

    /// Tells the thread to end when it has run what is queued, and waits for that. Not to be called by it.
    pub(crate) fn stop(&self) {
        let thread = {
            let mut queue = self.queue.lock();
            queue.stop = true;
            queue.thread.take()
        };
        self.queued.notify_one();
        if let Some(thread) = thread {
            // Panics of cleanups are contained.
            let _ = thread.join();
        }
    }

    /// The heap is dropped by a cleanup: its thread, which that is on or waits for, ends the heap when it has run what is queued.
    pub(crate) fn end_heap_on_exit(&self) {
        let mut queue = self.queue.lock();
        queue.stop = true;
        queue.end_heap = true;
        // It ends by itself.
        drop(queue.thread.take());
    }

    /// How many have run, and how many of them have panicked.
    pub(crate) fn figures(&self) -> (u64, u64) {
        (self.run.load(Ordering::Relaxed), self.panics.load(Ordering::Relaxed))
    }
}

/// The thread for cleanups.
fn serve(core: &Arc<Core>) {
    this_thread::set_cleaner_of(core.id);
    let cleanups = &core.cleanups;
    loop {
        cleanups.run_queued(core);
        let mut queue = cleanups.queue.lock();
        while queue.jobs.is_empty() && !queue.stop {
            cleanups.queued.wait(&mut queue);
        }
        if queue.jobs.is_empty() {
            break;
        }
        drop(queue);
    }
    this_thread::set_cleaner_of(0);
    let end_heap = cleanups.queue.lock().end_heap;
    if end_heap && let Err(payload) = core.end_or_leave_it_to_the_collector() {
        // Nobody waits for this thread; the panic hook has told.
        discard(payload);
    }
}
