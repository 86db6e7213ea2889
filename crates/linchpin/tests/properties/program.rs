//! A random program: what it may do. It names things by small numbers, which the interpreter takes modulo what there is, so
//! that every program makes sense and stays one when `proptest` leaves parts of it out.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::chases;
use crate::maps::{MapStep, map_step};

/// Roots, weak roots and pinners that a program has names for, each.
pub(crate) const NAMES: usize = 5;
/// Objects, and weak pointers, that a mutation has names for, each.
pub(crate) const LOCALS: usize = 6;
/// Cells, and weak cells, that all threads share, each.
pub(crate) const SHARED_CELLS: usize = 8;

/// Stands for one of the things there are, whatever their number.
pub(crate) type Pick = u8;

#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) processors: usize,
    /// 1: a cycle every 40 KiB. 100000: none but those that the program asks for.
    pub(crate) growth_percent: u32,
    pub(crate) pinner_cache: bool,
    /// How the heap verifies and disturbs itself, if it does.
    pub(crate) watch: Option<Watch>,
}

/// A heap that verifies itself, strictly, and fills its free memory; and how it is disturbed.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    /// A cycle after so many allocations.
    pub(crate) collect_every: Option<u64>,
    /// In microseconds at most.
    pub(crate) delay_handshakes: u64,
    pub(crate) move_mutations: bool,
    pub(crate) seed: u64,
}

/// What an object is.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// A node, with what its unchanging pointers and its fields hold.
    Node {
        link: Option<Pick>,
        load: Option<Pick>,
        weak: Option<Pick>,
    },
    Cells {
        length: usize,
        fill: Option<Pick>,
    },
    Pointers {
        length: usize,
    },
    Tokens {
        length: usize,
    },
    /// A slice with a header.
    Table {
        first: Option<Pick>,
        length: usize,
        fill: Option<Pick>,
    },
    Text {
        length: usize,
    },
    Bytes {
        length: usize,
    },
    Registry,
    Plain,
    Large,
    Aligned,
    Page,
    Empty,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Change {
    Store,
    Swap,
    /// With what the cell holds.
    Exchange,
    /// With something that it does not hold, perhaps.
    ExchangeOther(Pick),
}

/// How something is pinned.
#[derive(Debug, Clone, Copy)]
pub(crate) enum By {
    Pointer,
    Reference,
    ReferenceToPart,
}

/// What may be done to roots, weak roots and pinners anywhere.
#[derive(Debug, Clone)]
pub(crate) enum Handle {
    CloneRoot {
        from: Pick,
        to: Pick,
    },
    DropRoot(Pick),
    CloneWeakRoot {
        from: Pick,
        to: Pick,
    },
    DropWeakRoot(Pick),
    Unpin(Pick),
    DropPinner(Pick),
    /// Takes a cleanup back.
    Cancel(Pick),
}

/// What a mutation does. What it makes or loads becomes its newest local.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Alloc(Kind),
    Get(Pick),
    Follow {
        from: Pick,
        field: Pick,
    },
    Change {
        of: Pick,
        field: Pick,
        how: Change,
        to: Option<Pick>,
    },
    Root {
        local: Pick,
        name: Pick,
    },
    /// Roots what has come in hand last.
    RootNewest(Pick),
    SetRoot {
        local: Pick,
        name: Pick,
    },
    Pin {
        pinner: Pick,
        local: Pick,
        by: By,
    },
    /// Moves a pinner, and perhaps a root, into a new object.
    Enclose {
        pinner: Pick,
        root: Option<Pick>,
    },
    /// Undoes the pins of a vault.
    OpenVault(Pick),
    Handle(Handle),
    Nested(Vec<Step>),
    /// The mutation beside this one does something, while this one goes on.
    Beside(Vec<Step>),
    PanicInElement {
        length: usize,
        at: usize,
        /// The slice has a header.
        header: bool,
    },
    Panic,
    Weak(WeakStep),
    Map(MapStep),
    /// Registers a cleanup.
    CleanUp(Pick),
    /// Puts a number into the tagged field of a node.
    Number {
        of: Pick,
        number: i32,
    },
    Shared(SharedStep),
}

