//! Comparison with scipy and statsmodels, see `scripts/golden/make_statistics.py`.

use crate::{Confidence, benjamini_hochberg, cohen_h, mcnemar_corrected, mcnemar_exact, wilson};

const GOLDEN: &str = include_str!("../../../tests/fixtures/golden/statistics.txt");
/// Tables whose p-values are adjusted together.
const BLOCK: usize = 10;

struct Row {
    counts: [u64; 4],
    wanted: Vec<f64>,
}

fn row(line: &str) -> Row {
    let mut words = line.split(' ');
    let counts = std::array::from_fn(|_| words.next().unwrap().parse().unwrap());
    Row { counts, wanted: words.map(|word| word.parse().unwrap()).collect() }
}

#[track_caller]
fn close(found: f64, wanted: f64, what: &str, counts: [u64; 4]) {
    let scale = wanted.abs().max(1e-300);
    assert!((found - wanted).abs() <= 1e-9 * scale.min(1.0) + 1e-15, "{what} of {counts:?}: {found}, not {wanted}");
}

#[test]
fn a_thousand_tables_have_the_numbers_of_scipy_and_statsmodels() {
    let rows: Vec<Row> = GOLDEN.lines().map(row).collect();
    assert_eq!(rows.len(), 1000);
    for block in rows.chunks(BLOCK) {
        let p: Vec<f64> = block.iter().map(|row| mcnemar_exact(row.counts[1], row.counts[2]).p).collect();
        for (Row { counts, wanted }, adjusted) in block.iter().zip(benjamini_hochberg(&p)) {
            let [both, first, second, neither] = *counts;
            let trials = both + first + second + neither;
            let interval = wilson(both + first, trials, Confidence::P95).unwrap();
            let h = cohen_h((both + first) as f64 / trials as f64, (both + second) as f64 / trials as f64);
            let found = [
                ("the low end", interval.low),
                ("the high end", interval.high),
                ("the exact p", mcnemar_exact(first, second).p),
                ("the corrected p", mcnemar_corrected(first, second).p),
                ("Cohen's h", h),
                ("the adjusted p", adjusted),
            ];
            assert_eq!(wanted.len(), found.len());
            for ((what, found), wanted) in found.into_iter().zip(wanted) {
                close(found, *wanted, what, *counts);
            }
        }
    }
}
