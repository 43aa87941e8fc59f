//! The program `bailiwick-server`.

use std::process::ExitCode;

fn main() -> ExitCode {
    bailiwick::run_server()
}
