//! Chases: parts of programs that lead a cycle some way and then do what it is about to decide about. By chance alone, programs
//! seldom do.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::maps::MapStep;
use crate::objects::TAGGED;
use crate::program::{Action, Change, Handle, Kind, NAMES, Pick, Step, WeakStep, table};

pub(crate) fn any_chase() -> impl Strategy<Value = Vec<Action>> {
    prop_oneof![1 => of_weak_roots(), 2 => of_entries(), 2 => of_fields()]
}

fn drop_roots() -> Vec<Action> {
    vec![Action::Handle(Handle::DropRoot(0)); NAMES]
}

/// Nodes that only weak roots lead to, one linked to the other; a cycle that is led some way; upgrades of them, then, and roots
/// for what they give. The mutation beside upgrades them in the phase that it holds up, the program's own in the next one. By
/// chance alone, programs seldom upgrade what leads to something while a cycle decides about both.
fn of_weak_roots() -> impl Strategy<Value = Vec<Action>> {
    let picks = || vec((any::<Pick>(), any::<Pick>()), 1..4);
    (picks(), 0..8_usize, picks(), any::<bool>()).prop_map(|(nodes, advances, upgrades, beside)| {
        let lose = |(link, name)| {
            let kind = Kind::Node { link: Some(link), load: None, weak: None };
            Step::Weak(WeakStep::Lose { kind, name })
        };
        let upgrade =
            |(name, local)| [Step::Weak(WeakStep::UpgradeRoot(name)), Step::Root { local, name: local.rotate_left(4) }];
        let upgrades = upgrades.into_iter().flat_map(upgrade).collect();
        let mut actions = vec![Action::Mutate(nodes.into_iter().map(lose).collect()), Action::Hold, Action::StartCycle];
        actions.extend(vec![Action::Advance; advances]);
        actions.push(if beside { Action::Beside(upgrades) } else { Action::Mutate(upgrades) });
        actions.extend([Action::Release, Action::Collect]);
        actions
    })
}

/// Entries whose keys only weak roots lead to; a cycle that is led some way; then what is found of them by way of the map or of the
/// weak roots is rooted. By chance alone, programs seldom look up what a cycle is about to decide about.
fn of_entries() -> impl Strategy<Value = Vec<Action>> {
    let look = || {
        prop_oneof![
            1 => any::<Pick>().prop_map(|name| Step::Weak(WeakStep::UpgradeRoot(name))),
            1 => any::<Pick>().prop_map(|map| Step::Map(MapStep::Entries(map))),
            1 => any::<(Pick, Pick)>().prop_map(|(map, key)| Step::Map(MapStep::Get { map, key })),
            2 => any::<(Pick, Pick)>().prop_map(|(map, key)| Step::Map(MapStep::Remove { map, key })),
            1 => any::<(Pick, Pick, Pick)>()
                .prop_map(|(map, key, value)| Step::Map(MapStep::Insert { map, key, value })),
        ]
    };
    let looks = || {
        let looked = (look(), any::<Pick>()).prop_map(|(look, name)| [look, Step::RootNewest(name)]);
        vec(looked, 1..4).prop_map(|looks| looks.concat())
    };
    let chains = vec((1..5_u8, 1..NAMES as Pick, prop::bool::weighted(0.3)), 1..4);
    (chains, 0..8_usize, looks(), looks(), any::<bool>()).prop_map(|(chains, advances, first, second, beside)| {
        let chain = |(links, name, weak)| Step::Map(MapStep::Chain { map: 0, links, name, weak });
        // Nothing but the map, at name 0, and the chains has a root.
        let mut actions = drop_roots();
        actions.extend([Action::Mutate(chains.into_iter().map(chain).collect()), Action::Hold, Action::StartCycle]);
        actions.extend(vec![Action::Advance; advances]);
        actions.push(if beside { Action::Beside(first) } else { Action::Mutate(first) });
        actions.extend([Action::Advance, Action::Mutate(second), Action::Release, Action::Collect]);
        actions
    })
}

/// Objects with a root each, and a node that a field of theirs leads to, and nothing else; a cycle that is led some way; then the
/// node is taken out of the field, and rooted, or put into something new that is.
fn of_fields() -> impl Strategy<Value = Vec<Action>> {
    let node = || Kind::Node { link: None, load: None, weak: None };
    let holder = prop_oneof![
        2 => Just(node()),
        2 => table(),
        1 => (1..4_usize).prop_map(|length| Kind::Cells { length, fill: None }),
    ];
    let field = prop_oneof![2 => any::<Pick>(), 1 => Just(TAGGED as Pick), 1 => Just(0)];
    let change = prop_oneof![Just(Change::Swap), Just(Change::Exchange)];
    let holders = vec((holder, field, change), 1..4);
    let looks = vec(0..NAMES as Pick, 1..4);
    // By then the program's own mutations, and not the other's, are in the phase in which nothing that comes is shaded.
    let advances = prop_oneof![1 => Just(1), 1 => 0..8_usize];
    let so = (prop::bool::weighted(0.3), prop::bool::weighted(0.7));
    (holders, advances, looks, so).prop_map(move |(holders, advances, looks, (beside, reborn))| {
        let mut actions = drop_roots();
        for (name, (holder, field, _)) in (0..).zip(&holders) {
            // It has what changes, and comes first in hand; the node comes after it.
            let (how, to) = (Change::Store, Some(1));
            let store = Step::Change { of: 0, field: *field, how, to };
            let steps = vec![Step::Alloc(holder.clone()), Step::RootNewest(name), Step::Alloc(node()), store];
            actions.push(Action::Mutate(steps));
        }
        actions.extend([Action::Hold, Action::StartCycle]);
        actions.extend(vec![Action::Advance; advances]);
        for look in looks {
            let look = look % holders.len() as Pick;
            let (_, field, how) = holders[usize::from(look)];
            let take = Step::Change { of: 0, field, how, to: None };
            let mut steps = vec![Step::Get(look), take];
            // What is born while a cycle marks is not looked into, unlike a root.
            if reborn {
                steps.push(Step::Alloc(Kind::Node { link: Some(1), load: None, weak: None }));
            }
            steps.push(Step::RootNewest(NAMES as Pick - 1 - look));
            actions.push(if beside { Action::Beside(steps) } else { Action::Mutate(steps) });
        }
        actions.extend([Action::Release, Action::Collect]);
        actions
    })
}
