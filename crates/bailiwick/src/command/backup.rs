//! `bailiwick backup`.

use std::path::PathBuf;

use crate::database::DatabaseArguments;

/// Write a copy of the embedded database to a file, also while a server uses it.
///
/// The copy holds what was acknowledged before it began, all of it or, of a change, nothing; it is read back before it gets its name. It is as
/// secret as the data directory.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick backup /var/backups/bailiwick-$(date +%F).db
  bailiwick backup --data /srv/bailiwick /mnt/backup/bailiwick.db")]
pub(crate) struct Arguments {
    /// Where to; it must not be there yet.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) database: DatabaseArguments,
}
