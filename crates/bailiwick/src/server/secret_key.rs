//! Where the keys come from that secrets are sealed with.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bailiwick_control::SealingKeys;
use bailiwick_model::limits::{
    SEALING_KEY_FILE_BYTES, SECRET_KEY_COMMAND_COMPLAINT_BYTES, SECRET_KEY_COMMAND_TIME,
};
use bailiwick_sandbox::Program;
use bailiwick_store::DatabaseUrl;
use zeroize::{Zeroize as _, Zeroizing};

use crate::bad_input::BadInput;
use crate::host_environment::SECRETS;

/// The variable that holds keys.
const VARIABLE: &str = "BAILIWICK_SECRET_KEY";
/// The file of the data directory that holds a key if nothing else does.
const FILE: &str = "secret.key";

/// Where the keys come from.
pub(super) enum KeySource {
    /// A file that was named.
    File(PathBuf),
    /// A command, which prints them.
    Command(String),
    /// The environment.
    Variable(Zeroizing<String>),
    /// A file in the data directory, which the first start makes.
    Own(PathBuf),
}

impl KeySource {
    /// What was given, the option before the variable. A database that several servers may share has no key of one of them.
    ///
    /// # Errors
    ///
    /// [`BadInput::NoSecretKey`], and what `data` says.
    pub(super) fn of(
        file: Option<PathBuf>,
        command: Option<String>,
        variable: Option<String>,
        url: &DatabaseUrl,
        data: impl FnOnce() -> anyhow::Result<PathBuf>,
    ) -> anyhow::Result<Self> {
        match (file, command, variable, url) {
            (Some(file), _, _, _) => Ok(Self::File(file)),
            (None, Some(command), _, _) => Ok(Self::Command(command)),
            (None, None, Some(text), _) => Ok(Self::Variable(Zeroizing::new(text))),
            (None, None, None, DatabaseUrl::Sqlite(_)) => Ok(Self::Own(data()?.join(FILE))),
            (None, None, None, DatabaseUrl::Postgres(_)) => Err(BadInput::NoSecretKey.into()),
        }
    }

    /// The keys. A key is made only where nothing is sealed yet: with another key, what is sealed would be lost without a word.
    ///
    /// # Errors
    ///
    /// [`BadInput`], or that a key cannot be written.
    pub(super) fn read(&self, something_is_sealed: bool) -> anyhow::Result<SealingKeys> {
        match self {
            Self::File(path) => of_text(&read(path)?, &path.display().to_string()),
            Self::Command(command) => of_command(command),
            Self::Variable(text) => of_text(text, VARIABLE),
            Self::Own(path) => match read(path) {
                Err(BadInput::Unreadable { source, .. })
                    if source.kind() == io::ErrorKind::NotFound =>
                {
                    if something_is_sealed {
                        return Err(BadInput::LostSecretKey(path.clone()).into());
                    }
                    make(path).with_context(|| format!("cannot write {}", path.display()))?;
                    // Another server may have been faster.
                    of_text(&read(path)?, &path.display().to_string())
                }
                text => of_text(&text?, &path.display().to_string()),
            },
        }
    }
}

fn of_text(text: &str, place: &str) -> anyhow::Result<SealingKeys> {
    let keys = text.parse().map_err(|source| BadInput::SecretKey {
        place: place.to_owned(),
        source,
    });
    Ok(keys?)
}

/// What a command prints. It gets none of the secrets that this server was given itself.
fn of_command(command: &str) -> anyhow::Result<SealingKeys> {
    let program = Program {
        command: command.to_owned(),
        time: SECRET_KEY_COMMAND_TIME,
        output_bytes: SEALING_KEY_FILE_BYTES,
        complaint_bytes: SECRET_KEY_COMMAND_COMPLAINT_BYTES,
        without: SECRETS.map(str::to_owned).to_vec(),
    };
    let read = |bytes: &mut [u8]| {
        let text = std::str::from_utf8(bytes);
        let keys = text.map_err(|_| BadInput::SecretKeyCommandText);
        let keys = keys.map(|text| of_text(text, "what the command prints"));
        bytes.zeroize();
        keys
    };
    program.run(read).map_err(BadInput::SecretKeyCommand)??
}