/// What is done with weak pointers. Those a mutation has in hand have names of their own.
#[derive(Debug, Clone)]
pub(crate) enum WeakStep {
    /// Makes an object with a weak root, and nothing else that leads to it.
    Lose {
        kind: Kind,
        name: Pick,
    },
    Downgrade(Pick),
    Upgrade(Pick),
    Follow {
        from: Pick,
        field: Pick,
    },
    Change {
        of: Pick,
        field: Pick,
        how: Change,
        to: Option<Pick>,
    },
    Root {
        weak: Pick,
        name: Pick,
    },
    RootLocal {
        local: Pick,
        name: Pick,
    },
    SetRoot {
        weak: Pick,
        name: Pick,
    },
    Get(Pick),
    UpgradeRoot(Pick),
}

/// What is done to the cells that all threads share; at most one object at a time is in hand.
#[derive(Debug, Clone)]
pub(crate) enum SharedStep {
    Make { bytes: usize },
    Load { cell: Pick, depth: u8 },
    Store(Pick),
    Swap(Pick),
    Exchange { cell: Pick, expect: Pick },
    Link,
    Clear(Pick),
    Pin(Pick),
    Downgrade(Pick),
    CopyWeak { from: Pick, to: Pick },
    Upgrade(Pick),
}

/// What a program does outside mutations.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    Mutate(Vec<Step>),
    /// The mutation beside does something.
    Beside(Vec<Step>),
    Handle(Handle),
    /// A second thread enters a mutation, or leaves it and enters another at once, or leaves it. While it is in one, a
    /// cycle gets no further than the next handshake; so these lead through its phases.
    Hold,
    Advance,
    Release,
    /// A cycle begins, and nobody waits for it.
    StartCycle,
    Collect,
    SetProcessors(usize),
    DropHeap,
}

#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) settings: Settings,
    pub(crate) actions: Vec<Action>,
    /// At the end, the heap is dropped before the roots and pins.
    pub(crate) heap_first: bool,
}

/// What a program is to be made of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting {
    /// It has a heap to itself.
    Alone,
    /// Other threads use the heap, too.
    Among,
}

fn settings() -> impl Strategy<Value = Settings> {
    let growth_percent = prop_oneof![3 => Just(100_000_u32), 1 => Just(1_u32)];
    (2_usize..=4, growth_percent, prop::bool::weighted(0.8), option::weighted(0.4, watch())).prop_map(
        |(processors, growth_percent, pinner_cache, watch)| Settings {
            processors,
            growth_percent,
            pinner_cache,
            watch,
        },
    )
}

fn watch() -> impl Strategy<Value = Watch> {
    let delay = prop_oneof![2 => Just(0), 1 => 1..=20_u64];
    (option::weighted(0.7, 2..=60_u64), delay, any::<bool>(), any::<u64>()).prop_map(
        |(collect_every, delay_handshakes, move_mutations, seed)| Watch {
            collect_every,
            delay_handshakes,
            move_mutations,
            seed,
        },
    )
}

fn length(most: usize) -> impl Strategy<Value = usize> {
    prop_oneof![4 => 0..=8_usize, 2 => 0..=200_usize, 1 => 0..=most]
}

/// Mostly short, so that fields are met again.
pub(crate) fn table() -> impl Strategy<Value = Kind> {
    let pick = || option::weighted(0.6, any::<Pick>());
    let length = prop_oneof![3 => 0..4_usize, 1 => length(300)];
    (pick(), length, pick()).prop_map(|(first, length, fill)| Kind::Table { first, length, fill })
}

