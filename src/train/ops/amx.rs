//! Whether this process may use the tile registers of AMX.

use std::arch::x86_64::__cpuid_count;

/// Whether the processor says that it has products of tiles of bf16, and this process may use them.
pub fn is_there() -> bool {
    const TILE: u32 = 1 << 24;
    const BF16: u32 = 1 << 22;
    #[allow(unused_unsafe, reason = "a safe function in newer versions of Rust")]
    // SAFETY: every processor of this architecture has the instruction.
    let features = unsafe { __cpuid_count(7, 0) }.edx;
    features & TILE != 0 && features & BF16 != 0 && is_granted()
}

/// Whether Linux lets this process use the registers. They are so large that a process has to ask for them; all its threads
/// may use them then.
#[cfg(target_os = "linux")]
pub fn is_granted() -> bool {
    /// Asks for a component of the processor's state by its number, of which this is the one of tile data.
    const ARCH_REQ_XCOMP_PERM: libc::c_ulong = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_ulong = 18;
    // SAFETY: this request takes numbers and touches no memory.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

/// Whether this process may use the registers: only Linux is known to give them.
#[cfg(not(target_os = "linux"))]
pub fn is_granted() -> bool {
    false
}
