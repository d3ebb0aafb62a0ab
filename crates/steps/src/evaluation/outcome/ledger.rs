//! Records of an evaluation that are safe: a killed one continues after its last checkpoint.
//!
//! A checkpoint is a folder of segments, each the records since the one before. Items have one order, so the number of records
//! says where to continue, and a continued evaluation has the bits of an uninterrupted one.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::json;

use super::record::Record;
use crate::corpus_documents::{NDJSON, write_line};
use crate::handler::{StepContext, StepError};
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::failure::Failure;

/// Time between two checkpoints: the work that a kill repeats at most.
const PAUSE: Duration = Duration::from_secs(2);
/// Format of segments, in the state of a checkpoint.
const FORMAT: u64 = 1;

pub struct Ledger {
    segments: BTreeMap<String, ArtifactRef>,
    /// Lines of the segment that is not safe yet.
    open: Vec<u8>,
    records: u64,
    saved: Instant,
    pause: Duration,
}

impl Ledger {
    /// Continues after the newest checkpoint that can be read; `known` gets its records in order.
    pub fn resume(context: &mut StepContext<'_>, mut known: impl FnMut(Record)) -> Ledger {
        let mut ledger =
            Ledger { segments: BTreeMap::new(), open: Vec::new(), records: 0, saved: Instant::now(), pause: PAUSE };
        let checkpoints = context.request.checkpoints.iter().filter(|checkpoint| checkpoint.state["format"] == FORMAT);
        let artifacts: Vec<ArtifactRef> = checkpoints.filter_map(|checkpoint| checkpoint.artifact.clone()).collect();
        for artifact in artifacts {
            match read(context, &artifact) {
                Ok((segments, records)) => {
                    ledger.segments = segments;
                    ledger.records = records.len() as u64;
                    records.into_iter().for_each(&mut known);
                    break;
                }
                Err(failure) => {
                    context.reporter.note(format!("a checkpoint of this evaluation is unusable: {failure}"))
                }
            }
        }
        ledger
    }

    /// Adds records. They are safe after the next checkpoint.
    ///
    /// # Errors
    /// When a record is no JSON.
    pub fn append(&mut self, records: &[Record]) -> Result<(), Failure> {
        for record in records {
            write_line(&mut self.open, record)
                .map_err(|error| Failure::fatal(format!("cannot describe an item: {error}")))?;
            self.records += 1;
        }
        Ok(())
    }

    /// Makes a checkpoint if the last one is some time ago.
    ///
    /// # Errors
    /// When it cannot be written, or the engine has gone.
    pub fn save_sometimes(&mut self, context: &mut StepContext<'_>) -> Result<(), StepError> {
        if self.saved.elapsed() < self.pause || self.open.is_empty() {
            return Ok(());
        }
        self.close_segment(context)?;
        let artifact = context.artifacts.put_tree(&self.segments)?;
        context.reporter.checkpoint(Checkpoint {
            artifact: Some(artifact),
            state: json!({ "format": FORMAT, "items": self.records }),
            keep: Some(1),
            ..Checkpoint::default()
        })?;
        self.saved = Instant::now();
        Ok(())
    }

    /// Publishes all records as one file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn publish(mut self, context: &StepContext<'_>) -> Result<ArtifactRef, Failure> {
        if self.segments.is_empty() {
            return Ok(context.artifacts.put_bytes(&self.open, NDJSON)?);
        }
        self.close_segment(context)?;
        let bytes = self.segments.values().map(|segment| segment.size).sum();
        let mut parts = self.segments.values().map(|segment| context.artifacts.read(segment));
        Ok(context.artifacts.put_written(bytes, NDJSON, |writer| {
            parts.try_for_each(|part| writer.write_all(&part.map_err(std::io::Error::other)?))
        })?)
    }

    fn close_segment(&mut self, context: &StepContext<'_>) -> Result<(), Failure> {
        if !self.open.is_empty() {
            let segment = context.artifacts.put_bytes(&self.open, NDJSON)?;
            // Twelve digits keep the order of names that of numbers.
            self.segments.insert(format!("{:012}.jsonl", self.records), segment);
            self.open.clear();
        }
        Ok(())
    }
}

type Segments = BTreeMap<String, ArtifactRef>;

fn read(context: &StepContext<'_>, artifact: &ArtifactRef) -> Result<(Segments, Vec<Record>), Failure> {
    let segments = context.artifacts.read_tree(artifact)?.entries;
    let mut records = Vec::new();
    for segment in segments.values() {
        for line in context.artifacts.read(segment)?.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            records.push(
                serde_json::from_slice(line)
                    .map_err(|error| Failure::fatal(format!("its segment {} is damaged: {error}", segment.digest)))?,
            );
        }
    }
    Ok((segments, records))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::tests::{Recorder, StepLab};

    fn record(item: u64) -> Record {
        Record {
            task: "t".to_owned(),
            item,
            group: None,
            digest: "0".to_owned(),
            scores: BTreeMap::from([("nats".to_owned(), item as f64 / 3.0)]),
            nats: vec![0.1 + 0.2],
            answer: None,
        }
    }

    fn numbers(lab: &StepLab, recorder: &mut Recorder) -> Vec<u64> {
        lab.attempt(&Value::Null, recorder, |context| {
            let mut found = Vec::new();
            let _ = Ledger::resume(context, |record| found.push(record.item));
            Ok(found)
        })
        .unwrap()
    }

    #[test]
    fn what_a_checkpoint_has_is_known_to_the_next_attempt_and_the_file_is_whole() {
        let lab = StepLab::new();
        let mut recorder = Recorder::default();
        let published = lab
            .attempt(&Value::Null, &mut recorder, |context| {
                let mut ledger = Ledger::resume(context, |_| panic!("nothing is known"));
                ledger.pause = Duration::ZERO;
                for item in 1..=12 {
                    ledger.append(&[record(item)])?;
                    if item % 5 == 0 {
                        ledger.save_sometimes(context)?;
                    }
                }
                Ok(ledger.publish(context)?)
            })
            .unwrap();
        let bytes = lab.artifacts.read(&published).unwrap();
        let lines: Vec<Record> = bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        assert_eq!(lines, (1..=12).map(record).collect::<Vec<_>>());
        assert_eq!(numbers(&lab, &mut recorder), (1..=10).collect::<Vec<_>>());
    }

    #[test]
    fn a_damaged_checkpoint_is_told_and_passed_over() {
        let lab = StepLab::new();
        let mut recorder = Recorder::default();
        lab.attempt(&Value::Null, &mut recorder, |context| {
            let mut ledger = Ledger::resume(context, |_| {});
            ledger.pause = Duration::ZERO;
            ledger.append(&[record(1)])?;
            ledger.save_sometimes(context)
        })
        .unwrap();
        let mut broken = recorder.checkpoints[0].clone();
        broken.artifact = Some(
            lab.artifacts
                .put_tree(&BTreeMap::from([(
                    "1.jsonl".to_owned(),
                    lab.artifacts.put_bytes(b"no record\n", NDJSON).unwrap(),
                )]))
                .unwrap(),
        );
        recorder.checkpoints.push(broken);
        assert_eq!(numbers(&lab, &mut recorder), [1]);
        assert_eq!(recorder.notes.len(), 1);
    }
}