/// Reads a file of keys, a pipe too, that nobody else can read.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<String>, BadInput> {
    let unreadable = |source| BadInput::Unreadable {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    let found = file.metadata().map_err(unreadable)?;
    let owner = found.uid();
    if found.mode() & 0o077 != 0 || (owner != 0 && owner != rustix::process::geteuid().as_raw()) {
        return Err(BadInput::OpenSecretKey(path.to_owned()));
    }
    // All of it at once: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(SEALING_KEY_FILE_BYTES + 1));
    file.take(SEALING_KEY_FILE_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() > SEALING_KEY_FILE_BYTES {
        return Err(BadInput::TooLarge {
            path: path.to_owned(),
            limit: SEALING_KEY_FILE_BYTES,
        });
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| BadInput::NotText(path.to_owned()))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Makes a file with a new key. It has its name only when it is whole, and a file that has the name meanwhile stays.
fn make(path: &Path) -> io::Result<()> {
    let draft = path.with_extension(format!("key.{}", std::process::id()));
    // Of a process of the same number that died.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    let (_, text) = SealingKeys::generate();
    file.write_all(b"# Seals the secrets of this server's database. Whoever has both can read them; without it they are lost.\n")?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    if let Some(directory) = path.parent() {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn own(directory: &Path) -> KeySource {
        KeySource::Own(directory.join(FILE))
    }

    #[test]
    fn a_key_is_made_once_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let made = own(directory.path()).read(false).unwrap();
        let mode = fs::metadata(directory.path().join(FILE)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        for something_is_sealed in [false, true] {
            let again = own(directory.path()).read(something_is_sealed).unwrap();
            assert_eq!(again.current(), made.current());
        }
        // One that is there is never written over.
        make(&directory.path().join(FILE)).unwrap();
        let again = own(directory.path()).read(false).unwrap();
        assert_eq!(again.current(), made.current());
    }

    #[test]
    fn a_lost_key_is_not_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let error = own(directory.path()).read(true).unwrap_err();
        assert!(matches!(
            error.downcast_ref(),
            Some(BadInput::LostSecretKey(_))
        ));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys");
        fs::write(&path, "07".repeat(32)).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o601, 0o666] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = KeySource::File(path.clone()).read(false).unwrap_err();
            let refused = matches!(error.downcast_ref(), Some(BadInput::OpenSecretKey(_)));
            assert!(refused, "{mode:o}: {error:?}");
        }
        // The control.
        for mode in [0o600, 0o400] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            KeySource::File(path.clone()).read(false).unwrap();
        }
    }

    #[test]
    fn a_command_prints_the_keys_and_says_why_it_does_not() {
        let read = |command: &str| KeySource::Command(command.to_owned()).read(true);
        let (first, second) = ("5e".repeat(32), "6f".repeat(32));
        let keys = read(&format!("echo {first}; echo {second}")).unwrap();
        let same = KeySource::Variable(Zeroizing::new(first.clone())).read(true);
        assert_eq!(keys.current(), same.unwrap().current());
        for (command, told) in [
            ("echo 'no such key' >&2; exit 7", "no such key"),
            ("yes", "printed more than"),
            ("printf '\\377'", "no text"),
            ("true", "there is no key"),
            ("echo 5e5e5e5e", "line 1 is not a key"),
        ] {
            let refused = read(command).err().unwrap();
            assert!(refused.downcast_ref::<BadInput>().is_some());
            let refused = format!("{refused:#}");
            assert!(refused.contains(told), "{command}: {refused}");
            assert!(!refused.contains("5e5e"), "{refused}");
        }
    }

    #[test]
    fn what_holds_no_key_is_refused_and_not_shown() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys");
        let almost = "5e".repeat(31);
        for text in ["", "\n# nothing\n", almost.as_str(), &"x".repeat(20_000)] {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&path)
                .unwrap();
            file.write_all(text.as_bytes()).unwrap();
            let error = KeySource::File(path.clone()).read(false).unwrap_err();
            assert!(error.downcast_ref::<BadInput>().is_some(), "{error:?}");
            assert!(!format!("{error:#} {error:?}").contains(&almost));
        }
        let error = KeySource::Variable(Zeroizing::new(almost.clone()))
            .read(false)
            .unwrap_err();
        assert!(format!("{error:#}").contains(VARIABLE));
        assert!(!format!("{error:#} {error:?}").contains(&almost));
    }

    #[test]
    fn the_option_comes_before_the_variable_and_a_shared_database_has_no_key_of_its_own() {
        let sqlite = DatabaseUrl::Sqlite("x.db".into());
        let postgres: DatabaseUrl = "postgres://db.example.com/x".parse().unwrap();
        let data = || Ok(PathBuf::from("data"));
        let file = || Some(PathBuf::from("keys"));
        let text = || Some("00".repeat(32));
        let of = |file, text, url| KeySource::of(file, None, text, url, data);
        assert!(matches!(
            of(file(), text(), &postgres),
            Ok(KeySource::File(_))
        ));
        assert!(matches!(
            of(None, text(), &postgres),
            Ok(KeySource::Variable(_))
        ));
        assert!(
            matches!(of(None, None, &sqlite), Ok(KeySource::Own(path)) if path == Path::new("data/secret.key"))
        );
        let command = || Some("decrypt".to_owned());
        assert!(matches!(
            KeySource::of(None, command(), text(), &postgres, data),
            Ok(KeySource::Command(_))
        ));
        let refused = of(None, None, &postgres).err().unwrap();
        assert!(matches!(
            refused.downcast_ref(),
            Some(BadInput::NoSecretKey)
        ));
    }
}
