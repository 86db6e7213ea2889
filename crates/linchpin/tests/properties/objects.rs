//! What programs allocate: objects of every kind the API knows, and one type for a pointer to any of them.

use std::ptr::NonNull;
use std::sync::Arc;

use linchpin::{
    Cleanup, Gc, GcCell, GcMutex, GcRwLock, HeaderSlice, Heap, Mutator, Pinner, Root, Tagged, TaggedCell, Trace, Weak,
    WeakCell, WeakMap, WeakRoot,
};
use parking_lot::Mutex;

use crate::contents::Contents;
use crate::fields::Field;
use crate::model::{Pin, Thing};
use crate::token::Token;

/// Links of a [`Node`].
pub(crate) const LINKS: usize = 2;

pub(crate) type Cells<'gc> = [GcCell<'gc, Node<'gc>>];

/// Weak pointers of a [`Node`] that change: its cell, and one behind its second lock.
pub(crate) const WEAK_CELLS: usize = 2;

/// An object with pointers of every sort: fields that change, of several types, and three that do not.
#[derive(Trace)]
pub(crate) struct Node<'gc> {
    pub(crate) number: u64,
    pub(crate) links: [GcCell<'gc, Node<'gc>>; LINKS],
    pub(crate) cells: GcCell<'gc, Cells<'gc>>,
    pub(crate) bytes: GcCell<'gc, [u8]>,
    pub(crate) locked: GcMutex<Option<Gc<'gc, Node<'gc>>>>,
    pub(crate) shelved: GcRwLock<Shelf<'gc>>,
    pub(crate) tagged: TaggedCell<'gc, Value<'gc>>,
    pub(crate) twin: Option<Gc<'gc, Node<'gc>>>,
    pub(crate) load: Option<Any<'gc>>,
    pub(crate) back: WeakCell<'gc, Node<'gc>>,
    pub(crate) weak: Option<AnyWeak<'gc>>,
    pub(crate) token: Token,
}

/// The tagged field of a [`Node`], among its pointer fields.
pub(crate) const TAGGED: usize = LINKS + 4;

/// A value of one word.
#[derive(Trace, Tagged, Clone, Copy)]
pub(crate) enum Value<'gc> {
    Nothing,
    Number(i32),
    Node(Gc<'gc, Node<'gc>>),
}

/// A slice with a header, each part of which has a pointer field and something to drop.
pub(crate) type Table<'gc> = HeaderSlice<Head<'gc>, [Place<'gc>]>;

#[derive(Trace)]
pub(crate) struct Head<'gc> {
    pub(crate) number: u64,
    pub(crate) first: GcCell<'gc, Node<'gc>>,
    pub(crate) token: Token,
}

#[derive(Trace)]
pub(crate) struct Place<'gc> {
    pub(crate) cell: GcCell<'gc, Node<'gc>>,
    pub(crate) token: Token,
}

/// A pointer that is part of something else, as much is that lies behind a lock.
#[derive(Trace, Default)]
pub(crate) struct Shelf<'gc> {
    pub(crate) places: Vec<Gc<'gc, Node<'gc>>>,
    pub(crate) weak: Option<AnyWeak<'gc>>,
}

/// A weak map.
#[derive(Trace)]
pub(crate) struct Registry<'gc> {
    pub(crate) map: WeakMap<'gc, Node<'gc>, Worth<'gc>>,
    pub(crate) token: Token,
}

/// A value of a weak map. Its copies share a token, which goes with the last of them.
#[derive(Trace, Clone)]
pub(crate) struct Worth<'gc> {
    pub(crate) any: Any<'gc>,
    pub(crate) token: Arc<Token>,
}

/// Data without pointers and without `Drop`.
#[derive(Trace, Clone, Copy)]
pub(crate) struct Plain {
    pub(crate) words: [u64; 3],
}

/// Larger than the largest slot.
#[derive(Trace)]
pub(crate) struct Large {
    pub(crate) words: [u64; 5000],
    pub(crate) token: Token,
}

#[derive(Trace)]
#[repr(align(256))]
pub(crate) struct Aligned {
    pub(crate) token: Token,
}

#[derive(Trace)]
#[repr(align(4096))]
pub(crate) struct Page {
    pub(crate) token: Token,
    pub(crate) word: u64,
}

/// What an object owns that itself keeps objects alive.
#[derive(Default)]
pub(crate) struct Keepers {
    pub(crate) pinner: Pinner,
    pub(crate) root: Option<AnyRoot>,
}

/// An object that pins and roots others. The token comes last, so that once its drop is booked, its pins are undone.
#[derive(Trace)]
pub(crate) struct Vault {
    pub(crate) keepers: Arc<Mutex<Keepers>>,
    pub(crate) token: Token,
}

/// A pinned address that a program keeps.
struct Held<T: ?Sized>(NonNull<T>);

// SAFETY: objects are shared between threads; while it is pinned, any thread may read it.
unsafe impl<T: ?Sized + Send + Sync> Send for Held<T> {}

