//! Which process this is.
//!
//! The number that the system gives a process is not enough to know it by: when the process has ended, it may be that of a
//! later one, a grandchild of its own among them. So each process takes a number itself, when it first asks for one, which none
//! of its ancestors has. It lies in a page that the kernel empties in a forked child, and comes from a counter that a child
//! inherits. A child finds the page empty and takes the next number. Siblings, and others of whom neither descends from the
//! other, may well take the same one; they cannot have got anything from each other to compare it with.
//!
//! Where the kernel refuses such a page (before Linux 4.14, or if it has no memory for one), the system's number is all there
//! is.

use std::ptr;

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

use crate::sync::{Ordering, StaticAtomicPtr, StaticAtomicU64};

/// The number that this process or an ancestor of it took last.
static LAST_TAKEN: StaticAtomicU64 = StaticAtomicU64::new(0);

/// Where this process's number lies, 0 before it has taken one; null before anybody has asked, [`REFUSED`] if there is no
/// such place. Not a `OnceLock`: a process may be forked while another thread makes the page, and its child must not wait for
/// that.
static PLACE: StaticAtomicPtr<StaticAtomicU64> = StaticAtomicPtr::new(ptr::null_mut());

/// A pointer to nothing that is not null.
const REFUSED: *mut StaticAtomicU64 = ptr::dangling_mut();

/// A process, as opposed to its ancestors and descendants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    /// The system's number. It is compared, too: for where the other one is missing, and since a fork that comes while
    /// another thread takes the first number may copy the page of the counter before that, and what the thread went on to
    /// make afterwards.
    system: u32,
    /// The number taken; 0 if there is no place for one.
    taken: u64,
}

impl Process {
    /// This one. A call of the system: not for where it matters how long that takes.
    pub(crate) fn this() -> Self {
        Self { system: std::process::id(), taken: number_of_this() }
    }
}

fn number_of_this() -> u64 {
    let Some(place) = place() else { return 0 };
    // Relaxed, all of them: a number orders nothing, and each atomic by itself keeps it from being two, or two's. In a child the
    // fork has ordered everything before.
    let number = place.load(Ordering::Relaxed);
    if number != 0 {
        return number;
    }
    let next = LAST_TAKEN.fetch_add(1, Ordering::Relaxed) + 1;
    match place.compare_exchange(0, next, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => next,
        Err(faster) => faster,
    }
}

/// The place that is empty in every new process.
fn place() -> Option<&'static StaticAtomicU64> {
    // Acquire: pairs with the release below; the page is there.
    let mut place = PLACE.load(Ordering::Acquire);
    if place.is_null() {
        let made = make_place().unwrap_or(REFUSED);
        // Release: pairs with the acquire above. Acquire on failure: pairs with the release of who was faster.
        place = match PLACE.compare_exchange(ptr::null_mut(), made, Ordering::Release, Ordering::Acquire) {
            Ok(_) => made,
            Err(faster) => {
                if made != REFUSED {
                    unmake_place(made);
                }
                faster
            }
        };
    }
    // SAFETY: a page that was published is never unmapped; zeroed memory is an atomic of 0.
    (place != REFUSED).then(|| unsafe { &*place })
}

fn make_place() -> Option<*mut StaticAtomicU64> {
    // SAFETY: an anonymous private mapping at an address of the kernel's choice overlaps nothing.
    let page =
        unsafe { mmap_anonymous(ptr::null_mut(), page_size(), ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE) };
    let page = page.ok()?.cast::<StaticAtomicU64>();
    // SAFETY: the page was mapped above; it holds nothing yet.
    if unsafe { madvise(page.cast(), page_size(), Advice::LinuxWipeOnFork) }.is_err() {
        unmake_place(page);
        return None;
    }
    Some(page)
}

/// Unmaps a page that nobody else has been told of.
fn unmake_place(page: *mut StaticAtomicU64) {
    // SAFETY: it was mapped by `make_place`, and nobody has its address. Should it be refused, a page stays.
    let _ = unsafe { munmap(page.cast(), page_size()) };
}

fn page_size() -> usize {
    rustix::param::page_size()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    /// Forks, and gives the number that the child reports, by a pipe.
    fn in_child(child: impl FnOnce() -> u64) -> u64 {
        let mut ends = [0; 2];
        let mut number = [0; size_of::<u64>()];
        // SAFETY: the calls are given memory that lives meanwhile. The child, of a process of many threads, calls the system and
        // uses atomics, takes no lock, and leaves by `_exit`.
        unsafe {
            assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
            match libc::fork() {
                -1 => panic!("fork is refused: {}", std::io::Error::last_os_error()),
                0 => {
                    libc::alarm(60);
                    // A panic must not get back into the parent's frames.
                    let number = catch_unwind(AssertUnwindSafe(child)).unwrap_or(0).to_ne_bytes();
                    let written = libc::write(ends[1], number.as_ptr().cast(), number.len());
                    libc::_exit(i32::from(written != number.len() as isize));
                }
                pid => {
                    let read = libc::read(ends[0], number.as_mut_ptr().cast(), number.len());
                    let mut status = 0;
                    assert_eq!(libc::waitpid(pid, &raw mut status, 0), pid);
                    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "the child failed: {status}");
                    assert_eq!(read, number.len() as isize);
                    ends.into_iter().for_each(|end| assert_eq!(libc::close(end), 0));
                }
            }
        }
        u64::from_ne_bytes(number)
    }

    /// Without the system's numbers, which may be used again, each process of a line is another.
    #[test]
    fn no_process_has_the_number_of_an_ancestor() {
        assert_ne!(number_of_this(), 0, "the kernel refuses a page that is wiped on fork");
        assert_eq!(number_of_this(), number_of_this());
        assert_eq!(Process::this(), Process::this());
        let own = number_of_this();
        let child = in_child(|| {
            let number = number_of_this();
            if number_of_this() == number { number } else { 0 }
        });
        // Whose parent has taken a number, and whose parent has not.
        let grandchild = in_child(|| {
            let parent = number_of_this();
            let number = in_child(number_of_this);
            if number == parent { 0 } else { number }
        });
        let of_silent_parent = in_child(|| in_child(number_of_this));
        for other in [child, grandchild, of_silent_parent] {
            assert_ne!(other, 0, "no number, or that of its parent");
            assert_ne!(other, own, "that of an ancestor");
        }
        assert_eq!(number_of_this(), own, "the children have taken it from this process");
    }

    /// A heap looks at the number, not at the system's alone.
    #[test]
    fn a_process_is_not_known_by_the_systems_number_alone() {
        let this = Process::this();
        assert_ne!(this, Process { taken: this.taken + 1, ..this });
        assert_ne!(this, Process { system: this.system + 1, ..this });
    }
}
