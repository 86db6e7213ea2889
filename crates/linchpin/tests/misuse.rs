//! Wrong use: settings that cannot be, calls in the wrong place, handles of the wrong heap. Each
//! gets a clear error, and the heap goes on as if nothing had been asked of it.

#![cfg(not(loom))]

mod common;

use common::{Triple, churn, panic_text};
use linchpin::{BuildError, Heap, Pinner};

fn heap_of(processors: usize) -> Heap {
    Heap::builder().processors(processors).build().expect("a valid number of processors")
}

#[test]
fn a_collect_inside_a_mutation_is_refused() {
    let heap = heap_of(2);
    let root = heap.mutate(|mu| mu.root(mu.alloc(Triple::of(1))));
    let text = panic_text(|| heap.mutate(|_| heap.collect()));
    assert!(text.contains("collect") && text.contains("mutat"), "{text}");
    let text = panic_text(|| heap.mutate(|_| heap.mutate(|_| heap.collect())));
    assert!(text.contains("collect") && text.contains("mutat"), "{text}");

    churn(&heap, 1000);
    heap.collect();
    heap.mutate(|mu| assert_eq!(*root.get(mu), Triple::of(1)));
}

#[test]
fn a_root_of_another_heap_is_refused() {
    let (here, there) = (heap_of(1), heap_of(1));
    let root = here.mutate(|mu| mu.root(mu.alloc(Triple::of(1))));
    let text = panic_text(|| there.mutate(|mu| _ = root.get(mu)));
    assert!(text.contains("heap"), "{text}");
    let text = panic_text(|| there.mutate(|mu| root.set(mu, mu.alloc(Triple::of(2)))));
    assert!(text.contains("heap"), "{text}");
    here.mutate(|mu| assert_eq!(*root.get(mu), Triple::of(1)));
    there.collect();
}

#[test]
fn impossible_settings_are_typed_errors() {
    let built = |builder: linchpin::HeapBuilder| builder.build().expect_err("an impossible setting");
    assert!(matches!(built(Heap::builder().processors(0)), BuildError::ZeroProcessors));
    let BuildError::TooManyProcessors { requested, max } = built(Heap::builder().processors(usize::MAX)) else {
        panic!("not the error for too many processors");
    };
    assert_eq!(requested, usize::MAX);
    assert!(Heap::builder().processors(max + 1).build().is_err());
    assert!(matches!(built(Heap::builder().growth_percent(0)), BuildError::ZeroGrowth));
    assert!(matches!(built(Heap::builder().growth_percent(u32::MAX)), BuildError::GrowthTooLarge { .. }));
    let BuildError::RegionTooSmall { requested: 1, min } = built(Heap::builder().region_size(1)) else {
        panic!("not the error for a region too small");
    };
    assert!(min > 1);
    assert!(matches!(
        built(Heap::builder().region_size(usize::MAX)),
        BuildError::RegionTooLarge { requested: usize::MAX, .. }
    ));
    let too_much = built(Heap::builder().region_size(1 << 20).populate((1 << 20) + 1));
    assert_eq!(too_much, BuildError::PopulateTooLarge { requested: (1 << 20) + 1, max: 1 << 20 });
    assert!(too_much.to_string().contains("1048577 bytes cannot be populated in a region of 1048576"), "{too_much}");
    let refused = BuildError::PopulateFailed { bytes: 4096, errno: 12 };
    assert!(refused.to_string().contains("refused to populate 4096 bytes (error 12)"), "{refused}");
    // The errors say what was wrong.
    let error: Box<dyn std::error::Error> = Box::new(built(Heap::builder().region_size(1)));
    assert!(error.to_string().contains(&min.to_string()), "{error}");
}

#[test]
fn an_impossible_number_of_processors_changes_nothing() {
    let heap = heap_of(2);
    assert!(matches!(heap.set_processors(0), Err(BuildError::ZeroProcessors)));
    assert!(matches!(heap.set_processors(usize::MAX), Err(BuildError::TooManyProcessors { .. })));
    assert_eq!(heap.processors(), 2);
    churn(&heap, 100);
    heap.collect();
}

#[test]
fn a_pinner_with_pins_in_another_heap_is_refused() {
    let (here, there) = (heap_of(1), heap_of(1));
    let mut pinner = Pinner::new();
    here.mutate(|mu| _ = pinner.pin(mu, mu.alloc(Triple::of(1))));
    let text = panic_text(|| there.mutate(|mu| _ = pinner.pin(mu, mu.alloc(Triple::of(2)))));
    assert!(text.contains("heap"), "{text}");
    assert_eq!(pinner.len(), 1);

    // Once it is empty it may change heaps.
    pinner.unpin();
    there.mutate(|mu| {
        let object = mu.alloc(Triple::of(3));
        pinner.pin(mu, object);
        assert_eq!(mu.pin_count(object), 1);
    });
    here.collect();
    drop(here);
    drop(pinner);
    there.collect();
    assert_eq!(there.stats().live_bytes, 0);
}
