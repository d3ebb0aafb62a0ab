//! Permission to use the AMX tile registers.

/// Asks Linux for the tile registers, which the kernel grants per process because they enlarge the saved thread state.
/// Returns true when the processor has them and the request succeeds; the grant then holds for all threads of the
/// process. Every processor with tile registers also multiplies bf16.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "a system call")]
pub fn is_granted() -> bool {
    /// `arch_prctl` code that requests a processor state component by number; 18 is tile data.
    const ARCH_REQ_XCOMP_PERM: libc::c_ulong = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_ulong = 18;
    // SAFETY: this request takes numbers and touches no memory.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

/// Other systems: not supported.
#[cfg(not(target_os = "linux"))]
pub fn is_granted() -> bool {
    false
}
