//! What is run, and in which sizes.

/// Everything that can be asked for.
pub(super) const WORKLOADS: [&str; 10] =
    ["trees", "gcbench", "alloc", "churn", "cache", "hiccup", "types", "array", "list", "pinner"];

/// A workload in one size.
pub(super) struct Case {
    /// Its name, which all programs know.
    pub(super) workload: &'static str,
    /// Workload and size, for a reader.
    pub(super) title: String,
    /// The same for a file's name.
    pub(super) slug: String,
    /// The arguments of the runs that are measured.
    pub(super) measured: Vec<String>,
    /// Those of a run in which all do the same number of steps, if the measured ones go on for a time instead.
    pub(super) checked: Option<Vec<String>>,
}

impl Case {
    fn new(workload: &'static str, size: &str, measured: &str, checked: Option<&str>) -> Case {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let title = if size.is_empty() { workload.to_owned() } else { format!("{workload}, {size}") };
        let slug = title.replace(", ", "-").replace(' ', "-");
        Case { workload, title, slug, measured: words(measured), checked: checked.map(words) }
    }
}

/// All of them but the pinner, whose table the program makes by itself.
pub(super) fn all(quick: bool, secs: u64) -> Vec<Case> {
    if quick {
        return vec![
            Case::new("trees", "depth 12", "--depth 12", None),
            Case::new("gcbench", "depth 10", "--depth 10 --array 100000", None),
            Case::new("alloc", "", "--n 500000", None),
            Case::new("churn", "", "--nodes 50000 --steps 200000", None),
            Case::new("cache", "", "--slots 10000 --steps 100000", None),
            Case::new("hiccup", "", "--steps 5000", None),
            Case::new("types", "", "--n 1000000", None),
            Case::new("array", "", "--slots 100000 --n 200000", None),
            Case::new("list", "", "--nodes 100000 --collections 3", None),
        ];
    }
    let timed = format!("--secs {secs}");
    vec![
        Case::new("trees", "depth 18", "--depth 18", None),
        Case::new("trees", "depth 20", "--depth 20", None),
        Case::new("gcbench", "", "", None),
        Case::new("alloc", "", "", None),
        Case::new("churn", "", &timed, Some("--steps 2000000")),
        Case::new("cache", "", &timed, Some("--steps 1000000")),
        Case::new("hiccup", "", &timed, Some("--steps 50000")),
        Case::new("types", "", "", None),
        Case::new("array", "", "", None),
        Case::new("list", "", "", None),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_workload_has_a_case_and_each_case_a_file_of_its_own() {
        for quick in [false, true] {
            let cases = all(quick, 5);
            for workload in WORKLOADS.iter().filter(|workload| **workload != "pinner") {
                assert!(cases.iter().any(|case| case.workload == *workload), "{workload}");
            }
            let mut slugs: Vec<&str> = cases.iter().map(|case| case.slug.as_str()).collect();
            slugs.sort_unstable();
            slugs.dedup();
            assert_eq!(slugs.len(), cases.len());
        }
    }

    #[test]
    fn all_do_the_same_steps_somewhere() {
        for case in all(false, 5).iter().chain(&all(true, 5)) {
            let by_time = |arguments: &[String]| arguments.iter().any(|argument| argument == "--secs");
            assert_eq!(by_time(&case.measured), case.checked.is_some(), "{}", case.title);
            assert!(case.checked.as_ref().is_none_or(|arguments| !by_time(arguments)));
        }
    }
}
