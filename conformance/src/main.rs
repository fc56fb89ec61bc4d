//! The `smi-conformance` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    conformance::cli::main()
}
