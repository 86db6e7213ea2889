//! The pacer by itself: numbers in, numbers out.

use std::time::Duration;

use super::Pace;

#[test]
fn a_cycle_starts_when_the_live_heap_has_grown_by_the_target() {
    let pace = Pace::new(50, None, 1 << 40);
    assert!(!pace.allocated((2 << 20) - 1));
    assert!(pace.allocated(1), "two megabytes are half of the minimum of four");
    pace.begin_mark();
    pace.note_births();
    assert!(!pace.allocated(0), "a cycle runs already");
    pace.end_mark();
    assert!(!pace.allocated(100 << 20), "not while the sweep runs");
    assert!(pace.end_sweep(40 << 20, 0, 0), "100 MB came since, 20 MB are allowed");
    pace.begin_mark();
    pace.note_births();
    pace.end_mark();
    assert!(!pace.end_sweep(40 << 20, 0, 0));
    assert!(!pace.allocated((20 << 20) - 1));
    assert!(pace.allocated(1));
    assert_eq!(pace.live(), 40 << 20);
}

#[test]
fn what_is_born_during_a_mark_does_not_count_as_live() {
    let pace = Pace::new(100, None, 1 << 40);
    pace.begin_mark();
    pace.note_births();
    pace.allocated(30 << 20);
    pace.end_mark();
    assert!(!pace.end_sweep(40 << 20, 0, 0));
    assert_eq!(pace.size_and_goal(), (10 << 20, 20 << 20), "10 of the 40 MB were live when the mark began");
    assert_eq!(pace.old(), 10 << 20);
}

/// Who is in `Mark` before the others allocates black, too.
#[test]
fn what_is_born_before_all_are_in_mark_does_not_count_as_live_either() {
    let pace = Pace::new(100, None, 1 << 40);
    pace.begin_mark();
    pace.allocated(5 << 20);
    pace.allocated(20 << 20);
    pace.born_early(20 << 20);
    pace.note_births();
    pace.allocated(10 << 20);
    pace.end_mark();
    pace.end_sweep(40 << 20, 0, 0);
    assert_eq!((pace.live(), pace.old()), (40 << 20, 10 << 20));
    pace.begin_mark();
    pace.note_births();
    pace.end_mark();
    pace.end_sweep(40 << 20, 0, 0);
    assert_eq!(pace.old(), 40 << 20, "that was the cycle before");
}

#[test]
fn a_small_region_is_collected_when_half_of_it_is_used() {
    let pace = Pace::new(100, None, 1 << 20);
    assert!(!pace.allocated((512 << 10) - 1));
    assert!(pace.allocated(1));
}

/// Whatever counts as live, what the last mark found has its place until the next one.
#[test]
fn a_region_has_the_less_room_the_more_was_found_marked() {
    let pace = Pace::new(1000, None, 64 << 20);
    pace.begin_mark();
    pace.allocated(40 << 20);
    pace.born_early(20 << 20);
    pace.note_births();
    pace.allocated(10 << 20);
    pace.end_mark();
    pace.end_sweep(50 << 20, 0, 0);
    assert_eq!(pace.old(), 20 << 20);
    assert!(!pace.allocated((7 << 20) - 1));
    assert!(pace.allocated(1), "half of the 14 MB that are free");
}

#[test]
fn what_objects_own_outside_counts_as_live_and_what_is_reported_does_not() {
    let pace = Pace::new(100, None, 1 << 20);
    pace.allocated_outside(3 << 20, (1 << 20) - 1);
    assert!(!pace.allocated(0));
    assert!(pace.allocated(1), "four megabytes, in whatever memory");
    pace.begin_mark();
    pace.note_births();
    pace.allocated_outside(1 << 20, 1 << 20);
    pace.end_mark();
    pace.allocated_outside(0, 1 << 20);
    // 100 MB are owned when the next mark begins, 80 of them by what lives.
    pace.allocated_outside(96 << 20, 0);
    pace.end_sweep(0, 0, 0);
    pace.begin_mark();
    // A mutation that has not answered yet, whose object dies in this cycle.
    pace.allocated_outside(5 << 20, 0);
    pace.note_births();
    pace.end_mark();
    assert!(!pace.end_sweep(0, 0, 25 << 20));
    assert_eq!(pace.live_outside(), 80 << 20);
    assert_eq!(pace.old(), 80 << 20);
    assert_eq!(pace.outside(), ((3 + 1 + 1 + 1 + 1 + 96 + 5) << 20) - 1, "whatever has become of it");
    pace.allocated_outside(74 << 20, (1 << 20) - 1);
    assert!(!pace.allocated(0), "though it be more than the region holds; 5 MB are for the mark");
    pace.allocated_outside(0, 1);
    assert!(pace.allocated(0));
}

