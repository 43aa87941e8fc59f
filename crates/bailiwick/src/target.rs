//! Where what a server has is written: a new file, or standard output.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::input::STDIN;

/// It is being written.
pub(crate) struct Target(To);

enum To {
    /// Standard output, which is called as standard input is.
    Stdout(io::Stdout),
    File(NewFile),
}

/// A file that was not there, and that nobody else may read. It goes again if it is not finished.
struct NewFile {
    path: PathBuf,
    /// Until it is finished.
    writer: Option<BufWriter<File>>,
}

impl Target {
    /// Makes the file; `-` is standard output.
    ///
    /// # Errors
    ///
    /// Something is there already, or nothing can be written there.
    pub(crate) fn new(path: &Path) -> anyhow::Result<Self> {
        if path == Path::new(STDIN) {
            return Ok(Self(To::Stdout(io::stdout())));
        }
        let mut options = OpenOptions::new();
        let options = options.write(true).create_new(true).mode(0o600);
        let file = options.open(path).with_context(|| told(path))?;
        Ok(Self(To::File(NewFile {
            path: path.to_owned(),
            writer: Some(BufWriter::new(file)),
        })))
    }

    /// Whether it is a file.
    pub(crate) fn is_file(&self) -> bool {
        match self.0 {
            To::Stdout(_) => false,
            To::File(_) => true,
        }
    }

    /// All of it was written; a file is then on the disk.
    ///
    /// # Errors
    ///
    /// It could not be written.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        match self.0 {
            To::Stdout(mut stdout) => Ok(stdout.flush()?),
            To::File(mut file) => file.finish().with_context(|| told(&file.path)),
        }
    }

    fn writer(&mut self) -> io::Result<&mut dyn Write> {
        match &mut self.0 {
            To::Stdout(stdout) => Ok(stdout),
            To::File(file) => match &mut file.writer {
                Some(writer) => Ok(writer),
                None => Err(io::ErrorKind::BrokenPipe.into()),
            },
        }
    }
}

impl NewFile {
    fn finish(&mut self) -> io::Result<()> {
        if let Some(writer) = &mut self.writer {
            writer.flush()?;
            writer.get_ref().sync_all()?;
        }
        self.writer = None;
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if self.writer.is_some() {
            // What went wrong is being told already.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer()?.flush()
    }
}

fn told(path: &Path) -> String {
    format!("cannot write {}", path.display())
}
