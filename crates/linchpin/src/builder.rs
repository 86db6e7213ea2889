//! Describing a heap before it is made.

use std::time::Duration;

use crate::collector::mark_helpers;
use crate::collector::pacer::Pace;
use crate::error::BuildError;
use crate::heap::Heap;
use crate::long_mutations::{LongMutation, LongMutations};
use crate::memory::region::{MAX_REGION, Region};
use crate::pin::leak::{self, PinLeak};
use crate::processor::acquire::check_count;
use crate::sync::{Arc, thread};
use crate::verify::findings::{FindingHook, VerifyFinding};
use crate::verify::settings::{self, DebugSettings};

/// The largest growth target, in percent.
const MAX_GROWTH: u32 = 100_000;
/// The smallest memory limit, in bytes.
const LEAST_MEMORY_LIMIT: usize = 1 << 20;
/// The smallest region chosen by default, in bytes.
const DEFAULT_REGION: usize = 64 << 30;
/// The default region is halved down to this size, in bytes, if the system refuses a larger one.
const LEAST_DEFAULT_REGION: usize = 1 << 30;

/// Told of a leak of pins.
pub(crate) type LeakHook = Arc<dyn Fn(&PinLeak) + Send + Sync>;

/// What stays as the builder set it.
pub(crate) struct Config {
    pub(crate) pinner_cache: bool,
    pub(crate) leak_hook: LeakHook,
    pub(crate) debug: settings::Resolved,
}

/// Describes a heap; made by [`Heap::builder`].
///
/// ```
/// use linchpin::{BuildError, Heap};
///
/// let heap = Heap::builder().processors(4).growth_percent(200).region_size(1 << 30).build()?;
/// assert_eq!(heap.processors(), 4);
/// assert_eq!(Heap::builder().processors(0).build().unwrap_err(), BuildError::ZeroProcessors);
/// # Ok::<(), BuildError>(())
/// ```
#[must_use]
pub struct HeapBuilder {
    processors: Option<usize>,
    growth_percent: u32,
    memory_limit: Option<usize>,
    region_size: Option<usize>,
    huge_pages: bool,
    populate: usize,
    pinner_cache: bool,
    leak_hook: Option<LeakHook>,
    debug: DebugSettings,
    finding_hook: Option<FindingHook>,
    long_mutations: LongMutations,
}

impl HeapBuilder {
    pub(crate) fn new() -> Self {
        Self {
            processors: None,
            growth_percent: 100,
            memory_limit: None,
            region_size: None,
            huge_pages: false,
            populate: 0,
            pinner_cache: true,
            leak_hook: None,
            debug: DebugSettings::new(),
            finding_hook: None,
            long_mutations: LongMutations::default(),
        }
    }

    /// How many mutations may run at once, from 1 to 1024; by default as many as the machine has cores.
    pub fn processors(mut self, count: usize) -> Self {
        self.processors = Some(count);
        self
    }

    /// By how many percent of the live heap the heap grows until the next mark has ended, like Go's GOGC: 100 by
    /// default, from 1 to 100000. Less saves memory, more saves work. (A cycle starts early enough for that; what mutations allocate
    /// beyond it while the mark runs, they pay for by marking themselves. Where they run on all cores, and the heap is small, they do all of it,
    /// and begin when the heap has grown so much.) [`Heap::set_growth_percent`] changes it.
    pub fn growth_percent(mut self, percent: u32) -> Self {
        self.growth_percent = percent;
        self
    }

    /// So many bytes are to be in use at most, by spans and by what objects own outside the heap, like Go's GOMEMLIMIT: when they come
    /// near it, cycles start sooner than the growth target asks for, and what is free beyond it is returned to the operating system at once.
    /// No limit by default; at least a megabyte.
    /// [`Heap::set_memory_limit`] changes it.
    ///
    /// The limit is soft. If more than that lives, the heap goes beyond it rather than do nothing but mark: at least as much is
    /// allocated between two cycles as was during the last one. A hard limit is the [region's size](Self::region_size).
    ///
    /// ```
    /// use linchpin::Heap;
    ///
    /// let heap = Heap::builder().growth_percent(400).memory_limit(512 << 20).build()?;
    /// assert_eq!(heap.memory_limit(), Some(512 << 20));
    /// heap.set_memory_limit(None)?;
    /// # Ok::<(), linchpin::BuildError>(())
    /// ```
    pub fn memory_limit(mut self, bytes: usize) -> Self {
        self.memory_limit = Some(bytes);
        self
    }

