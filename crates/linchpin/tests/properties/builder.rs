//! Random settings either make a heap that is as they say, or are refused with the error that is documented.

use linchpin::{BuildError, Heap};
use proptest::option;
use proptest::prelude::*;

use crate::cases;

const UNIT: usize = 64 << 10;
const LEAST_REGION: usize = 1 << 20;
const MOST_REGION: usize = 32 << 40;
const MOST_PROCESSORS: usize = 1024;
const MOST_GROWTH: u32 = 100_000;
/// Above this the system may refuse to reserve a region, whatever is documented of Linchpin.
const SURE_REGION: usize = 1 << 32;

fn near(edge: usize) -> impl Strategy<Value = usize> {
    edge.saturating_sub(3)..=edge.saturating_add(3)
}

fn processors() -> impl Strategy<Value = usize> {
    prop_oneof![6 => 1..=8_usize, 1 => near(0), 1 => near(MOST_PROCESSORS), 1 => any::<usize>()]
}

fn growth() -> impl Strategy<Value = u32> {
    let most = MOST_GROWTH;
    prop_oneof![4 => 1..=most, 1 => 0..=2_u32, 1 => most - 2..=most + 2, 1 => any::<u32>()]
}

fn region() -> impl Strategy<Value = usize> {
    prop_oneof![
        4 => LEAST_REGION..=SURE_REGION,
        1 => near(LEAST_REGION),
        1 => near(MOST_REGION),
        1 => near(usize::MAX),
        1 => any::<usize>(),
        1 => 0..LEAST_REGION,
    ]
}

/// In parts of a region of so many bytes, or of what it is rounded up to, and a little more: little memory, as it is really used.
fn populated(region: Option<usize>) -> impl Strategy<Value = usize> {
    let most = region.filter(|&bytes| bytes <= 4 << 20).map_or(4 << 20, |bytes| bytes.next_multiple_of(UNIT));
    prop_oneof![2 => Just(0), 2 => 0..=most, 1 => near(most), 1 => near(usize::MAX), 1 => MOST_REGION + 1..]
}

fn region_and_populated() -> impl Strategy<Value = (Option<usize>, usize)> {
    option::of(region()).prop_flat_map(|region| (Just(region), populated(region)))
}

/// Whether `error` is true of the settings, and says what they were.
fn is_right(
    error: &BuildError,
    processors: Option<usize>,
    growth: Option<u32>,
    region: Option<usize>,
    populated: usize,
) -> bool {
    match *error {
        BuildError::ZeroProcessors => processors == Some(0),
        BuildError::TooManyProcessors { requested, max } => {
            max == MOST_PROCESSORS && processors == Some(requested) && requested > max
        }
        BuildError::ZeroGrowth => growth == Some(0),
        BuildError::GrowthTooLarge { requested, max } => {
            max == MOST_GROWTH && growth == Some(requested) && requested > max
        }
        BuildError::RegionTooSmall { requested, min } => {
            min == LEAST_REGION && region == Some(requested) && requested < min
        }
        BuildError::RegionTooLarge { requested, max } => {
            max == MOST_REGION && region == Some(requested) && requested > max
        }
        BuildError::PopulateTooLarge { requested, max } => {
            requested == populated
                && requested > max
                && region.is_none_or(|region| max == region.next_multiple_of(UNIT))
        }
        BuildError::ReserveFailed { bytes, .. } => region.is_none_or(|region| region > SURE_REGION && bytes >= region),
        _ => false,
    }
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn settings_make_a_heap_or_the_documented_error(
        processors in option::of(processors()),
        growth in option::of(growth()),
        (region, populated) in region_and_populated(),
        cache in any::<bool>(),
        huge_pages in any::<bool>(),
    ) {
        let mut builder = Heap::builder().pinner_cache(cache).huge_pages(huge_pages).populate(populated);
        if let Some(count) = processors {
            builder = builder.processors(count);
        }
        if let Some(percent) = growth {
            builder = builder.growth_percent(percent);
        }
        if let Some(bytes) = region {
            builder = builder.region_size(bytes);
        }
        match builder.build() {
            Err(error) => {
                prop_assert!(is_right(&error, processors, growth, region, populated), "{:?}: {}", error, error);
                prop_assert!(!error.to_string().is_empty());
            }
            Ok(heap) => {
                prop_assert!(processors.is_none_or(|count| (1..=MOST_PROCESSORS).contains(&count)));
                prop_assert!(growth.is_none_or(|percent| (1..=MOST_GROWTH).contains(&percent)));
                prop_assert!(region.is_none_or(|bytes| (LEAST_REGION..=MOST_REGION).contains(&bytes)));
                let stats = heap.stats();
                prop_assert!(populated <= stats.region_bytes && stats.resident_bytes >= populated);
                prop_assert!(processors.is_none_or(|count| count == heap.processors() && count == stats.processors));
                prop_assert!(region.is_none_or(|bytes| stats.region_bytes == bytes.next_multiple_of(UNIT)));
                let root = heap.mutate(|mu| {
                    mu.alloc_slice_copy(&[0_u8; 1000]);
                    mu.root(mu.alloc_str("kept"))
                });
                heap.collect();
                prop_assert_eq!(heap.mutate(|mu| root.get(mu).as_ref().to_owned()), "kept");
                prop_assert_eq!(heap.stats().live_objects, 1);
            }
        }
    }

    #[test]
    fn so_many_processors_can_be_set_or_the_documented_error(counts in prop::collection::vec(processors(), 1..8)) {
        let heap = Heap::builder().processors(2).region_size(16 << 20).build().expect("a heap of two processors");
        let mut current = 2;
        for count in counts {
            match heap.set_processors(count) {
                Ok(()) => {
                    prop_assert!((1..=MOST_PROCESSORS).contains(&count));
                    current = count;
                }
                Err(error) => prop_assert!(is_right(&error, Some(count), None, None, 0), "{:?}", error),
            }
            prop_assert_eq!(heap.processors(), current);
            prop_assert_eq!(heap.mutate(|mu| *mu.alloc(count)), count);
            heap.collect();
        }
    }
}
