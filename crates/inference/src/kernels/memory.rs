//! Large memory: whole pages from the system, zeroed, in huge pages where the system has them.

use std::io;

use memmap2::MmapMut;

/// Bytes that start at a page. The system provides a page when it is first written.
pub struct Memory(MmapMut);

impl Memory {
    /// # Errors
    /// If the system refuses that much.
    pub fn new(bytes: usize) -> io::Result<Self> {
        let map = MmapMut::map_anon(bytes.max(1))?;
        // Fewer entries of the TLB: decoding reads every weight once per step. A system without huge pages refuses, and
        // nothing is lost.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Ok(Memory(map))
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}
