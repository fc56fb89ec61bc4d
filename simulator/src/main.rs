//! The `simulator` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    simulator::cli::main()
}