#[test]
fn nonsense_is_survived() {
    let pace = Pace::new(u32::MAX, None, 1 << 20);
    pace.allocated_outside(u64::MAX, u64::MAX);
    assert!(pace.allocated(1));
    pace.begin_mark();
    pace.note_births();
    pace.end_mark();
    assert!(!pace.end_sweep(1 << 20, 0, 0));
    pace.begin_mark();
    pace.note_births();
    pace.end_mark();
    pace.end_sweep(1 << 20, 0, u64::MAX);
    assert_eq!(pace.live_outside(), 0);
}

/// The runway is what was allocated during the last mark, or nearly so if it was longer before; half the growth at most.
#[test]
fn a_cycle_starts_early_enough_to_end_at_the_goal() {
    let pace = Pace::new(100, None, 1 << 40);
    let cycle = |during: u64| {
        pace.begin_mark();
        pace.note_births();
        pace.allocated(during);
        pace.end_mark();
        pace.end_sweep(((40 << 20) + during) as usize, 0, 0);
        let start = (0..).find(|_| pace.allocated(1 << 20)).unwrap();
        let (size, goal) = pace.size_and_goal();
        assert_eq!(goal, 80 << 20);
        assert_eq!(size, (41 + start) << 20);
        39 - start
    };
    assert_eq!(cycle(0), 0);
    assert_eq!(cycle(12 << 20), 12);
    assert_eq!(cycle(8 << 20), 11, "by a quarter of the difference");
    assert_eq!(cycle(16 << 20), 16);
    assert_eq!(cycle(400 << 20), 20, "not before half the way");
}

/// After a mark in which so many megabytes were traced by markers, by assists, and as steps of a small cycle, and 10 were born: how many of
/// these count as live, and how many before the goal the next mark begins. 40 are old, and one was allocated until the snapshot.
fn after_mark(pace: &Pace, by_markers: u64, by_assists: u64, relayed: u64) -> (u64, u64) {
    // That something is small is known from the mark before.
    for [by_markers, by_assists, relayed] in [[3, 0, 0], [by_markers, by_assists, relayed]] {
        pace.begin_mark();
        pace.allocated(1 << 20);
        pace.note_births();
        pace.earn(by_markers << 20);
        pace.assisted(by_assists << 20);
        pace.relayed(relayed << 20);
        pace.allocated(10 << 20);
        pace.end_mark();
        pace.end_sweep((40 + 10) << 20, 0, 0);
    }
    let (live, goal) = pace.size_and_goal();
    let start = (1..).find(|_| pace.allocated(1 << 20)).unwrap();
    ((live >> 20) - 40, ((goal - live) >> 20) - start)
}

/// How long mutations take for a mark says nothing of how long they need.
#[test]
fn a_cycle_starts_later_where_mutations_trace() {
    let after =
        |by_markers, by_assists, relayed| after_mark(&Pace::new(100, None, 1 << 40), by_markers, by_assists, relayed);
    assert_eq!(after(3, 2, 0), (0, 11), "as long as the last one");
    assert_eq!(after(2, 3, 0), (0, 6), "the snapshot, and as many bytes as are traced");
    assert_eq!(after(0, 3, 0), (0, 4));
    assert_eq!(after(0, 30, 0), (0, 11), "no earlier than that");
    assert_eq!(after(0, 0, 0), (0, 11));
    assert_eq!(after(2, 0, 3), (5, 1), "the snapshot; and as much is live as was traced");
    assert_eq!(after(1, 1, 2), (0, 5), "most is by mutations, but half of it not as steps");
    assert_eq!(after(3, 0, 2), (0, 11));
    assert_eq!(after(0, 0, 48), (10, 1), "all that was born");
    assert_eq!(after(0, 0, 49), (0, 11), "that was not small");
}