fn kind() -> impl Strategy<Value = Kind> {
    let pick = || option::weighted(0.6, any::<Pick>());
    prop_oneof![
        16 => (pick(), pick(), pick()).prop_map(|(link, load, weak)| Kind::Node { link, load, weak }),
        4 => (length(9000), pick()).prop_map(|(length, fill)| Kind::Cells { length, fill }),
        2 => length(40).prop_map(|length| Kind::Pointers { length }),
        2 => length(40).prop_map(|length| Kind::Tokens { length }),
        6 => table(),
        2 => length(3000).prop_map(|length| Kind::Text { length }),
        4 => length(70_000).prop_map(|length| Kind::Bytes { length }),
        2 => Just(Kind::Registry),
        2 => Just(Kind::Plain),
        1 => Just(Kind::Large),
        1 => Just(Kind::Aligned),
        1 => Just(Kind::Page),
        1 => Just(Kind::Empty),
    ]
}

fn handle() -> impl Strategy<Value = Handle> {
    prop_oneof![
        1 => (any::<Pick>(), any::<Pick>()).prop_map(|(from, to)| Handle::CloneRoot { from, to }),
        2 => any::<Pick>().prop_map(Handle::DropRoot),
        1 => (any::<Pick>(), any::<Pick>()).prop_map(|(from, to)| Handle::CloneWeakRoot { from, to }),
        1 => any::<Pick>().prop_map(Handle::DropWeakRoot),
        2 => any::<Pick>().prop_map(Handle::Unpin),
        1 => any::<Pick>().prop_map(Handle::DropPinner),
        1 => any::<Pick>().prop_map(Handle::Cancel),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => Just(Change::Store),
        1 => Just(Change::Swap),
        1 => Just(Change::Exchange),
        1 => any::<Pick>().prop_map(Change::ExchangeOther),
    ]
}

fn by() -> impl Strategy<Value = By> {
    prop_oneof![3 => Just(By::Pointer), 1 => Just(By::Reference), 1 => Just(By::ReferenceToPart)]
}

fn shared_step() -> impl Strategy<Value = SharedStep> {
    prop_oneof![
        2 => length(5000).prop_map(|bytes| SharedStep::Make { bytes }),
        3 => (any::<Pick>(), 0..4_u8).prop_map(|(cell, depth)| SharedStep::Load { cell, depth }),
        2 => any::<Pick>().prop_map(SharedStep::Store),
        2 => any::<Pick>().prop_map(SharedStep::Swap),
        1 => (any::<Pick>(), any::<Pick>()).prop_map(|(cell, expect)| SharedStep::Exchange { cell, expect }),
        1 => Just(SharedStep::Link),
        1 => any::<Pick>().prop_map(SharedStep::Clear),
        1 => any::<Pick>().prop_map(SharedStep::Pin),
        2 => any::<Pick>().prop_map(SharedStep::Downgrade),
        1 => (any::<Pick>(), any::<Pick>()).prop_map(|(from, to)| SharedStep::CopyWeak { from, to }),
        3 => any::<Pick>().prop_map(SharedStep::Upgrade),
    ]
}

fn weak_step() -> impl Strategy<Value = WeakStep> {
    let pick = any::<Pick>;
    prop_oneof![
        6 => (kind(), pick()).prop_map(|(kind, name)| WeakStep::Lose { kind, name }),
        5 => pick().prop_map(WeakStep::Downgrade),
        4 => pick().prop_map(WeakStep::Upgrade),
        3 => (pick(), pick()).prop_map(|(from, field)| WeakStep::Follow { from, field }),
        5 => (pick(), pick(), change(), option::weighted(0.8, pick()))
            .prop_map(|(of, field, how, to)| WeakStep::Change { of, field, how, to }),
        2 => (pick(), pick()).prop_map(|(weak, name)| WeakStep::Root { weak, name }),
        4 => (pick(), pick()).prop_map(|(local, name)| WeakStep::RootLocal { local, name }),
        1 => (pick(), pick()).prop_map(|(weak, name)| WeakStep::SetRoot { weak, name }),
        3 => pick().prop_map(WeakStep::Get),
        6 => pick().prop_map(WeakStep::UpgradeRoot),
    ]
}