    /// The size of the heap's region in bytes: the most that objects can ever take up. It is address space, and costs
    /// memory only as it is used. By default four times the machine's memory, at least 64 GiB (less if the
    /// system refuses); from 1 MiB to 32 TiB, rounded up to 64 KiB.
    pub fn region_size(mut self, bytes: usize) -> Self {
        self.region_size = Some(bytes);
        self
    }

    /// Whether the operating system is asked to back objects and their mark bytes with huge pages (Linux: `MADV_HUGEPAGE`; of 2 MiB where others have
    /// 4 KiB): false by default. Where it has none, or is set never to give any, nothing changes.
    ///
    /// In a large heap whose objects are visited at random most of the time goes into finding out where memory is, and less of it does with
    /// huge pages. The price is that a huge page is filled with zeros as a whole when it is first touched, in the midst of an allocation: a
    /// fraction of a millisecond, or several where a machine is a virtual one whose host has to find the memory first. So it is best to
    /// [`populate`](Self::populate) as much as the heap will need. What is returned to the system goes in pieces that are smaller: of a huge page of which
    /// only a part was returned the system may have the memory back late, and may fill the rest up again in the background.
    ///
    /// ```
    /// use linchpin::Heap;
    ///
    /// let heap = Heap::builder().huge_pages(true).populate(16 << 20).build()?;
    /// assert!(heap.stats().resident_bytes >= 16 << 20);
    /// # Ok::<(), linchpin::BuildError>(())
    /// ```
    pub fn huge_pages(mut self, on: bool) -> Self {
        self.huge_pages = on;
        self
    }

    /// So many bytes of the region, rounded up to 64 KiB, have their memory from the start, and their mark bytes, a sixteenth of that, too: 0 by default. No
    /// allocation waits then for the operating system to give a page and fill it with zeros. It takes the time that takes to build the heap, and its
    /// memory from then on. On a machine with several nodes it is that of the node whose thread builds the heap.
    ///
    /// What is returned to the system in the background leaves the heap as many bytes as that, those in use among them. [`Heap::return_memory`] returns all that is free, and a
    /// [memory limit](Self::memory_limit) as much as it asks for.
    pub fn populate(mut self, bytes: usize) -> Self {
        self.populate = bytes;
        self
    }

    /// Whether each processor caches one inner pinner (see [`Pinner`](crate::Pinner)): true by default. Off, every
    /// first pin makes a new one; that is for measuring what the cache is worth.
    pub fn pinner_cache(mut self, on: bool) -> Self {
        self.pinner_cache = on;
        self
    }

    /// What to do when pins are leaked: see [`PinLeak`] for the causes. By default a report is printed, and
    /// a [`Pinner`](crate::Pinner) that was swept with pins outstanding aborts the process.
    ///
    /// The hook may be called on the collector's thread; it must not call [`Heap::collect`].
    ///
    /// If it panics, the leak is printed instead. For a swept pinner the panic ends there, and is counted in
    /// [`HeapStats::drop_panics`](crate::HeapStats::drop_panics): there is no caller whom it would reach. When the heap is
    /// dropped, the hook is told of all the leaks, and then the first panic goes on out of the drop (unless that thread
    /// unwinds already, or is the collector's).
    pub fn on_pin_leak(mut self, hook: impl Fn(&PinLeak) + Send + Sync + 'static) -> Self {
        self.leak_hook = Some(Arc::new(hook));
        self
    }

    /// Switches that make the heap verify itself and disturb it; what is not set here may be set by the environment variable
    /// `LINCHPIN`.
    pub fn debug(mut self, settings: DebugSettings) -> Self {
        self.debug = settings;
        self
    }

    /// What to do when the verifier finds something ([`DebugSettings::verify`], [`DebugSettings::poison`]). By default a report
    /// is printed, and the process ends unless it is a mere suspicion
    /// ([`UnreportedPointer`](crate::FindingKind::UnreportedPointer) without [`Verify::Strict`](crate::Verify::Strict)).
    ///
    /// The hook may be called on the collector's thread or inside an allocation; it must not use the heap. When it returns, the
    /// heap goes on.
    ///
    /// If it panics, the finding is printed and the process ends, whatever the finding is: there is nobody whom the panic could
    /// reach on the collector's thread, and a heap that went on would have the panic of a test's hook come to nothing. To have
    /// a test fail in good order, let the hook note what it is told, and look at the notes at the end of the test.
    pub fn on_finding(mut self, hook: impl Fn(&VerifyFinding) + Send + Sync + 'static) -> Self {
        self.finding_hook = Some(Arc::new(hook));
        self
    }

