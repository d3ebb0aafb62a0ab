//! Whether this process may use the tile registers of AMX.

/// Whether the processor has them and Linux lets this process use them: they are so large that a process has to ask. All its
/// threads may use them then. Every processor that has them has products of bf16.
#[cfg(target_os = "linux")]
pub fn is_granted() -> bool {
    /// Asks for a component of the processor's state by its number, of which this is the one of tile data.
    const ARCH_REQ_XCOMP_PERM: libc::c_ulong = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_ulong = 18;
    // SAFETY: this request takes numbers and touches no memory.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

/// Only Linux is known to give them.
#[cfg(not(target_os = "linux"))]
pub fn is_granted() -> bool {
    false
}