fn simple_step() -> BoxedStrategy<Step> {
    let pick = any::<Pick>;
    prop_oneof![
        24 => kind().prop_map(Step::Alloc),
        12 => pick().prop_map(Step::Get),
        16 => (pick(), pick()).prop_map(|(from, field)| Step::Follow { from, field }),
        24 => (pick(), pick(), change(), option::weighted(0.7, pick()))
            .prop_map(|(of, field, how, to)| Step::Change { of, field, how, to }),
        12 => (pick(), pick()).prop_map(|(local, name)| Step::Root { local, name }),
        6 => (pick(), pick()).prop_map(|(local, name)| Step::SetRoot { local, name }),
        12 => (pick(), pick(), by()).prop_map(|(pinner, local, by)| Step::Pin { pinner, local, by }),
        2 => (pick(), option::of(pick())).prop_map(|(pinner, root)| Step::Enclose { pinner, root }),
        1 => pick().prop_map(Step::OpenVault),
        8 => handle().prop_map(Step::Handle),
        32 => weak_step().prop_map(Step::Weak),
        24 => map_step().prop_map(Step::Map),
        16 => pick().prop_map(Step::CleanUp),
        4 => (pick(), any::<i32>()).prop_map(|(of, number)| Step::Number { of, number }),
        1 => (1..20_usize, any::<prop::sample::Index>(), any::<bool>())
            .prop_map(|(length, at, header)| Step::PanicInElement { length, at: at.index(length), header }),
        1 => Just(Step::Panic),
    ]
    .boxed()
}

fn step(setting: Setting, depth: u32) -> BoxedStrategy<Step> {
    let simple = simple_step();
    if depth == 0 {
        return simple;
    }
    let inner = || vec(step(setting, depth - 1), 1..5);
    match setting {
        Setting::Alone => prop_oneof![
            24 => simple,
            1 => inner().prop_map(Step::Nested),
            3 => inner().prop_map(Step::Beside),
        ]
        .boxed(),
        Setting::Among => prop_oneof![
            16 => simple,
            1 => inner().prop_map(Step::Nested),
            12 => shared_step().prop_map(Step::Shared),
        ]
        .boxed(),
    }
}

fn action(setting: Setting) -> BoxedStrategy<Action> {
    let steps = || vec(step(setting, 2), 1..10);
    let anywhere = prop_oneof![
        12 => steps().prop_map(Action::Mutate),
        5 => handle().prop_map(Action::Handle),
        3 => Just(Action::Collect),
        1 => (1..=5_usize).prop_map(Action::SetProcessors),
    ];
    match setting {
        Setting::Alone => prop_oneof![
            20 => anywhere,
            3 => steps().prop_map(Action::Beside),
            4 => Just(Action::Hold),
            6 => Just(Action::Advance),
            1 => Just(Action::Release),
            4 => Just(Action::StartCycle),
            1 => prop::bool::weighted(0.1).prop_map(|heap| if heap { Action::DropHeap } else { Action::Collect }),
        ]
        .boxed(),
        Setting::Among => anywhere.boxed(),
    }
}

/// A program of up to so many actions.
pub(crate) fn program(setting: Setting, actions: usize) -> impl Strategy<Value = Program> {
    let action = move || action(setting).prop_map(|action| vec![action]);
    let actions = match setting {
        Setting::Alone => vec(prop_oneof![30 => action(), 3 => chases::any_chase()].boxed(), 1..=actions),
        Setting::Among => vec(action().boxed(), 1..=actions),
    };
    let actions = actions.prop_map(|actions| actions.concat());
    (settings(), actions, any::<bool>()).prop_map(|(settings, actions, heap_first)| Program {
        settings,
        actions,
        heap_first,
    })
}
