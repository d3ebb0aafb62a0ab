//! Writes the output file and the error file, in the order of the requests.

use std::io::{BufWriter, Write};

use super::durable::{Outcome, Segment};
use super::table::Table;
use super::work::Ended;
use crate::corpus_documents::{NDJSON, write_failure};
use crate::handler::StepContext;
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::failure::Failure;
use stepwell_base::faults::around;
use stepwell_batch::RowError;
use stepwell_batch::lines::LineProblem;
use stepwell_batch::results::{Counts, Header, answer_line, failure_line};

/// The files of a batch that has ended.
pub(super) struct Results {
    pub output: ArtifactRef,
    pub errors: ArtifactRef,
    pub counts: Counts,
}

/// Writes a line for every record: each in one of the two files, each once.
pub(super) fn write(
    context: &mut StepContext<'_>,
    table: &Table,
    segment: &Segment,
    header: &Header,
    ended: Ended,
) -> Result<Results, Failure> {
    let mut files = Files::new(context, header)?;
    files.counts.requests.total = table.total();
    let mut bad = table.bad.iter().peekable();
    for row in &table.rows {
        while let Some(problem) = bad.next_if(|problem| problem.line < Some(row.place.line)) {
            files.bad(problem)?;
        }
        let line = row.place.line;
        let loaded = table.load(row)?;
        let outcome = match &row.entry {
            Some(entry) => segment.read(entry).map_err(|error| Failure::io("cannot read an answer again", &error))?,
            None => Outcome::Failed(ended.error_of_open_rows()),
        };
        match outcome {
            Outcome::Answered(answer) => {
                let shape = (loaded.endpoint, loaded.model.as_str());
                files.counts.answered(answer.usage);
                put(&mut files.output, &answer_line(header, line, &loaded.custom_id, shape, &answer))?;
            }
            Outcome::Failed(error) => files.failed(line, Some(&loaded.custom_id), &error)?,
        }
    }
    for problem in bad {
        files.bad(problem)?;
    }
    files.finish()
}

struct Files<'a> {
    header: &'a Header,
    output: BufWriter<stepwell_artifact::ArtifactWriter>,
    errors: BufWriter<stepwell_artifact::ArtifactWriter>,
    counts: Counts,
}

impl<'a> Files<'a> {
    fn new(context: &StepContext<'_>, header: &'a Header) -> Result<Files<'a>, Failure> {
        let create = || Ok::<_, Failure>(BufWriter::with_capacity(1 << 18, context.artifacts.writer(NDJSON)?));
        Ok(Files { header, output: create()?, errors: create()?, counts: Counts::default() })
    }

    fn bad(&mut self, problem: &LineProblem) -> Result<(), Failure> {
        self.failed(problem.line.unwrap_or(0), problem.custom_id.as_deref(), &problem.error)
    }

    fn failed(&mut self, line: u64, custom_id: Option<&str>, error: &RowError) -> Result<(), Failure> {
        self.counts.failed(error.code);
        put(&mut self.errors, &failure_line(self.header, line, custom_id, error))
    }

    fn finish(self) -> Result<Results, Failure> {
        let publish = |file: BufWriter<stepwell_artifact::ArtifactWriter>| {
            let writer = file.into_inner().map_err(|error| write_failure("the results", error.error()))?;
            around!("batch.results.publish", writer.finish().map_err(Failure::from))
        };
        Ok(Results { output: publish(self.output)?, errors: publish(self.errors)?, counts: self.counts })
    }
}

fn put(file: &mut impl Write, line: &str) -> Result<(), Failure> {
    file.write_all(line.as_bytes()).map_err(|error| write_failure("the results", &error))
}
