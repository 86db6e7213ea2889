//! What can be asked for, by the builder or by the environment variable `LINCHPIN`.

use std::ffi::OsStr;
use std::fmt;
use std::str::FromStr;

use crate::error::SettingError;

/// The environment variable that is read when a heap is built.
pub(crate) const VARIABLE: &str = "LINCHPIN";
/// The longest delay that may be asked for, in microseconds.
const LONGEST_DELAY: u64 = 1_000_000;

/// How much a heap verifies itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Verify {
    /// Not at all.
    #[default]
    Off,
    /// In every cycle. A broken invariant ends the process (unless a hook decides otherwise); a pointer that a type's
    /// `trace` seems to have forgotten is reported.
    On,
    /// As `On`, and a pointer that seems forgotten counts as a broken invariant.
    Strict,
}

/// Switches for tests and for the search for errors: a heap that verifies itself, and that is disturbed so that errors show.
///
/// Given to [`HeapBuilder::debug`](crate::HeapBuilder::debug), or by the environment variable `LINCHPIN`, which holds
/// settings with commas between them, each `name` or `name=value`; it is read when a heap is built, and what the builder
/// sets goes before it. Everything is off by default.
///
/// | setting | what it does |
/// | --- | --- |
/// | `verify`, `verify=strict` | checks the heap's invariants in every cycle; see [`Verify`] |
/// | `poison` | fills free memory with a pattern, and checks on allocation that nobody has written there |
/// | `collect_every=N` | asks for a cycle after every N allocations of a processor |
/// | `delay_handshakes=MICROSECONDS` | handshakes are delayed at random, by so much at most |
/// | `move_mutations` | a thread takes another processor for each mutation, at random |
/// | `seed=N` | what the random choices follow from |
/// | `gctrace` | prints a line for each cycle when it has ended: a [`CycleReport`](crate::CycleReport) |
///
/// ```
/// use linchpin::{BuildError, DebugSettings, Heap, Verify};
///
/// let settings = DebugSettings::new().verify(Verify::Strict).poison(true).collect_every(100);
/// assert_eq!("verify=strict,poison,collect_every=100".parse(), Ok(settings.clone()));
/// let heap = Heap::builder().debug(settings).build()?;
/// let error = "verify,poisson".parse::<DebugSettings>().unwrap_err();
/// assert!(error.to_string().contains("`poisson`"));
/// # Ok::<(), BuildError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use]
pub struct DebugSettings {
    verify: Option<Verify>,
    poison: Option<bool>,
    collect_every: Option<u64>,
    delay_handshakes: Option<u64>,
    move_mutations: Option<bool>,
    seed: Option<u64>,
    gctrace: Option<bool>,
}

impl DebugSettings {
    /// Nothing set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the heap verifies itself in every cycle.
    pub fn verify(mut self, verify: Verify) -> Self {
        self.verify = Some(verify);
        self
    }

    /// Whether free memory is filled with a pattern, which is checked before the memory is used again.
    pub fn poison(mut self, on: bool) -> Self {
        self.poison = Some(on);
        self
    }

    /// Asks for a cycle after so many allocations of a processor, at least 1.
    pub fn collect_every(mut self, allocations: u64) -> Self {
        self.collect_every = Some(allocations);
        self
    }

    /// Delays handshakes at random, by so many microseconds at most (up to a million; 0 for not at all).
    pub fn delay_handshakes(mut self, microseconds: u64) -> Self {
        self.delay_handshakes = Some(microseconds);
        self
    }

    /// Whether a thread takes another processor for each mutation.
    pub fn move_mutations(mut self, on: bool) -> Self {
        self.move_mutations = Some(on);
        self
    }

    /// What the random choices follow from.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Whether each cycle is printed when it has ended.
    pub fn gctrace(mut self, on: bool) -> Self {
        self.gctrace = Some(on);
        self
    }

