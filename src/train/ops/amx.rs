//! Whether this process may use the tile registers of AMX.

use std::arch::x86_64::__cpuid_count;

/// Whether the processor has products of tiles of bf16, and Linux lets this process use the registers. They are so large
/// that a process has to ask for them; all its threads may use them then.
pub fn is_there() -> bool {
    const TILE: u32 = 1 << 24;
    const BF16: u32 = 1 << 22;
    let features = __cpuid_count(7, 0).edx;
    features & TILE != 0 && features & BF16 != 0 && is_granted()
}

#[cfg(target_os = "linux")]
fn is_granted() -> bool {
    /// Asks for a component of the processor's state by its number, of which this is the one of tile data.
    const ARCH_REQ_XCOMP_PERM: libc::c_ulong = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_ulong = 18;
    // SAFETY: this request takes numbers and touches no memory.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn is_granted() -> bool {
    false
}
