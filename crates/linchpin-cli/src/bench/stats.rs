//! The statistics of the tables: median, spread, geometric mean, and the Mann-Whitney U test that
//! says whether two sets of samples differ by more than chance.

/// Differences with a p-value from here on are shown as none.
pub(crate) const SIGNIFICANT: f64 = 0.05;

/// The number of samples in both sets together up to which the U test is exact.
const EXACT_LIMIT: usize = 60;

/// The median of `values`, which must not be empty.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

/// The greatest distance of a value from the median, as a part of the median.
pub(crate) fn spread(values: &[f64]) -> f64 {
    let centre = median(values);
    let farthest = values.iter().map(|value| (value - centre).abs()).fold(0.0, f64::max);
    if farthest == 0.0 { 0.0 } else { farthest / centre }
}

/// The geometric mean, if there are values and all are above zero.
pub(crate) fn geometric_mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() || values.iter().any(|&value| value <= 0.0) {
        return None;
    }
    Some((values.iter().map(|value| value.ln()).sum::<f64>() / values.len() as f64).exp())
}

/// The two-sided p-value of the Mann-Whitney U test: how likely it is that two sets from one
/// distribution are at least as far apart. `None` if a set is empty or all values are the same,
/// when there is nothing to test.
pub(crate) fn mann_whitney_p(first: &[f64], second: &[f64]) -> Option<f64> {
    let all: Vec<f64> = first.iter().chain(second).copied().collect();
    if first.is_empty() || second.is_empty() || all.iter().all(|&value| value == all[0]) {
        return None;
    }
    let ranks = doubled_ranks(&all);
    let p = if all.len() <= EXACT_LIMIT { exact_p(&ranks, first.len()) } else { approximate_p(&ranks, first.len()) };
    Some(p.min(1.0))
}

/// The least p-value that sets of these sizes can have, which is when they do not overlap.
pub(crate) fn least_p(first_count: usize, second_count: usize) -> f64 {
    let choices: f64 = (1..=first_count).map(|index| (second_count + index) as f64 / index as f64).product();
    (2.0 / choices).min(1.0)
}

/// Twice the rank of each value, counted from one; equal values share the mean of their ranks,
/// which twice is a whole number.
fn doubled_ranks(values: &[f64]) -> Vec<usize> {
    let below = |value: f64| values.iter().filter(|&&other| other < value).count();
    let equal = |value: f64| values.iter().filter(|&&other| other == value).count();
    values.iter().map(|&value| 2 * below(value) + equal(value) + 1).collect()
}

/// Counts, over all ways to choose the first set out of `ranks`, those whose rank sum is at least
/// as extreme as the one seen. Ties need no correction, since their shared ranks are chosen from.
fn exact_p(ranks: &[usize], first_count: usize) -> f64 {
    let seen: usize = ranks[..first_count].iter().sum();
    let greatest: usize = ranks.iter().sum();
    // ways[count][sum]: how many choices of `count` ranks have that sum.
    let mut ways = vec![vec![0.0_f64; greatest + 1]; first_count + 1];
    ways[0][0] = 1.0;
    for &rank in ranks {
        // Downwards, so that no rank is chosen twice.
        for count in (1..=first_count).rev() {
            for sum in (rank..=greatest).rev() {
                ways[count][sum] += ways[count - 1][sum - rank];
            }
        }
    }
    let total: f64 = ways[first_count].iter().sum();
    let at_most: f64 = ways[first_count][..=seen].iter().sum();
    let at_least: f64 = ways[first_count][seen..].iter().sum();
    2.0 * at_most.min(at_least) / total
}

/// The normal approximation with corrections for ties and for continuity.
fn approximate_p(ranks: &[usize], first_count: usize) -> f64 {
    let count = ranks.len() as f64;
    let (first, second) = (first_count as f64, count - first_count as f64);
    let rank_sum = ranks[..first_count].iter().sum::<usize>() as f64 / 2.0;
    let u = rank_sum - first * (first + 1.0) / 2.0;
    let mut sorted = ranks.to_vec();
    sorted.sort_unstable();
    let ties: f64 =
        sorted.chunk_by(|left, right| left == right).map(|run| (run.len() as f64).powi(3) - run.len() as f64).sum();
    let variance = first * second / 12.0 * (count + 1.0 - ties / (count * (count - 1.0)));
    let distance = ((u - first * second / 2.0).abs() - 0.5).max(0.0) / variance.sqrt();
    2.0 * normal_tail(distance)
}

