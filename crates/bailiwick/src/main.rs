//! The program `bailiwick`.

use std::process::ExitCode;

fn main() -> ExitCode {
    bailiwick::run()
}
