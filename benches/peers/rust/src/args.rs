//! The arguments of all programs.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::fail;

/// Options that say how much of something there is.
const SIZES: [&str; 4] = ["--n", "--nodes", "--slots", "--array"];

/// How long a workload goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// For so many steps of each thread.
    Steps(u64),
    /// For so long.
    Time(Duration),
}

/// What the command line says.
#[derive(Debug)]
pub struct Args {
    /// The workload's name.
    pub workload: String,
    /// How many threads work.
    pub threads: u64,
    /// How long they work, if the workload does not say.
    pub limit: Limit,
    depth: Option<u32>,
    sizes: BTreeMap<String, u64>,
}

impl Args {
    /// Reads the command line, or ends the process with a message.
    pub fn read() -> Args {
        Args::parse(std::env::args().skip(1)).unwrap_or_else(|message| fail(&message))
    }

    /// The depth of the trees.
    pub fn depth(&self) -> u32 {
        self.depth.unwrap_or(18)
    }

    /// What an option of [`SIZES`] says, or `default` if it is not there.
    pub fn size(&self, option: &str, default: u64) -> u64 {
        self.sizes.get(option).copied().unwrap_or(default)
    }

    fn parse(mut words: impl Iterator<Item = String>) -> Result<Args, String> {
        let workload = words.next().ok_or("which workload?")?;
        let mut args = Args {
            workload,
            threads: 1,
            limit: Limit::Time(Duration::from_secs(5)),
            depth: None,
            sizes: BTreeMap::new(),
        };
        while let Some(option) = words.next() {
            if option == "--json" {
                continue;
            }
            let value = words.next().ok_or_else(|| format!("{option} needs a value"))?;
            let bad = || format!("{option} {value}: not a value of this option");
            let number = || value.parse::<u64>().map_err(|_| bad());
            match option.as_str() {
                "--threads" => args.threads = number().and_then(|n| if n == 0 { Err(bad()) } else { Ok(n) })?,
                "--steps" => args.limit = Limit::Steps(number()?),
                "--secs" => {
                    let seconds: f64 = value.parse().map_err(|_| bad())?;
                    args.limit = Limit::Time(Duration::try_from_secs_f64(seconds).map_err(|_| bad())?);
                }
                "--depth" => args.depth = Some(value.parse().map_err(|_| bad())?),
                size if SIZES.contains(&size) => {
                    let n = number().and_then(|n| if n == 0 { Err(bad()) } else { Ok(n) })?;
                    args.sizes.insert(option, n);
                }
                _ => return Err(format!("there is no option {option}")),
            }
        }
        Ok(args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, String> {
        Args::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_read() {
        let args = parse("churn --threads 2 --steps 7 --nodes 9 --depth 3 --json").unwrap();
        assert_eq!((args.workload.as_str(), args.threads, args.limit), ("churn", 2, Limit::Steps(7)));
        assert_eq!((args.size("--nodes", 5), args.depth()), (9, 3));
        assert_eq!(parse("cache --secs 0.5").unwrap().limit, Limit::Time(Duration::from_millis(500)));
        assert_eq!(parse("cache --n 3").unwrap().size("--slots", 5), 5);
    }

    #[test]
    fn nonsense_is_refused() {
        for line in ["", "cache --threads", "cache --threads 0", "cache --n x", "cache --what 1", "cache --secs -1"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