/// A snapshot that has waited for a long mutation may do so again: a few cycles start earlier for it.
#[test]
fn a_long_snapshot_is_forgotten_by_and_by() {
    let pace = Pace::new(100, None, 1 << 40);
    let start_before_the_goal = |snapshot: u64| {
        pace.begin_mark();
        pace.allocated(snapshot << 20);
        pace.note_births();
        pace.relayed(3 << 20);
        pace.allocated(2 << 20);
        pace.end_mark();
        pace.end_sweep((40 + 2) << 20, 0, 0);
        let (live, goal) = pace.size_and_goal();
        let start = (1..).find(|_| pace.allocated(1 << 20)).unwrap();
        ((goal - live) >> 20) - start
    };
    // That something is small is known from the mark before.
    start_before_the_goal(1);
    assert_eq!([1, 9, 1, 1, 12].map(start_before_the_goal), [1, 9, 7, 5, 12]);
}

/// Where a limit brings the goal nearer, a mark is to have ended there.
#[test]
fn a_small_mark_ends_at_the_goal_where_there_is_a_limit() {
    let pace = Pace::new(100, Some(1 << 40), 1 << 40);
    assert_eq!(after_mark(&pace, 0, 0, 3), (3, 4));
}

#[test]
fn a_mark_is_long_that_traces_more_than_a_few_megabytes() {
    let pace = Pace::new(100, None, 1 << 40);
    assert!(!pace.is_mark_long());
    pace.earn(4 << 20);
    assert!(!pace.is_mark_long());
    pace.earn(1);
    assert!(pace.is_mark_long());
}

/// A small mark is short, however far the goal is, and whatever markers have earned.
#[test]
fn who_takes_the_steps_of_a_small_cycle_traces_what_may_be() {
    let pace = Pace::new(100_000, None, 1 << 40);
    pace.allocated(1 << 20);
    pace.begin_mark();
    pace.earn(1 << 10);
    assert_eq!([0, 1 << 10, 32 << 10, 1 << 20].map(|bytes| pace.relay_for(bytes)), [0, 8 << 10, 256 << 10, 256 << 10]);
    // The goal is 4000 MB away, so that 256 bytes are due, and earned.
    assert_eq!(pace.assist_for(1 << 20), 0, "as for any assist");
    assert_ne!(pace.assist_for(64 << 20), 0);
}

#[test]
fn a_limit_brings_the_goal_nearer_but_not_without_end() {
    let pace = Pace::new(100, Some(100 << 20), 1 << 40);
    let goal_after = |live: usize, span_bytes: usize, during: u64| {
        pace.begin_mark();
        pace.note_births();
        pace.allocated(during);
        pace.end_mark();
        pace.end_sweep(live + during as usize, span_bytes, 0);
        let (_, goal) = pace.size_and_goal();
        (goal as usize - live) >> 10
    };
    assert_eq!(goal_after(20 << 20, 24 << 20, 0), 20 << 10, "the growth target comes first");
    assert_eq!(goal_after(60 << 20, 70 << 20, 0), 30 << 10, "70 of 100 MB are taken by spans");
    assert_eq!(goal_after(99 << 20, 120 << 20, 0), 256, "the least");
    assert_eq!(goal_after(99 << 20, 120 << 20, 5 << 20), 5 << 10, "as much as during the mark");
    pace.set_memory_limit(None);
    assert_eq!(pace.memory_limit(), None);
    assert_eq!(pace.size_and_goal().1, 198 << 20);
    pace.set_memory_limit(Some(180 << 20));
    assert_eq!(pace.memory_limit(), Some(180 << 20));
    assert_eq!(pace.size_and_goal().1, 159 << 20);
}

#[test]
fn settings_hold_from_now_on_but_not_for_a_mark_that_runs() {
    let pace = Pace::new(100, None, 1 << 40);
    assert!(!pace.allocated((2 << 20) - 1));
    pace.set_growth_percent(50);
    assert!(pace.allocated(1));
    pace.begin_mark();
    pace.note_births();
    pace.set_growth_percent(10);
    assert!(!pace.allocated(100 << 20), "a cycle runs already");
    pace.end_mark();
    pace.end_sweep((200 << 20) + (100 << 20), 0, 0);
    assert_eq!(pace.size_and_goal().1, 220 << 20);
}

