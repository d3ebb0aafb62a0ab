fn main() -> std::process::ExitCode {
    stepwell::cli::run()
}
