//! `bailiwick-server inside`: what that program does inside the sandbox of a build. Nobody types it.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use bailiwick_images::base::oci;
use bailiwick_images::base::unpack::{self, Digested, Kind};
use bailiwick_images::{REPORT, Reference};
use clap::Subcommand;

use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// This very program, as the process that unpacks a layer.
const UNPACK_LAYER: &[&str] = &["/proc/self/exe", "inside", "unpack", "--layer"];

/// Work of a build, inside its sandbox.
#[derive(Debug, Subcommand)]
#[command(hide = true)]
pub(crate) enum Command {
    /// Unpack the archive on standard input into a directory.
    Unpack {
        /// It is a layer of an OCI image.
        #[arg(long)]
        layer: bool,
        /// The archive's SHA-256, as 64 digits; without it the caller compares.
        #[arg(long)]
        sha256: Option<String>,
        /// The directory, which becomes this process's root.
        root: PathBuf,
    },
    /// Pull an image and unpack its layers into a directory.
    Pull {
        /// Which.
        image: Reference,
        /// The directory.
        root: PathBuf,
    },
    /// Look up the digest of an image's manifest.
    LookUp {
        /// Which.
        image: Reference,
    },
}

pub(crate) fn execute(command: Command, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    match command {
        Command::Unpack {
            layer,
            sha256,
            root,
        } => {
            let kind = if layer { Kind::Layer } else { Kind::Root };
            let mut archive = Digested::new(io::stdin().lock());
            unpack::unpack(&mut archive, &root, kind)?;
            match sha256 {
                Some(sha256) => archive.finish(&sha256)?,
                // To its end, which lies behind what an archive says is its end: whoever writes it would fail.
                None => drop(io::copy(&mut archive, &mut io::sink())?),
            }
        }
        Command::Pull { image, root } => {
            let login = host.registry_login.as_ref();
            let digests = runtime()?.block_on(oci::pull(&image, login, UNPACK_LAYER, &root))?;
            let mut report = fs::File::create(REPORT).context("cannot write the report")?;
            for digest in digests {
                writeln!(report, "{}\tlayer\t\t{digest}", image.repository())?;
            }
        }
        Command::LookUp { image } => {
            let login = host.registry_login.as_ref();
            let digest = runtime()?.block_on(oci::look_up(&image, login))?;
            fs::write(REPORT, digest).context("cannot write the report")?;
        }
    }
    Ok(Exit::Done.into())
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
}