    /// What is not set here, as `other` has it.
    fn or(self, other: Self) -> Self {
        Self {
            verify: self.verify.or(other.verify),
            poison: self.poison.or(other.poison),
            collect_every: self.collect_every.or(other.collect_every),
            delay_handshakes: self.delay_handshakes.or(other.delay_handshakes),
            move_mutations: self.move_mutations.or(other.move_mutations),
            seed: self.seed.or(other.seed),
            gctrace: self.gctrace.or(other.gctrace),
        }
    }

    fn check(&self) -> Result<(), SettingError> {
        if self.collect_every == Some(0) {
            return Err(SettingError::new("collect_every", "needs a number of allocations from 1 on, not 0"));
        }
        if let Some(delay) = self.delay_handshakes.filter(|&delay| delay > LONGEST_DELAY) {
            let problem = format!("takes at most {LONGEST_DELAY} microseconds, not {delay}");
            return Err(SettingError::new("delay_handshakes", &problem));
        }
        Ok(())
    }

    fn set(&mut self, item: &str) -> Result<(), SettingError> {
        let (name, value) = match item.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim())),
            None => (item, None),
        };
        match name {
            "verify" => {
                self.verify = Some(match value {
                    None | Some("1") => Verify::On,
                    Some("0") => Verify::Off,
                    Some("strict") => Verify::Strict,
                    Some(other) => return Err(SettingError::bad_value(name, other, "0, 1 or strict")),
                });
            }
            "poison" => self.poison = Some(switch(name, value)?),
            "collect_every" => self.collect_every = Some(number(name, value)?),
            "delay_handshakes" => self.delay_handshakes = Some(number(name, value)?),
            "move_mutations" => self.move_mutations = Some(switch(name, value)?),
            "seed" => self.seed = Some(number(name, value)?),
            "gctrace" => self.gctrace = Some(switch(name, value)?),
            unknown => return Err(SettingError::new(unknown, "is not known")),
        }
        self.check()
    }
}

fn switch(name: &str, value: Option<&str>) -> Result<bool, SettingError> {
    match value {
        None | Some("1") => Ok(true),
        Some("0") => Ok(false),
        Some(other) => Err(SettingError::bad_value(name, other, "nothing, 0 or 1")),
    }
}

fn number(name: &str, value: Option<&str>) -> Result<u64, SettingError> {
    let Some(value) = value else {
        return Err(SettingError::new(name, &format!("needs a number: {name}=N")));
    };
    value.parse().map_err(|_| SettingError::bad_value(name, value, "a number"))
}

impl FromStr for DebugSettings {
    type Err = SettingError;

    /// Reads settings as the environment variable has them; of two for the same thing the last one counts.
    fn from_str(text: &str) -> Result<Self, SettingError> {
        let mut settings = Self::default();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            settings.set(item)?;
        }
        Ok(settings)
    }
}

impl fmt::Display for DebugSettings {
    /// Writes the settings as the environment variable would have them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verify = self.verify.map(|verify| match verify {
            Verify::Off => "verify=0".to_owned(),
            Verify::On => "verify".to_owned(),
            Verify::Strict => "verify=strict".to_owned(),
        });
        let switch = |name: &str, on: Option<bool>| on.map(|on| if on { name.to_owned() } else { format!("{name}=0") });
        let number = |name: &str, value: Option<u64>| value.map(|value| format!("{name}={value}"));
        let items = [
            verify,
            switch("poison", self.poison),
            number("collect_every", self.collect_every),
            number("delay_handshakes", self.delay_handshakes),
            switch("move_mutations", self.move_mutations),
            number("seed", self.seed),
            switch("gctrace", self.gctrace),
        ];
        f.write_str(&items.into_iter().flatten().collect::<Vec<_>>().join(","))
    }
}

/// The settings of a heap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) verify: Verify,
    pub(crate) poison: bool,
    /// 0: never.
    pub(crate) collect_every: u64,
    /// In microseconds; 0: none.
    pub(crate) delay_handshakes: u64,
    pub(crate) move_mutations: bool,
    pub(crate) seed: u64,
    pub(crate) gctrace: bool,
    /// Every allocation takes the slow path.
    pub(crate) slow_allocations: bool,
}

