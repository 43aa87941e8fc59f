//! `bailiwick image lock`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use bailiwick_images::lock::NotALock;
use bailiwick_images::{Layer, Lock};

use crate::environment_source;
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::images::image_spec;
use crate::project::Fetching;
use crate::{lock_source, output};

/// Write what an environment's packages were resolved to into a lock file.
///
/// From it the same set is installed again: the same versions, and files with the same hashes. What is missing of the image is built first. A manager whose packages are declared as they were keeps its part of the lock;
/// `bailiwick image refresh` resolves all of them anew.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick image lock -f environment.yaml
      Writes environment.lock, which `run`, `image build` and `image sbom` then install from.
  bailiwick image lock -f environment.yaml -o locks/ci.lock
  bailiwick run -f environment.yaml --lock locks/ci.lock -- pytest")]
pub(crate) struct Arguments {
    /// The environment file.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    file: PathBuf,
    /// Where to write the lock [default: beside the environment file, such as environment.lock].
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    build: super::BuildArguments,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let environment = environment_source::load(Some(&arguments.file), host)?;
    let path = arguments
        .output
        .clone()
        .unwrap_or_else(|| lock_source::beside(&arguments.file));
    let mut spec = image_spec(&environment);
    // Of a lock that is there, what still holds.
    if let Some(before) = lock_source::read_to_replace(&path)? {
        let kept =
            Arc::unwrap_or_clone(before.lock).fitting(&spec.packages, std::env::consts::ARCH);
        spec.lock = Some(Arc::new(kept));
    }
    let images = arguments
        .build
        .images(&environment, Fetching::default(), host)?;
    let image = images.resolve(&spec, arguments.build.telling())?;
    write(&path, &of_layers(image.layers_held())?)?;
    output::print(&format!(
        "{}\n",
        output::printable(&path.display().to_string())
    ))?;
    Ok(Exit::Done.into())
}

/// The lock of these layers.
pub(super) fn of_layers(layers: &[Layer]) -> Result<Lock, NotALock> {
    Lock::of_layers(std::env::consts::ARCH, layers)
}

/// Writes a lock: whoever reads it meanwhile sees the old one or the new one.
pub(super) fn write(path: &Path, lock: &Lock) -> anyhow::Result<()> {
    use std::io::Write;
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let unwritable = |error: std::io::Error| {
        anyhow::anyhow!(error).context(format!("cannot write {}", path.display()))
    };
    let mut draft = tempfile_in(directory, path).map_err(unwritable)?;
    let written = draft
        .1
        .write_all(lock.to_text().as_bytes())
        .and_then(|()| draft.1.sync_all())
        .and_then(|()| std::fs::rename(&draft.0, path));
    written.map_err(|error| {
        let _ = std::fs::remove_file(&draft.0);
        unwritable(error)
    })
}

/// A new file beside the one that it is to become.
fn tempfile_in(directory: &Path, path: &Path) -> std::io::Result<(PathBuf, std::fs::File)> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = directory.join(format!(".{name}.{}", std::process::id()));
    let file = std::fs::File::create_new(&draft)?;
    Ok((draft, file))
}
