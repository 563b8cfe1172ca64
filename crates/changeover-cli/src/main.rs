//! The `changeover` binary: a shim, so that everything else can be tested as a library.

fn main() -> std::process::ExitCode {
    changeover_cli::main()
}
