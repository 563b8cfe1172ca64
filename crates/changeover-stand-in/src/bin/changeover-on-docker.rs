//! The `changeover` binary, for the tests of this package.

fn main() -> std::process::ExitCode {
    changeover_cli::main()
}
