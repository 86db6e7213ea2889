//! Survivors that are accepted, by name, each with the reason.

const ACCEPTED: &[(&str, &str)] = &[];

/// Why a mutant may survive, if it may.
pub(super) fn reason(name: &str) -> Option<&'static str> {
    ACCEPTED.iter().find(|(accepted, _)| *accepted == name).map(|(_, reason)| *reason)
}
