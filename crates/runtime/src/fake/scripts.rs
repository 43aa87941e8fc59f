//! The programs of the conformance suite, as the fake plays them.

use std::os::unix::ffi::OsStrExt;

use tokio::io::{AsyncWriteExt, copy};

use super::FakeBuilder;
use crate::StandardStreams;
use crate::conformance::programs;

pub(super) fn add<P>(fake: FakeBuilder<P>) -> FakeBuilder<P> {
    fake.program(programs::TRUE, |_| async { 0 })
        .program(programs::EXIT_3, |_| async { 3 })
        .program(programs::SLEEP, |_| std::future::pending())
        .program(programs::CAT, |mut it| async move {
            match copy(&mut it.stdin, &mut it.stdout).await {
                Ok(_) => 0,
                Err(_) => 1,
            }
        })
        .program(programs::BOTH_OUTPUTS, |mut it| async move {
            let _ = it.stdout.write_all(b"out").await;
            let _ = it.stderr.write_all(b"err").await;
            0
        })
        .program(programs::VARIABLE_AND_DIRECTORY, |mut it| async move {
            let variable = it
                .command
                .env
                .get(std::ffi::OsStr::new("PROBE"))
                .cloned()
                .unwrap_or_default();
            let directory = it.command.directory.clone().unwrap_or_default();
            let said = [variable.as_bytes(), b" ", directory.as_os_str().as_bytes()].concat();
            let _ = it.stdout.write_all(&said).await;
            0
        })
        .program(programs::IS_TERMINAL, |it| async move {
            match it.command.streams {
                StandardStreams::Terminal(_) => 0,
                StandardStreams::Pipes => 1,
            }
        })
        .program(programs::WRITE_FILES, |it| async move {
            it.write_file("/tmp/probe/a", b"alpha");
            it.write_file("/tmp/probe/deep/b", b"beta");
            0
        })
}
