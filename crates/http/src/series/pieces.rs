//! Chooses what to read of a series: single rows of a short range, else blocks of rows.

use std::collections::{BTreeMap, BTreeSet};

use crate::problem::Problem;
use crate::state::AppState;
use stepwell_base::ids::{RunId, StepId};
use stepwell_store::{Extremes, Reader, SeriesRange, StoreError};

/// Rows that are read as they are; longer ranges come from blocks.
const MOST_ROWS: u64 = 8000;
/// Rows without a block that are read as they are. A running training has fewer.
const MOST_LOOSE: u64 = 2000;
/// Blocks that are made in one transaction, which takes about 10 ms: the engine waits for it.
const BLOCKS: usize = 64;

/// A range of the rows of one step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    pub run: RunId,
    pub step: StepId,
    pub range: SeriesRange,
}

pub type Pieces = BTreeMap<String, Vec<Extremes>>;

/// The names of the series of these steps, with the number of their values.
///
/// # Errors
/// When the rows cannot be read.
pub fn names(reader: &Reader, parts: &[Part]) -> Result<BTreeMap<String, u64>, Problem> {
    let mut names = BTreeMap::new();
    for part in parts {
        for (name, count) in reader.series_names((part.run, &part.step), part.range)? {
            *names.entry(name).or_default() += count;
        }
    }
    Ok(names)
}

/// The pieces of each name, in order: at least a quarter of `points`, and not many times more.
///
/// # Errors
/// When the rows cannot be read.
pub fn pieces(reader: &Reader, parts: &[Part], names: &BTreeSet<String>, points: u64) -> Result<Pieces, Problem> {
    let mut found: Pieces = names.iter().map(|name| (name.clone(), Vec::new())).collect();
    let mut rows = 0;
    for Part { run, step, range } in parts {
        rows += reader.count_rows((*run, step), *range, MOST_ROWS + 1)?;
    }
    let level = match rows {
        0..=MOST_ROWS => 0,
        _ => {
            let ranges: Vec<_> = parts.iter().map(|part| ((part.run, &part.step), part.range)).collect();
            reader.series_level(&ranges, (points / 4).max(1))?
        }
    };
    for Part { run, step, range } in parts {
        reader.series_pieces((*run, step), *range, level, names, |name, extremes| {
            if let Some(pieces) = found.get_mut(name) {
                pieces.push(extremes);
            }
        })?;
    }
    Ok(found)
}

/// Makes the blocks that long series lack, such as those of a database that an older build wrote. Where that is not
/// possible, the rows are read as they are.
pub async fn build_blocks(app: &AppState, parts: &[Part]) -> Result<(), Problem> {
    for Part { run, step, .. } in parts {
        let (run, of) = (*run, step.clone());
        if app.read(move |reader| Ok(reader.loose_rows(run, &of, MOST_LOOSE + 1)?)).await? <= MOST_LOOSE {
            continue;
        }
        loop {
            let of = step.clone();
            let built = app.write(move |store| Ok(store.build_blocks(run, &of, BLOCKS).map_err(full)?)).await;
            match built {
                Ok(false) => tokio::task::yield_now().await,
                Ok(true) | Err(_) => break,
            }
        }
    }
    Ok(())
}

fn full(error: StoreError) -> StoreError {
    tracing::warn!("the blocks of a series cannot be made: {error}");
    error
}