/// The part of the normal distribution beyond `distance` (not negative) standard deviations:
/// the density integrated by Simpson's rule, which is near enough at twelve deviations' width.
fn normal_tail(distance: f64) -> f64 {
    const STEPS: usize = 2000;
    let width = 12.0 / STEPS as f64;
    let density = |x: f64| (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let sum: f64 = (0..=STEPS)
        .map(|step| {
            let weight = match step {
                0 | STEPS => 1.0,
                step if step % 2 == 1 => 4.0,
                _ => 2.0,
            };
            weight * density(distance + step as f64 * width)
        })
        .sum();
    sum * width / 3.0
}

#[cfg(test)]
mod tests {
    use super::{approximate_p, doubled_ranks, geometric_mean, least_p, mann_whitney_p, median, spread};

    fn assert_near(value: f64, expected: f64, tolerance: f64) {
        assert!((value - expected).abs() < tolerance, "{value} is not near {expected}");
    }

    #[test]
    fn medians_and_spreads() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_near(spread(&[90.0, 100.0, 105.0]), 0.10, 1e-12);
        assert_eq!(spread(&[0.0, 0.0]), 0.0);
    }

    #[test]
    fn geometric_means() {
        assert_near(geometric_mean(&[1.0, 100.0]).unwrap(), 10.0, 1e-9);
        assert_eq!(geometric_mean(&[1.0, 0.0]), None);
        assert_eq!(geometric_mean(&[]), None);
    }

    #[test]
    fn sets_that_do_not_overlap() {
        let low = [1.0, 2.0, 3.0, 4.0, 5.0];
        let high = [6.0, 7.0, 8.0, 9.0, 10.0];
        // Two of the 252 ways to choose five out of ten.
        assert_near(mann_whitney_p(&low, &high).unwrap(), 2.0 / 252.0, 1e-12);
        assert_near(mann_whitney_p(&high, &low).unwrap(), 2.0 / 252.0, 1e-12);
        // The same when each set holds one value over and over.
        assert_near(mann_whitney_p(&[9.0; 5], &[0.0; 5]).unwrap(), 2.0 / 252.0, 1e-12);
        assert_near(mann_whitney_p(&low[..3], &high[..3]).unwrap(), 0.1, 1e-12);
        assert_near(mann_whitney_p(&low[..4], &high[..4]).unwrap(), 2.0 / 70.0, 1e-12);
    }

    #[test]
    fn few_samples_cannot_be_significant() {
        assert_near(least_p(5, 5), 2.0 / 252.0, 1e-12);
        assert_near(least_p(3, 3), 0.1, 1e-12);
        assert_eq!(least_p(1, 1), 1.0);
        assert_eq!(least_p(0, 5), 1.0);
    }

    #[test]
    fn sets_that_overlap() {
        // From published tables of U: n = 5 + 5, U = 2 gives 0.032; U = 4 gives 0.095.
        let first = [1.0, 2.0, 3.0, 4.0, 7.0];
        let second = [5.0, 6.0, 8.0, 9.0, 10.0];
        assert_near(mann_whitney_p(&first, &second).unwrap(), 0.0317, 1e-4);
        let first = [1.0, 2.0, 3.0, 6.0, 7.0];
        let second = [4.0, 5.0, 8.0, 9.0, 10.0];
        assert_near(mann_whitney_p(&first, &second).unwrap(), 0.0952, 1e-4);
        // Entwined sets say nothing.
        assert!(mann_whitney_p(&[1.0, 3.0, 5.0], &[2.0, 4.0, 6.0]).unwrap() > 0.6);
    }

    #[test]
    fn nothing_to_test() {
        assert_eq!(mann_whitney_p(&[0.0; 5], &[0.0; 5]), None);
        assert_eq!(mann_whitney_p(&[], &[1.0]), None);
    }

    #[test]
    fn many_samples_use_the_normal_distribution() {
        let first: Vec<f64> = (0..10).map(f64::from).collect();
        let second: Vec<f64> = (0..10).map(|value| f64::from(value) + 3.5).collect();
        let all: Vec<f64> = first.iter().chain(&second).copied().collect();
        let exact = mann_whitney_p(&first, &second).unwrap();
        assert_near(approximate_p(&doubled_ranks(&all), first.len()), exact, 0.005);
        let low: Vec<f64> = (0..40).map(f64::from).collect();
        let high: Vec<f64> = (40..80).map(f64::from).collect();
        assert!(mann_whitney_p(&low, &high).unwrap() < 1e-6);
    }
}
