//! Writes examples as a token file with a mask. Ids, ends and mask grow in files of their own, since the header comes first.

use std::io::{self, BufWriter, Write};

use crate::corpus_documents::write_failure;
use crate::handler::StepContext;
use crate::partial::GrowingFile;
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::failure::Failure;
use stepwell_base::token_file::{Header, MEDIA_TYPE, Unit, Width};
use stepwell_models::Example;

/// Special tokens and size of the tokenizer.
#[derive(Clone, Copy, Debug)]
pub struct Vocabulary {
    pub bos: u32,
    pub eos: u32,
    pub size: u32,
}

pub struct TokenWriter {
    vocabulary: Vocabulary,
    unit: Unit,
    ids: GrowingFile,
    ends: GrowingFile,
    mask: GrowingFile,
    /// Bits of the mask that do not fill a byte yet.
    open: u8,
    pub documents: u64,
    pub tokens: u64,
    pub learned: u64,
    text_bytes: u64,
}

fn failure(error: io::Error) -> Failure {
    write_failure("the partial token file", &error)
}

impl TokenWriter {
    pub fn create(context: &StepContext<'_>, vocabulary: Vocabulary, unit: Unit) -> Result<TokenWriter, Failure> {
        let file = |name: &str| GrowingFile::create(&context.scratch().join(name)).map_err(failure);
        let (ids, ends, mask) = (file("ids.partial")?, file("ends.partial")?, file("mask.partial")?);
        Ok(TokenWriter {
            vocabulary,
            unit,
            ids,
            ends,
            mask,
            open: 0,
            documents: 0,
            tokens: 0,
            learned: 0,
            text_bytes: 0,
        })
    }

    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// Appends an example of so many bytes of text.
    pub fn append(&mut self, example: &Example, text_bytes: u64) -> Result<(), Failure> {
        let width = Width::for_vocab(self.vocabulary.size).bytes();
        let ids: Vec<u8> = example.ids.iter().flat_map(|id| id.to_le_bytes().into_iter().take(width)).collect();
        self.ids.append(&ids).map_err(failure)?;
        let mut mask = Vec::new();
        for is_learned in &example.learned {
            self.open |= u8::from(*is_learned) << (self.tokens % 8);
            self.tokens += 1;
            self.learned += u64::from(*is_learned);
            if self.tokens.is_multiple_of(8) {
                mask.push(std::mem::take(&mut self.open));
            }
        }
        self.mask.append(&mask).map_err(failure)?;
        self.ends.append(&self.tokens.to_le_bytes()).map_err(failure)?;
        self.documents += 1;
        self.text_bytes += text_bytes;
        Ok(())
    }

    /// Publishes the complete token file.
    ///
    /// # Errors
    /// When the artifact store cannot be written, or something else changed the partial files.
    pub fn publish(mut self, context: &StepContext<'_>) -> Result<ArtifactRef, Failure> {
        if !self.tokens.is_multiple_of(8) {
            self.mask.append(&[self.open]).map_err(failure)?;
        }
        let Vocabulary { bos, eos, size } = self.vocabulary;
        let header = Header {
            width: Width::for_vocab(size),
            documents: self.documents,
            tokens: self.tokens,
            text_bytes: self.text_bytes,
            bos,
            eos,
            vocab: size,
            masked: true,
            unit: self.unit,
        };
        let failed = |error| write_failure("the token file", &error);
        let mut out = BufWriter::new(context.artifacts.writer(MEDIA_TYPE)?);
        out.write_all(&header.encode()).map_err(failed)?;
        for part in [self.ends, self.ids, self.mask] {
            part.copy_to(&mut out).map_err(failed)?;
        }
        let writer = out.into_inner().map_err(|error| write_failure("the token file", error.error()))?;
        Ok(writer.finish()?)
    }
}
