//! One token file, read in place.

use std::path::Path;

use super::error::DataError;
use super::mmap::MappedFile;
use stepwell_base::token_file::{HEADER_LEN, Header, Width};

/// A token file whose header, length and document ends were checked on opening.
pub struct TokenShard {
    name: String,
    header: Header,
    bytes: Bytes,
}

enum Bytes {
    Mapped(MappedFile),
    Memory(Vec<u8>),
}

impl Bytes {
    fn get(&self) -> &[u8] {
        match self {
            Bytes::Mapped(file) => file.bytes(),
            Bytes::Memory(bytes) => bytes,
        }
    }
}

impl TokenShard {
    /// Maps an artifact's file, which must not change while it is open.
    ///
    /// # Errors
    /// [`DataError::Io`] when the file cannot be read; `Format` or `DocumentEnd` when it is not a complete token
    /// file.
    pub fn open(path: &Path, name: &str) -> Result<Self, DataError> {
        let file = MappedFile::open(path).map_err(|source| DataError::Io { path: path.to_owned(), source })?;
        Self::checked(Bytes::Mapped(file), name)
    }

    /// Opens a token file in memory; errors call it `name`.
    ///
    /// # Errors
    /// [`DataError::Format`] or [`DataError::DocumentEnd`] when the bytes are not a complete token file.
    pub fn from_bytes(bytes: Vec<u8>, name: &str) -> Result<Self, DataError> {
        Self::checked(Bytes::Memory(bytes), name)
    }

    fn checked(bytes: Bytes, name: &str) -> Result<Self, DataError> {
        let header =
            Header::decode(bytes.get()).map_err(|source| DataError::Format { name: name.to_owned(), source })?;
        let shard = TokenShard { name: name.to_owned(), header, bytes };
        let mut previous = 0;
        for document in 0..shard.header.documents {
            let end = shard.document_end(document);
            if end <= previous || end > shard.header.tokens {
                return Err(DataError::DocumentEnd { name: shard.name, document, end });
            }
            previous = end;
        }
        if previous != shard.header.tokens {
            let document = shard.header.documents;
            return Err(DataError::DocumentEnd { name: shard.name, document, end: previous });
        }
        Ok(shard)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    /// End of a document, in tokens from the start of this shard.
    pub fn document_end(&self, document: u64) -> u64 {
        let at = HEADER_LEN + document as usize * 8;
        let mut word = [0; 8];
        word.copy_from_slice(&self.bytes.get()[at..at + 8]);
        u64::from_le_bytes(word)
    }

    /// Index of the document that holds token `at`: the number of documents that end at or before it.
    pub fn document_of(&self, at: u64) -> u64 {
        let (mut low, mut high) = (0, self.header.documents);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.document_end(middle) <= at { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// True when token `at` is learned.
    pub fn learns(&self, at: u64) -> bool {
        let byte = || self.bytes.get()[self.header.mask_at() + (at / 8) as usize];
        !self.header.masked || byte() >> (at % 8) & 1 == 1
    }

    /// Appends the tokens `from..to` of this shard to `out`.
    pub fn read(&self, from: u64, to: u64, out: &mut Vec<u32>) {
        let (base, width) = (self.header.tokens_at(), self.header.width.bytes());
        let bytes = &self.bytes.get()[base + from as usize * width..base + to as usize * width];
        match self.header.width {
            Width::U16 => out.extend(bytes.chunks_exact(2).map(|b| u32::from(u16::from_le_bytes([b[0], b[1]])))),
            Width::U32 => out.extend(bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))),
        }
    }
}