macro_rules! kinds {
    ($($kind:ident: $branded:ty, $fixed:ty;)*) => {
        /// A pointer to an object of any kind.
        #[derive(Trace, Clone, Copy)]
        pub(crate) enum Any<'gc> {
            $($kind(Gc<'gc, $branded>),)*
        }

        /// A root of an object of any kind.
        pub(crate) enum AnyRoot {
            $($kind(Root<$fixed>),)*
        }

        /// A weak pointer to an object of any kind.
        #[derive(Trace, Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub(crate) enum AnyWeak<'gc> {
            $($kind(Weak<'gc, $branded>),)*
        }

        /// A weak root of an object of any kind.
        #[derive(Clone)]
        pub(crate) enum AnyWeakRoot {
            $($kind(WeakRoot<$fixed>),)*
        }

        impl<'gc> Any<'gc> {
            pub(crate) fn root(self, mu: &Mutator<'gc>) -> AnyRoot {
                match self {
                    $(Self::$kind(gc) => AnyRoot::$kind(mu.root(gc)),)*
                }
            }

            pub(crate) fn downgrade(self, mu: &Mutator<'gc>) -> AnyWeak<'gc> {
                match self {
                    $(Self::$kind(gc) => AnyWeak::$kind(mu.downgrade(gc)),)*
                }
            }

            pub(crate) fn weak_root(self, mu: &Mutator<'gc>) -> AnyWeakRoot {
                match self {
                    $(Self::$kind(gc) => AnyWeakRoot::$kind(mu.weak_root(gc)),)*
                }
            }

            pub(crate) fn on_collect(self, mu: &Mutator<'gc>, work: Box<dyn FnOnce(&Heap) + Send>) -> Cleanup {
                match self {
                    $(Self::$kind(gc) => mu.on_collect(gc, work),)*
                }
            }

            /// The address of its value.
            pub(crate) fn address(self) -> usize {
                match self {
                    $(Self::$kind(gc) => Gc::as_ptr(gc).cast::<u8>().addr(),)*
                }
            }

            /// The size of its value in bytes.
            pub(crate) fn bytes(self) -> usize {
                match self {
                    $(Self::$kind(gc) => size_of_val(gc.as_ref()),)*
                }
            }

            pub(crate) fn pin_count(self, mu: &Mutator<'gc>) -> u32 {
                match self {
                    $(Self::$kind(gc) => {
                        assert_eq!(mu.is_pinned(gc), mu.pin_count(gc) != 0);
                        mu.pin_count(gc)
                    })*
                }
            }

            /// Fails unless it holds what `thing` says; pointers are not looked at.
            #[track_caller]
            pub(crate) fn check(self, thing: &Thing) {
                match self {
                    $(Self::$kind(gc) => gc.as_ref().check(thing),)*
                }
            }

            /// Pins it by its pointer.
            pub(crate) fn pin(self, mu: &Mutator<'gc>, pinner: &mut Pinner, id: usize) -> Pin {
                match self {
                    $(Self::$kind(gc) => {
                        let held: Held<$fixed> = Held(pinner.pin(mu, gc));
                        assert_eq!(held.0.cast::<u8>().as_ptr().addr(), self.address());
                        Pin::new(id, move |thing| {
                            let held = &held;
                            // SAFETY: this is called while the pin lasts.
                            unsafe { held.0.as_ref() }.check(thing);
                        })
                    })*
                }
            }

            /// Pins it by a reference to the whole; `None` if it is of size zero, which pins nothing.
            pub(crate) fn pin_whole(self, mu: &Mutator<'gc>, pinner: &mut Pinner, id: usize) -> Option<Pin> {
                match self {
                    $(Self::$kind(gc) => {
                        assert_eq!(pinner.pin_ref(mu, gc.as_ref()).cast::<u8>().as_ptr().addr(), self.address());
                        (self.bytes() != 0).then(|| Pin::new(id, |_| ()))
                    })*
                }
            }
        }

        impl AnyRoot {
            pub(crate) fn get<'gc>(&self, mu: &Mutator<'gc>) -> Any<'gc> {
                match self {
                    $(Self::$kind(root) => Any::$kind(root.get(mu)),)*
                }
            }

            /// Makes it keep another object if that is of the same kind; tells whether it was.
            pub(crate) fn set<'gc>(&self, mu: &Mutator<'gc>, to: Any<'gc>) -> bool {
                match (self, to) {
                    $((Self::$kind(root), Any::$kind(gc)) => root.set(mu, gc),)*
                    _ => return false,
                }
                true
            }
        }

        impl<'gc> AnyWeak<'gc> {
            pub(crate) fn upgrade(self, mu: &Mutator<'gc>) -> Option<Any<'gc>> {
                match self {
                    $(Self::$kind(weak) => weak.upgrade(mu).map(Any::$kind),)*
                }
            }

            pub(crate) fn root(self, mu: &Mutator<'gc>) -> AnyWeakRoot {
                match self {
                    $(Self::$kind(weak) => AnyWeakRoot::$kind(weak.root(mu)),)*
                }
            }
        }

        impl AnyWeakRoot {
            pub(crate) fn get<'gc>(&self, mu: &Mutator<'gc>) -> AnyWeak<'gc> {
                match self {
                    $(Self::$kind(root) => AnyWeak::$kind(root.get(mu)),)*
                }
            }

            pub(crate) fn upgrade<'gc>(&self, mu: &Mutator<'gc>) -> Option<Any<'gc>> {
                match self {
                    $(Self::$kind(root) => root.upgrade(mu).map(Any::$kind),)*
                }
            }

            /// Makes it lead to another object if that is of the same kind; tells whether it was.
            pub(crate) fn set<'gc>(&self, mu: &Mutator<'gc>, to: AnyWeak<'gc>) -> bool {
                match (self, to) {
                    $((Self::$kind(root), AnyWeak::$kind(weak)) => root.set(mu, weak),)*
                    _ => return false,
                }
                true
            }
        }

        impl Clone for AnyRoot {
            fn clone(&self) -> Self {
                match self {
                    $(Self::$kind(root) => Self::$kind(root.clone()),)*
                }
            }
        }
    };
}