#[test]
fn who_allocates_faster_than_the_markers_mark_assists() {
    let pace = Pace::new(100, None, 1 << 40);
    // The first mark is expected to be as long as the heap is large.
    pace.allocated(1 << 20);
    pace.begin_mark();
    pace.note_births();
    assert_eq!(pace.assist_for(32 << 10), (32 << 10) / 3, "3 MB to the goal, 1 MB to trace");
    pace.assisted(256 << 10);
    assert_eq!(pace.assist_for(32 << 10), (32 << 10) / 4, "768 kB are left");
    assert_eq!([0, 1 << 10, 8 << 10, 9 << 10].map(|left| pace.worth(32 << 10, left)), [0, 4 << 10, 32 << 10, 32 << 10]);
    assert_eq!(pace.worth(0, 1), 0);
    pace.earn(256 << 10);
    assert_eq!(pace.assist_for(96 << 10), 0, "markers have earned so much");
    assert_eq!(pace.traced(), 512 << 10);
    assert_eq!(pace.assists(), 256 << 10);
    // 16 kB of what was earned were spent: the rest pays for these.
    assert_eq!([(); 3].map(|()| pace.assist_for(3 << 20)), [0; 3]);
    assert_eq!(pace.assist_for(3 << 20), 16 << 10);
    assert_eq!(pace.assist_for(3 << 20), 64 << 10, "a bounded piece at a time");
    // The goal is behind.
    pace.allocated(4 << 20);
    assert_eq!(pace.assist_for(1 << 10), 4 << 10, "four bytes for one at most");
    assert_eq!(pace.worth(1 << 20, 4 << 10), 1 << 10, "however many were not asked for");
    pace.end_mark();
    pace.end_sweep(0, 0, 0);
    // The next mark is expected to be like this one.
    pace.begin_mark();
    pace.note_births();
    pace.allocated(2 << 20);
    assert_eq!(pace.assist_for(32 << 10), (32 << 10) / 4);
}

/// A mark that takes longer than the last one is not taken to be all but through: there is always a sixteenth left.
#[test]
fn who_allocates_in_a_mark_that_takes_longer_goes_on_assisting() {
    let pace = Pace::new(100, None, 1 << 40);
    pace.allocated(1 << 20);
    pace.begin_mark();
    pace.note_births();
    pace.assisted((1 << 20) - 1);
    assert_eq!(pace.assist_for(768 << 10), 16 << 10, "3 MB to the goal, 64 kB to trace");
    pace.assisted(5 << 20);
    assert_eq!(pace.assist_for(768 << 10), 16 << 10);
}

#[test]
fn nonsense_adds_up_to_no_more_than_nonsense() {
    let pace = Pace::new(100, None, 1 << 40);
    for _ in 0..100 {
        pace.begin_mark();
        (0..2000).for_each(|_| pace.allocated_outside(u64::MAX, u64::MAX));
        assert!(!pace.allocated(1), "a cycle runs already");
        pace.end_mark();
        pace.end_sweep(0, 0, 0);
    }
    assert!(pace.outside() < u64::MAX / 2);
}

#[test]
fn mutations_are_calm_that_allocate_little_in_the_time() {
    let pace = Pace::new(100_000, None, 1 << 40);
    let (microseconds, milliseconds) = (Duration::from_micros, Duration::from_millis);
    pace.allocated(1 << 20);
    assert!(pace.is_calm(microseconds(1024)) && !pace.is_calm(microseconds(1023)));
    pace.begin_mark();
    pace.note_births();
    assert!(pace.is_mark_calm(Duration::ZERO));
    pace.allocated(2 << 20);
    assert!(pace.is_mark_calm(microseconds(1024)) && !pace.is_mark_calm(microseconds(1023)), "one of two MiB at once");
    pace.end_mark();
    pace.end_sweep(0, 0, 0);
    assert!(pace.is_calm(Duration::ZERO), "since the last mark");
    pace.allocated_outside(10 << 20, 0);
    assert!(pace.is_calm(milliseconds(11)) && !pace.is_calm(milliseconds(10)), "in whatever memory");
    assert!(pace.is_calm(Duration::MAX));
}

/// A cycle that begins because the region is nearly full has to end soon.
#[test]
fn nobody_is_calm_where_there_is_little_room() {
    let pace = Pace::new(100_000, None, 2 << 20);
    pace.allocated((1 << 20) - 1);
    assert!(pace.is_calm(Duration::MAX));
    pace.allocated(1);
    assert!(!pace.is_calm(Duration::MAX));
}

#[test]
fn who_traces_the_mark_of_a_large_cycle_traces_little_at_a_time() {
    let pace = Pace::new(100, None, 1 << 40);
    assert_eq!([0, 1, 1 << 10, 1 << 20].map(|bytes| pace.short_assist_for(bytes)), [0, 12, 12 << 10, 24 << 10]);
}
