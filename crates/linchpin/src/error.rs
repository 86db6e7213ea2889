//! What can go wrong, as types.

use std::fmt;

/// Why a [`Heap`](crate::Heap) could not be built or reconfigured.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// A heap needs at least one processor, else no mutation could ever run.
    ZeroProcessors,
    /// More processors were asked for than a heap can have.
    TooManyProcessors {
        /// The number asked for.
        requested: usize,
        /// The most a heap can have.
        max: usize,
    },
    /// A growth target of zero percent would mean a cycle for every allocation.
    ZeroGrowth,
    /// The growth target is beyond any use.
    GrowthTooLarge {
        /// The percentage asked for.
        requested: u32,
        /// The largest that is accepted.
        max: u32,
    },
    /// The memory limit is too small for even a few spans.
    MemoryLimitTooSmall {
        /// The limit asked for, in bytes.
        requested: usize,
        /// The smallest that is accepted, in bytes.
        min: usize,
    },
    /// The region is too small to hold even a few spans.
    RegionTooSmall {
        /// The size asked for, in bytes.
        requested: usize,
        /// The smallest that is accepted, in bytes.
        min: usize,
    },
    /// The region is larger than the address space can offer.
    RegionTooLarge {
        /// The size asked for, in bytes.
        requested: usize,
        /// The largest that is accepted, in bytes.
        max: usize,
    },
    /// The operating system refused to reserve the address space.
    ReserveFailed {
        /// The address space asked for, side metadata included, in bytes.
        bytes: usize,
        /// The operating system's error number.
        errno: i32,
    },
    /// More memory is to be populated than the region has.
    PopulateTooLarge {
        /// The size asked for, in bytes.
        requested: usize,
        /// The region's size, in bytes.
        max: usize,
    },
    /// The operating system refused the pages that were to be populated.
    PopulateFailed {
        /// How many bytes it was asked for when it refused: those of objects, or of their mark bytes.
        bytes: usize,
        /// The operating system's error number.
        errno: i32,
    },
    /// A debug setting is not known or has a bad value; see [`DebugSettings`](crate::DebugSettings).
    DebugSetting(SettingError),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DebugSetting(error) => error.fmt(f),
            Self::ZeroProcessors => {
                write!(f, "a heap with zero processors could never run a mutation; ask for at least one")
            }
            Self::TooManyProcessors { requested, max } => write!(
                f,
                "{requested} processors asked for, but a heap has at most {max}; \
                 more than the machine has cores rarely helps"
            ),
            Self::ZeroGrowth => {
                write!(f, "a growth target of 0 % would start a cycle at every allocation; 100 is usual")
            }
            Self::GrowthTooLarge { requested, max } => {
                write!(f, "a growth target of {requested} % is above the limit of {max} %")
            }
            Self::MemoryLimitTooSmall { requested, min } => {
                write!(f, "a memory limit of {requested} bytes is too small; the smallest is {min} bytes")
            }
            Self::RegionTooSmall { requested, min } => {
                write!(f, "a region of {requested} bytes is too small; the smallest is {min} bytes")
            }
            Self::RegionTooLarge { requested, max } => {
                write!(f, "a region of {requested} bytes is too large; the largest is {max} bytes")
            }
            Self::ReserveFailed { bytes, errno } => write!(
                f,
                "the operating system refused to reserve {bytes} bytes of address space \
                 (error {errno}); choose a smaller region_size or raise the limit (ulimit -v)"
            ),
            Self::PopulateTooLarge { requested, max } => write!(
                f,
                "{requested} bytes cannot be populated in a region of {max}; populate less or choose a larger region_size"
            ),
            Self::PopulateFailed { bytes, errno } => write!(
                f,
                "the operating system refused to populate {bytes} bytes (error {errno}); populate less, or see whether \
                 the machine, or the process's control group, has so much memory to spare"
            ),
        }
    }
}

impl std::error::Error for BuildError {}

/// What is wrong with a debug setting, given by the builder or by the environment variable `LINCHPIN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingError {
    setting: String,
    problem: String,
}

impl SettingError {
    pub(crate) fn new(setting: &str, problem: &str) -> Self {
        Self { setting: setting.to_owned(), problem: problem.to_owned() }
    }

    pub(crate) fn bad_value(setting: &str, value: &str, expected: &str) -> Self {
        Self::new(setting, &format!("has the value `{value}`, but takes {expected}"))
    }

    /// The name of the setting.
    #[must_use]
    pub fn setting(&self) -> &str {
        &self.setting
    }
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the debug setting `{}` (environment variable LINCHPIN, or HeapBuilder::debug) {}; the settings are verify, \
             verify=strict, poison, collect_every=N, delay_handshakes=MICROSECONDS, move_mutations, seed=N and gctrace, with commas \
             between them",
            self.setting, self.problem
        )
    }
}

impl std::error::Error for SettingError {}

/// The region has no room for an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfMemory {
    /// The size of the object that found no room, in bytes, its slice header included.
    pub requested_bytes: usize,
    /// The size of the heap's region, in bytes.
    pub region_bytes: usize,
}

impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the heap's region of {} bytes has no room for an object of {} bytes; drop roots or \
             unpin and let a cycle run between mutations (Heap::collect), or build the heap with a \
             larger region_size",
            self.region_bytes, self.requested_bytes
        )
    }
}

impl std::error::Error for OutOfMemory {}

/// A failed allocation, with the value that found no room.
pub struct AllocError<T> {
    /// The value that was to be allocated.
    pub value: T,
    /// Why it was not.
    pub reason: OutOfMemory,
}

impl<T> From<AllocError<T>> for OutOfMemory {
    /// Drops the value.
    fn from(error: AllocError<T>) -> Self {
        error.reason
    }
}

impl<T> fmt::Debug for AllocError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AllocError").field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl<T> fmt::Display for AllocError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl<T> std::error::Error for AllocError<T> {}