/// The settings of a heap built with `explicit` ones while the environment variable has the value `environment`.
pub(crate) fn resolve(explicit: DebugSettings, environment: Option<&OsStr>) -> Result<Resolved, SettingError> {
    explicit.check()?;
    let settings = match environment {
        None => explicit,
        Some(text) => {
            let Some(text) = text.to_str() else {
                return Err(SettingError::new(&text.to_string_lossy(), "is not valid UTF-8"));
            };
            explicit.or(text.parse()?)
        }
    };
    let poison = settings.poison.unwrap_or(false);
    let collect_every = settings.collect_every.unwrap_or(0);
    Ok(Resolved {
        verify: settings.verify.unwrap_or_default(),
        poison,
        collect_every,
        delay_handshakes: settings.delay_handshakes.unwrap_or(0),
        move_mutations: settings.move_mutations.unwrap_or(false),
        seed: settings.seed.unwrap_or(1),
        gctrace: settings.gctrace.unwrap_or(false),
        slow_allocations: poison || collect_every != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_environment(text: &str) -> Result<Resolved, SettingError> {
        resolve(DebugSettings::new(), Some(OsStr::new(text)))
    }

    #[test]
    fn the_environment_is_read_item_by_item() {
        assert_eq!(from_environment(""), Ok(Resolved { seed: 1, ..Resolved::default() }));
        assert_eq!(
            from_environment(" verify , collect_every=7,,delay_handshakes = 30,seed=5,move_mutations,gctrace,poison=1"),
            Ok(Resolved {
                verify: Verify::On,
                poison: true,
                collect_every: 7,
                delay_handshakes: 30,
                move_mutations: true,
                seed: 5,
                gctrace: true,
                slow_allocations: true,
            })
        );
        assert_eq!(from_environment("verify=strict,verify=0").unwrap().verify, Verify::Off, "the last one counts");
        assert!(!from_environment("verify=strict,move_mutations").unwrap().slow_allocations);
    }

    #[test]
    fn what_is_wrong_is_said_with_the_settings_there_are() {
        for (text, name, problem) in [
            ("verify,poisson", "`poisson`", "is not known"),
            ("Verify", "`Verify`", "is not known"),
            ("verify=yes", "`verify`", "`yes`"),
            ("poison=2", "`poison`", "`2`"),
            ("collect_every", "`collect_every`", "needs a number"),
            ("collect_every=0", "`collect_every`", "from 1"),
            ("collect_every=-1", "`collect_every`", "`-1`"),
            ("delay_handshakes=1000001", "`delay_handshakes`", "at most 1000000"),
            ("seed=18446744073709551616", "`seed`", "a number"),
            ("=1", "``", "is not known"),
        ] {
            let message = from_environment(text).unwrap_err().to_string();
            assert!(message.contains(name) && message.contains(problem), "{text}: {message}");
            assert!(message.contains("move_mutations"), "the settings there are: {message}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_is_not_text_is_refused() {
        use std::os::unix::ffi::OsStrExt;
        let error = resolve(DebugSettings::new(), Some(OsStr::from_bytes(b"verify\xff"))).unwrap_err();
        assert!(error.to_string().contains("UTF-8"), "{error}");
    }

    #[test]
    fn the_builder_goes_before_the_environment() {
        let explicit = DebugSettings::new().verify(Verify::Off).collect_every(9);
        let resolved = resolve(explicit, Some(OsStr::new("verify=strict,collect_every=3,poison"))).unwrap();
        assert_eq!((resolved.verify, resolved.collect_every, resolved.poison), (Verify::Off, 9, true));
        assert!(resolve(DebugSettings::new().collect_every(0), None).is_err());
    }

    #[test]
    fn settings_are_written_as_they_are_read() {
        let settings = DebugSettings::new().verify(Verify::Strict).poison(false).collect_every(2).seed(u64::MAX);
        let text = settings.to_string();
        assert_eq!(text, "verify=strict,poison=0,collect_every=2,seed=18446744073709551615");
        assert_eq!(text.parse(), Ok(settings));
    }
}
