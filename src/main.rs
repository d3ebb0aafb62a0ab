//! Thin entry point: parse, run, exit code.

/// A 60-layer model allocates and frees thousands of tensors a step; the system allocator gives that
/// memory back to the kernel each time.
#[cfg(feature = "train")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    stepwell::main()
}
