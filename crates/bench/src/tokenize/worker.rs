//! Our contestant: the encoder of the `tokenize` step.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Instant;

use flate2::Crc;
use serde::{Deserialize, Serialize};

use super::material::{DOCUMENTS, TOKENIZER};
use crate::contest::Host;
use crate::error::BenchError;
use stepwell_steps::text_codec::TextCodec;

/// Number of documents that are encoded together.
const BATCH: usize = 1000;

/// Answer of a contestant after one turn.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Encoded {
    pub seconds: f64,
    /// UTF-8 bytes of the text.
    pub bytes: u64,
    /// CRC-32 of the ids, 32 bits each, little-endian.
    pub checksum: u32,
}

/// One line of the documents file.
#[derive(Deserialize)]
struct Document {
    text: String,
}

/// Encodes the documents of a folder at every request, until the input ends.
///
/// # Errors
/// When the material cannot be read or a text cannot be encoded.
pub fn work(folder: &Path) -> Result<(), BenchError> {
    let read = BenchError::system("read the temporary folder");
    let json = std::fs::read(folder.join(TOKENIZER)).map_err(read)?;
    let codec = TextCodec::load(&json).map_err(failed)?;
    let texts = texts(folder).map_err(BenchError::system("read the documents"))?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let bytes = texts.iter().map(|text| text.len() as u64).sum();
    let host = Host::ready().map_err(BenchError::system("answer"))?;
    while host.request().map_err(BenchError::system("answer"))?.is_some() {
        let (mut seconds, mut crc) = (0.0, Crc::new());
        for batch in texts.chunks(BATCH) {
            let started = Instant::now();
            let encoded = codec.encode(batch).map_err(failed)?;
            seconds += started.elapsed().as_secs_f64();
            encoded.iter().flatten().for_each(|id| crc.update(&id.to_le_bytes()));
        }
        let answer = Encoded { seconds, bytes, checksum: crc.sum() };
        host.answer(&answer).map_err(BenchError::system("answer"))?;
    }
    Ok(())
}

fn texts(folder: &Path) -> std::io::Result<Vec<String>> {
    let lines = BufReader::new(File::open(folder.join(DOCUMENTS))?).lines();
    lines.map(|line| Ok(serde_json::from_str::<Document>(&line?)?.text)).collect()
}

fn failed(failure: stepwell_base::failure::Failure) -> BenchError {
    BenchError::Contestant { name: "stepwell".to_owned(), what: failure.message }
}
