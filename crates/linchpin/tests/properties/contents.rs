//! What each kind of object holds, as a function of its id, so that it can be checked wherever it is met.

use linchpin::Gc;

use crate::model::Thing;
use crate::objects::{Aligned, Cells, Large, Node, Page, Plain, Registry, Table, Value, Vault};
use crate::token::Token;

/// An object that knows what it must hold, but for its pointers.
pub(crate) trait Contents {
    #[track_caller]
    fn check(&self, thing: &Thing);
}

pub(crate) fn number_of(id: usize) -> u64 {
    (id as u64 + 1).wrapping_mul(0xD6E8_FEB8_6659_FD93)
}

pub(crate) fn byte_of(id: usize, index: usize) -> u8 {
    (number_of(id) >> 32) as u8 ^ (index as u8).wrapping_mul(31)
}

pub(crate) fn text_of(id: usize, length: usize) -> String {
    format!("{id}äß").chars().cycle().take(length).collect()
}

pub(crate) fn large_words(id: usize) -> [u64; 5000] {
    [number_of(id); 5000]
}

#[track_caller]
fn check_token(token: &Token, thing: &Thing, index: usize) {
    token.assert_live();
    assert_eq!(token.entry(), thing.tokens.start + index, "object {} has a token of another", thing.id);
}

impl Contents for Node<'_> {
    fn check(&self, thing: &Thing) {
        assert_eq!(self.number, number_of(thing.id), "a node is not the one it was");
        check_token(&self.token, thing, 0);
        let number = if let Value::Number(number) = self.tagged.load() { Some(number) } else { None };
        assert_eq!(number, thing.number, "the tagged field of object {}", thing.id);
    }
}

impl Contents for Cells<'_> {
    fn check(&self, thing: &Thing) {
        assert_eq!(self.len(), thing.length);
    }
}

impl Contents for [Gc<'_, Node<'_>>] {
    fn check(&self, thing: &Thing) {
        assert_eq!(self.len(), thing.length);
    }
}

impl Contents for [Token] {
    fn check(&self, thing: &Thing) {
        assert_eq!(self.len(), thing.length);
        for (index, token) in self.iter().enumerate() {
            check_token(token, thing, index);
        }
    }
}

impl Contents for Table<'_> {
    fn check(&self, thing: &Thing) {
        assert_eq!(self.header.number, number_of(thing.id), "a header is not the one it was");
        assert_eq!(self.slice.len(), thing.length);
        let elements = self.slice.iter().map(|place| &place.token);
        for (index, token) in std::iter::once(&self.header.token).chain(elements).enumerate() {
            check_token(token, thing, index);
        }
    }
}

impl Contents for str {
    fn check(&self, thing: &Thing) {
        assert_eq!(self, text_of(thing.id, thing.length), "a text has changed");
    }
}

impl Contents for [u8] {
    fn check(&self, thing: &Thing) {
        assert_eq!(self.len(), thing.length);
        let right = self.iter().enumerate().all(|(index, &byte)| byte == byte_of(thing.id, index));
        assert!(right, "the bytes of object {} have changed", thing.id);
    }
}

impl Contents for Registry<'_> {
    fn check(&self, thing: &Thing) {
        check_token(&self.token, thing, 0);
        assert!(
            self.map.len() <= thing.entries.len(),
            "map {} has entries that nobody made, or that are dead",
            thing.id
        );
    }
}

impl Contents for Plain {
    fn check(&self, thing: &Thing) {
        assert_eq!(self.words, [number_of(thing.id); 3]);
    }
}

impl Contents for Large {
    fn check(&self, thing: &Thing) {
        assert!(self.words == large_words(thing.id), "the words of object {} have changed", thing.id);
        check_token(&self.token, thing, 0);
    }
}

impl Contents for Aligned {
    fn check(&self, thing: &Thing) {
        assert!((&raw const *self).addr().is_multiple_of(256));
        check_token(&self.token, thing, 0);
    }
}

impl Contents for Page {
    fn check(&self, thing: &Thing) {
        assert!((&raw const *self).addr().is_multiple_of(4096));
        assert_eq!(self.word, number_of(thing.id));
        check_token(&self.token, thing, 0);
    }
}

impl Contents for () {
    fn check(&self, _: &Thing) {}
}

impl Contents for Vault {
    fn check(&self, thing: &Thing) {
        check_token(&self.token, thing, 0);
        let keepers = self.keepers.lock();
        let keeps = thing.keeps.as_ref().expect("a vault keeps something");
        assert_eq!(keepers.pinner.len(), keeps.pins.len());
        assert_eq!(keepers.root.is_some(), keeps.root.is_some());
    }
}
