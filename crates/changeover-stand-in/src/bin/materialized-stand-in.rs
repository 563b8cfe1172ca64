//! What stands in for Materialize's image: its entrypoint, and under the name of `environmentd` its process.

fn main() -> std::process::ExitCode {
    changeover_stand_in::main()
}
