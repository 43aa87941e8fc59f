//! `bailiwick restore`.

use std::path::PathBuf;

use crate::database::DatabaseArguments;

/// Put a copy that `bailiwick backup` wrote in the place of the embedded database.
///
/// Refused while a server uses the database. One that is there already is kept beside, under another name.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick restore /var/backups/bailiwick-2026-11-21.db
  bailiwick restore --replace --data /srv/bailiwick /mnt/backup/bailiwick.db")]
pub(crate) struct Arguments {
    /// The copy.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Also where there is a database already.
    #[arg(long)]
    pub(crate) replace: bool,
    #[command(flatten)]
    pub(crate) database: DatabaseArguments,
}
