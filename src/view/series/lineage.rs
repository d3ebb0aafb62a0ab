//! Where the rows of a step are: in its own run, in the run that it was forked from, or in the run whose outputs it
//! reused.

use jiff::Timestamp;

use stepwell_base::ids::{RunId, StepId};

/// Most runs that one series is put together from.
const MOST_GENERATIONS: usize = 1000;

/// Rows of one step of one run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    pub run: RunId,
    pub step: StepId,
    /// The last step that counts; later rows belong to the run itself, not to its fork.
    pub up_to: Option<u64>,
}

/// The parts of a series, oldest first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Lineage {
    pub parts: Vec<Part>,
    /// The run whose rows at the start are gone, and the time when it was pruned.
    pub pruned: Option<(RunId, Timestamp)>,
}

/// How a step of a run came by its rows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Relation {
    Own,
    /// An equal step of another run did the work.
    Reused(RunId, StepId),
    /// The same step of another run did the work up to this training step.
    Forked(RunId, u64),
    Pruned(Timestamp),
}

/// Answers how a step of a run came by its rows.
pub trait Family {
    type Error;

    fn relation(&self, run: RunId, step: &StepId) -> Result<Relation, Self::Error>;
}

/// Finds all parts of a series.
pub fn lineage<F: Family>(family: &F, mut run: RunId, mut step: StepId) -> Result<Lineage, F::Error> {
    let mut found = Lineage::default();
    let mut up_to: Option<u64> = None;
    for _ in 0..MOST_GENERATIONS {
        match family.relation(run, &step)? {
            Relation::Own => {
                found.parts.push(Part { run, step, up_to });
                break;
            }
            Relation::Reused(source, there) => (run, step) = (source, there),
            Relation::Forked(parent, at) => {
                found.parts.push(Part { run, step: step.clone(), up_to });
                // A fork before the fork point of its parent cuts the parent's part off, too.
                up_to = Some(up_to.map_or(at, |limit| limit.min(at)));
                run = parent;
            }
            Relation::Pruned(at) => {
                found.pruned = Some((run, at));
                break;
            }
        }
    }
    found.parts.reverse();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::convert::Infallible;

    use uuid::Uuid;

    use super::*;

    struct Known(HashMap<(u128, &'static str), Relation>);

    impl Family for Known {
        type Error = Infallible;

        fn relation(&self, run: RunId, step: &StepId) -> Result<Relation, Infallible> {
            let found = self.0.iter().find(|((id, name), _)| run == id_of(*id) && step.as_str() == *name);
            Ok(found.map_or(Relation::Own, |(_, relation)| relation.clone()))
        }
    }

    fn id_of(number: u128) -> RunId {
        RunId(Uuid::from_u128(number))
    }

    fn parts(known: &[((u128, &'static str), Relation)], run: u128) -> Vec<(u128, String, Option<u64>)> {
        let family = Known(known.iter().cloned().collect());
        let Ok(found) = lineage(&family, id_of(run), StepId::from("train"));
        found.parts.into_iter().map(|part| (part.run.0.as_u128(), part.step.to_string(), part.up_to)).collect()
    }

    #[test]
    fn generations_of_forks_are_put_in_front() {
        let forks = [
            ((4, "train"), Relation::Forked(id_of(3), 30)),
            ((3, "train"), Relation::Forked(id_of(2), 50)),
            ((2, "train"), Relation::Reused(id_of(1), StepId::from("fit"))),
        ];
        let train = "train".to_owned();
        assert_eq!(parts(&forks, 1), [(1, train.clone(), None)]);
        assert_eq!(parts(&forks, 2), [(1, "fit".to_owned(), None)]);
        assert_eq!(parts(&forks, 3), [(1, "fit".to_owned(), Some(50)), (3, train.clone(), None)]);
        // Run 4 was forked from rows that run 3 itself has from run 1.
        assert_eq!(parts(&forks, 4), [(1, "fit".to_owned(), Some(30)), (3, train.clone(), Some(30)), (4, train, None)]);
    }

    #[test]
    fn a_pruned_parent_and_a_circle_end_the_search() {
        let at = Timestamp::UNIX_EPOCH;
        let family = Known(HashMap::from([
            ((2, "train"), Relation::Forked(id_of(1), 5)),
            ((1, "train"), Relation::Pruned(at)),
            ((9, "train"), Relation::Forked(id_of(9), 5)),
        ]));
        let Ok(found) = lineage(&family, id_of(2), StepId::from("train"));
        assert_eq!((found.parts.len(), found.pruned), (1, Some((id_of(1), at))));
        let Ok(found) = lineage(&family, id_of(9), StepId::from("train"));
        assert_eq!(found.parts.len(), MOST_GENERATIONS);
    }
}