kinds! {
    Node: Node<'gc>, Node<'static>;
    Cells: Cells<'gc>, Cells<'static>;
    Pointers: [Gc<'gc, Node<'gc>>], [Gc<'static, Node<'static>>];
    Tokens: [Token], [Token];
    Table: Table<'gc>, Table<'static>;
    Text: str, str;
    Bytes: [u8], [u8];
    Registry: Registry<'gc>, Registry<'static>;
    Plain: Plain, Plain;
    Large: Large, Large;
    Aligned: Aligned, Aligned;
    Page: Page, Page;
    Empty: (), ();
    Vault: Vault, Vault;
}

impl<'gc> Any<'gc> {
    /// Pins it by a reference to a part of it, where it has one worth trying; else to the whole.
    pub(crate) fn pin_part(self, mu: &Mutator<'gc>, pinner: &mut Pinner, id: usize) -> Option<Pin> {
        let pinned = match self {
            Self::Bytes(gc) => {
                let part = &gc.as_ref()[gc.len() / 2..];
                pinner.pin_ref(mu, part);
                !part.is_empty()
            }
            Self::Node(gc) => {
                pinner.pin_ref(mu, &gc.as_ref().token);
                true
            }
            Self::Table(gc) => {
                match gc.as_ref().slice.last() {
                    Some(place) => pinner.pin_ref(mu, &place.token),
                    None => pinner.pin_ref(mu, &gc.as_ref().header.token),
                };
                true
            }
            Self::Large(gc) => {
                pinner.pin_ref(mu, &gc.as_ref().words[4999]);
                true
            }
            whole => return whole.pin_whole(mu, pinner, id),
        };
        pinned.then(|| Pin::new(id, |_| ()))
    }

    pub(crate) fn node(self) -> Option<Gc<'gc, Node<'gc>>> {
        match self {
            Self::Node(gc) => Some(gc),
            _ => None,
        }
    }

    /// What its `index`th pointer leads to: first those that change (see [`Self::cell`]), then the others.
    pub(crate) fn follow(self, mu: &Mutator<'gc>, index: usize) -> Option<Any<'gc>> {
        match self {
            Self::Node(gc) => match index {
                0..LINKS => gc.links[index].load().map(Any::Node),
                LINKS => gc.cells.load().map(Any::Cells),
                3 => gc.bytes.load().map(Any::Bytes),
                4 => Field::load(&gc.as_ref().locked, mu).map(Any::Node),
                5 => Field::load(&gc.as_ref().shelved, mu).map(Any::Node),
                TAGGED => Field::load(&gc.tagged, mu).map(Any::Node),
                7 => gc.twin.map(Any::Node),
                _ => gc.load,
            },
            Self::Cells(gc) => gc[index].load().map(Any::Node),
            Self::Table(gc) => table_cell(gc, index).load().map(Any::Node),
            Self::Pointers(gc) => Some(Any::Node(gc[index])),
            _ => None,
        }
    }

    /// How many pointer fields that change it has.
    pub(crate) fn cells(self) -> usize {
        match self {
            Self::Node(_) => LINKS + 5,
            Self::Cells(gc) => gc.len(),
            Self::Table(gc) => 1 + gc.slice.len(),
            _ => 0,
        }
    }

    /// Its `index`th weak pointer: first those that change.
    pub(crate) fn weak(self, mu: &Mutator<'gc>, index: usize) -> Option<AnyWeak<'gc>> {
        match (self, index) {
            (Self::Node(gc), 0) => gc.back.load().map(AnyWeak::Node),
            (Self::Node(gc), 1) => gc.as_ref().shelved.read(mu).weak,
            (Self::Node(gc), _) => gc.weak,
            _ => None,
        }
    }
}

/// A pointer field of a slice with a header: first that of the header.
pub(crate) fn table_cell<'gc>(table: Gc<'gc, Table<'gc>>, index: usize) -> &'gc GcCell<'gc, Node<'gc>> {
    let table = table.as_ref();
    index.checked_sub(1).map_or(&table.header.first, |index| &table.slice[index].cell)
}