    /// When a mutation delays a cycle for longer than this, a report is printed that names the caller of
    /// [`mutate`](Heap::mutate); once for each mutation and time the cycle waits for it. By default nothing is printed.
    ///
    /// The longest such delay is in [`HeapStats::longest_delay`](crate::HeapStats::longest_delay) in any case.
    pub fn long_mutation_limit(mut self, limit: Duration) -> Self {
        self.long_mutations.limit = Some(limit);
        self
    }

    /// Who is told of long mutations instead; asks for [`long_mutation_limit`](Self::long_mutation_limit).
    ///
    /// The hook is called on the collector's thread, in the middle of a cycle: it must not use the heap. If it panics, that
    /// goes no further.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let heap = linchpin::Heap::builder()
    ///     .long_mutation_limit(Duration::from_millis(10))
    ///     .on_long_mutation(|long| eprintln!("{} took its time", long.caller))
    ///     .build()?;
    /// # Ok::<(), linchpin::BuildError>(())
    /// ```
    pub fn on_long_mutation(mut self, hook: impl Fn(&LongMutation) + Send + Sync + 'static) -> Self {
        self.long_mutations.hook = Some(Arc::new(hook));
        self
    }

    /// Makes the heap.
    ///
    /// # Errors
    /// If a setting, here or in the environment variable `LINCHPIN`, is unknown or out of its range, or the operating
    /// system refuses to reserve the region, or the memory that is to be [populated](Self::populate). (Where a control group has no more to give, it
    /// rather ends a process.)
    pub fn build(self) -> Result<Heap, BuildError> {
        let processors =
            self.processors.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from).min(1024));
        check_count(processors)?;
        check_growth(self.growth_percent)?;
        check_memory_limit(self.memory_limit)?;
        let environment = std::env::var_os(settings::VARIABLE);
        let debug = settings::resolve(self.debug, environment.as_deref()).map_err(BuildError::DebugSetting)?;
        let mut region = match self.region_size {
            Some(bytes) => Region::reserve(bytes)?,
            None => reserve_default()?,
        };
        if self.huge_pages {
            region.ask_for_huge_pages();
        }
        region.populate(self.populate)?;
        let pace = Pace::new(self.growth_percent, self.memory_limit, region.bytes());
        let config = Config {
            pinner_cache: self.pinner_cache,
            leak_hook: self.leak_hook.unwrap_or_else(|| Arc::new(leak::default_hook)),
            debug,
        };
        debug_assert!(mark_helpers(processors) < processors);
        Ok(Heap::from_parts(config, pace, processors, region, self.finding_hook, self.long_mutations))
    }
}

/// Whether a growth target is one.
pub(crate) fn check_growth(percent: u32) -> Result<(), BuildError> {
    match percent {
        0 => Err(BuildError::ZeroGrowth),
        1..=MAX_GROWTH => Ok(()),
        _ => Err(BuildError::GrowthTooLarge { requested: percent, max: MAX_GROWTH }),
    }
}

/// Whether a memory limit is one.
pub(crate) fn check_memory_limit(bytes: Option<usize>) -> Result<(), BuildError> {
    match bytes {
        Some(bytes) if bytes < LEAST_MEMORY_LIMIT => {
            Err(BuildError::MemoryLimitTooSmall { requested: bytes, min: LEAST_MEMORY_LIMIT })
        }
        _ => Ok(()),
    }
}

fn reserve_default() -> Result<Region, BuildError> {
    let info = rustix::system::sysinfo();
    let memory = (info.totalram as usize).saturating_mul(info.mem_unit as usize);
    let mut bytes = memory.saturating_mul(4).clamp(DEFAULT_REGION, MAX_REGION);
    loop {
        match Region::reserve(bytes) {
            Err(BuildError::ReserveFailed { .. }) if bytes / 2 >= LEAST_DEFAULT_REGION => bytes /= 2,
            outcome => return outcome,
        }
    }
}

impl std::fmt::Debug for HeapBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HeapBuilder")
            .field("processors", &self.processors)
            .field("growth_percent", &self.growth_percent)
            .field("memory_limit", &self.memory_limit)
            .field("region_size", &self.region_size)
            .field("huge_pages", &self.huge_pages)
            .field("populate", &self.populate)
            .field("pinner_cache", &self.pinner_cache)
            .field("leak_hook", &self.leak_hook.as_ref().map(|_| ".."))
            .field("debug", &self.debug)
            .field("finding_hook", &self.finding_hook.as_ref().map(|_| ".."))
            .field("long_mutation_limit", &self.long_mutations.limit)
            .finish()
    }
}
