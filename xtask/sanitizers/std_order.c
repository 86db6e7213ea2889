/* What the thread sanitizer cannot see of Rust's standard library, told to it.
 *
 * The sanitizer sees what is compiled with it. The standard library's generic and inlined functions are, in the crates that
 * use them; the rest comes compiled, without it, and what is ordered there looks unordered. Each function here stands
 * before one of those (the linker's --wrap), calls it, and says what it orders. A suppression would keep real races quiet,
 * too; so only what cannot be told here has one (tsan.supp).
 *
 * What is told is never more than what the standard library promises in its documentation, but for one thing that is said
 * at its place. The program `planted.rs` has a race beside each of these orders, and the task fails unless the
 * sanitizer still reports it.
 *
 * The mangled names, which change with the toolchain, are found and defined by the task. They take and return words only,
 * for which Rust's convention is C's.
 */

#include <stdint.h>

void __tsan_acquire(void *address);
void __tsan_release(void *address);

/* A thread that is given up last in a scope is waited for by the scope, through a counter in the standard library:
 * `std::thread::scope` loads it in code that the sanitizer sees, the thread lowers it in code that it does not. The counter is
 * one of the first three words of what both share; words nobody loads order nothing. */
void __real_SCOPED_THREAD_ENDS(uintptr_t *shared, _Bool panicked);
void __wrap_SCOPED_THREAD_ENDS(uintptr_t *shared, _Bool panicked) {
    for (int word = 0; word < 3; word++)
        __tsan_release(&shared[word]);
    __real_SCOPED_THREAD_ENDS(shared, panicked);
}

/* `std::sync::Mutex`: taking it is seen, unless there was a wait for it. Giving it back is always seen. */
void __real_MUTEX_LOCK_CONTENDED(void *mutex);
void __wrap_MUTEX_LOCK_CONTENDED(void *mutex) {
    __real_MUTEX_LOCK_CONTENDED(mutex);
    __tsan_acquire(mutex);
}

/* `std::sync::Condvar`: a wait gives the mutex back and takes it again, unseen. */
void __real_CONDVAR_WAIT(void *condvar, void *mutex);
void __wrap_CONDVAR_WAIT(void *condvar, void *mutex) {
    __tsan_release(mutex);
    __real_CONDVAR_WAIT(condvar, mutex);
    __tsan_acquire(mutex);
}

/* `std::sync::Barrier`: what is done before a wait comes before what is done after the waits of the others. */
uintptr_t __real_BARRIER_WAIT(void *barrier);
uintptr_t __wrap_BARRIER_WAIT(void *barrier) {
    __tsan_release(barrier);
    uintptr_t leader = __real_BARRIER_WAIT(barrier);
    __tsan_acquire(barrier);
    return leader;
}

/* `std::sync::Once`, and with it `OnceLock` and `LazyLock`: what the closure did comes before every later look. That look is
 * seen, if the closure has run; the end of the closure is not. So the closure is wrapped: a `dyn FnMut` is a
 * pointer, and a table of drop, size, alignment, `call_once` and `call_mut`. */
struct table {
    void *drop;
    uintptr_t size, alignment;
    void (*call_once)(void *closure, void *state);
    void (*call_mut)(void *closure, void *state);
};
struct wrapped {
    void *closure;
    const struct table *table;
    void *once;
};
static void call_and_tell(void *closure, void *state) {
    struct wrapped *wrapped = closure;
    wrapped->table->call_mut(wrapped->closure, state);
    __tsan_release(wrapped->once);
}
void __real_ONCE_CALL(void *once, _Bool even_if_poisoned, void *closure, const struct table *table);
void __wrap_ONCE_CALL(void *once, _Bool even_if_poisoned, void *closure, const struct table *table) {
    static const struct table telling = {0, sizeof(struct wrapped), sizeof(void *), 0, call_and_tell};
    struct wrapped wrapped = {closure, table, once};
    __real_ONCE_CALL(once, even_if_poisoned, &wrapped, &telling);
    __tsan_acquire(once);
}

/* `std::sync::Arc`: whoever gives one up lowers a counter with a release; the last one then passes an acquire fence, and so
 * comes after all others. The sanitizer knows no fences. By the rules of C and Rust a fence after a read acquires what was
 * released to what was read; here a fence acquires from the word that its thread has just lowered to 0. That is more than the
 * rules say in one case: a release to the same word between that read and the fence. After the last owner there is none. */
static _Thread_local uint64_t *given_up;

uint64_t __real___tsan_atomic64_fetch_sub(uint64_t *word, uint64_t by, int order);
uint64_t __wrap___tsan_atomic64_fetch_sub(uint64_t *word, uint64_t by, int order) {
    uint64_t was = __real___tsan_atomic64_fetch_sub(word, by, order);
    given_up = was == by ? word : 0;
    return was;
}

void __real___tsan_atomic_thread_fence(int order);
void __wrap___tsan_atomic_thread_fence(int order) {
    __real___tsan_atomic_thread_fence(order);
    if (order != __ATOMIC_RELEASE && given_up)
        __tsan_acquire(given_up);
    given_up = 0;
}
