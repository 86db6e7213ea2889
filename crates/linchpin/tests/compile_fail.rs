//! What must not compile, with the compiler's words: each file in `tests/ui` breaks one promise
//! of the types, and its `.stderr` shows that it fails for that reason.

#![cfg(not(loom))]

#[test]
fn broken_promises_do_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
