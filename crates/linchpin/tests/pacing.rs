//! The goal of a cycle, the settings it follows from, and what a cycle tells of itself.

use linchpin::{BuildError, CycleCause, DebugSettings, Gc, Heap, HeapStats, Root, Trace};

const MEGABYTE: u64 = 1 << 20;

#[derive(Trace)]
struct Kept<'gc> {
    chunks: Vec<Gc<'gc, [u8; 16 << 10]>>,
}

/// A heap in which about so many megabytes live, after a cycle.
fn heap_with(heap: Heap, megabytes: usize) -> (Heap, Root<Kept<'static>>) {
    let root = heap.mutate(|mu| {
        let chunks = (0..megabytes * 64).map(|_| mu.alloc([1; 16 << 10])).collect();
        mu.root(mu.alloc(Kept { chunks }))
    });
    // The first may have begun already when some of it was born.
    heap.collect();
    heap.collect();
    (heap, root)
}

fn megabytes(bytes: u64) -> u64 {
    (bytes + MEGABYTE / 2) / MEGABYTE
}

#[test]
fn the_goal_follows_from_what_lives_and_the_growth_target() {
    let (heap, root) = heap_with(Heap::builder().growth_percent(50).build().unwrap(), 20);
    let goal = |heap: &Heap| megabytes(heap.stats().goal_bytes);
    assert_eq!((megabytes(heap.stats().size_bytes), goal(&heap)), (20, 30));
    heap.set_growth_percent(200).unwrap();
    assert_eq!(goal(&heap), 60);
    assert_eq!((heap.growth_percent(), heap.stats().growth_percent), (200, 200));
    drop(root);
    heap.collect();
    assert_eq!((megabytes(heap.stats().size_bytes), goal(&heap)), (0, 8), "as if four megabytes lived");
}

#[test]
fn a_memory_limit_brings_the_goal_nearer() {
    let (heap, _root) = heap_with(Heap::builder().memory_limit(30 << 20).build().unwrap(), 20);
    let goal = |heap: &Heap| heap.stats().goal_bytes;
    // Spans take a little more than what lives.
    assert!((28 * MEGABYTE..=30 * MEGABYTE).contains(&goal(&heap)), "{}", goal(&heap));
    heap.set_memory_limit(None).unwrap();
    assert_eq!(megabytes(goal(&heap)), 40);
    heap.set_memory_limit(Some(1 << 20)).unwrap();
    assert!(
        goal(&heap) >= heap.stats().size_bytes + 256 * 1024,
        "however far it is exceeded, there is something to allocate"
    );
    assert_eq!((heap.memory_limit(), heap.stats().memory_limit), (Some(1 << 20), Some(1 << 20)));
    heap.set_memory_limit(Some(1 << 40)).unwrap();
    assert_eq!(megabytes(goal(&heap)), 40);
}

/// Far beyond the limit a program still gets on: it is not all cycles.
#[test]
fn a_heap_beyond_its_limit_goes_on() {
    let (heap, root) = heap_with(Heap::builder().memory_limit(2 << 20).build().unwrap(), 16);
    let before = heap.stats().cycles;
    for _ in 0..400 {
        heap.mutate(|mu| (0..100).for_each(|number: u64| _ = mu.alloc([number; 64])));
    }
    let cycles = heap.stats().cycles - before;
    assert!(cycles <= 20_480_000 / (256 << 10) + 1, "{cycles} cycles for 20 MB");
    heap.mutate(|mu| assert!(root.get(mu).chunks.iter().all(|chunk| chunk.iter().all(|&byte| byte == 1))));
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let small = BuildError::MemoryLimitTooSmall { requested: (1 << 20) - 1, min: 1 << 20 };
    assert_eq!(Heap::builder().memory_limit((1 << 20) - 1).build().unwrap_err(), small);
    let heap = Heap::builder().memory_limit(1 << 20).build().unwrap();
    assert_eq!(heap.set_memory_limit(Some((1 << 20) - 1)), Err(small.clone()));
    assert_eq!(heap.memory_limit(), Some(1 << 20), "what is refused changes nothing");
    assert_eq!(heap.set_growth_percent(0), Err(BuildError::ZeroGrowth));
    let large = BuildError::GrowthTooLarge { requested: 100_001, max: 100_000 };
    assert_eq!(heap.set_growth_percent(100_001), Err(large));
    assert_eq!(heap.growth_percent(), 100);
    assert!(small.to_string().contains("1048575 bytes is too small"), "{small}");
}

#[test]
fn a_cycle_tells_what_it_has_done() {
    let settings = DebugSettings::new().gctrace(true);
    assert_eq!(settings.to_string(), "gctrace");
    let heap = Heap::builder().debug(settings).build().unwrap();
    assert_eq!(heap.stats().last_cycle, None);
    let root = heap.mutate(|mu| {
        for _ in 0..64 {
            mu.alloc([0_u8; 16 << 10]);
        }
        mu.root(mu.alloc(Kept { chunks: vec![mu.alloc([1; 16 << 10])] }))
    });
    heap.collect();
    let HeapStats { last_cycle, assisted_bytes, .. } = heap.stats();
    let report = last_cycle.expect("a cycle has ended");
    assert_eq!((report.cycle, report.cause), (1, CycleCause::Asked));
    assert!(report.size_at_start >= MEGABYTE && report.live < MEGABYTE / 4, "{report:?}");
    assert!((16..=64).contains(&report.traced_bytes), "one object with pointers, and not its chunk: {report:?}");
    assert_eq!((report.assisted_bytes, assisted_bytes), (0, 0));
    let line = report.to_string();
    assert!(line.starts_with("cycle 1 (asked) at ") && line.ends_with(" marker"), "{line}");
    drop(root);
}
