//! The lock file beside the ledger: keeps a second exporter away, and notes how many commits have reached the disk.
//! Invariant: the note is written after the commit that it counts, so that a ledger with fewer has lost some.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::LedgerError;
use super::open::beside;

/// Twenty digits, a blank, eight hexadecimal digits of their CRC-32, a line feed.
const NOTE_BYTES: usize = 30;

/// Holds the lock as long as it lives.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Lock {
    /// Takes the lock.
    pub(super) fn take(path: &Path) -> Result<Self, LedgerError> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(beside(path, "-lock"))
            .map_err(|source| LedgerError::io(path, "opening its lock file", source))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(LedgerError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(LedgerError::io(path, "locking it", source)),
        }
    }

    /// The commits noted; `None` where there is no note. A power cut may leave an old one, or none, never a later one.
    pub(super) fn commits(&self) -> Option<i64> {
        read(&self.0)
    }

    /// Notes the commits. Not synced: what a power cut takes back is only how closely the next start looks.
    pub(super) fn note(&self, commits: i64) -> io::Result<()> {
        let digits = format!("{commits:020}");
        let crc = crc32fast::hash(digits.as_bytes());
        self.0.write_all_at(format!("{digits} {crc:08x}\n").as_bytes(), 0)
    }
}

/// The commits noted beside a ledger, whoever holds the lock.
pub(super) fn noted_commits(path: &Path) -> Option<i64> {
    read(&File::open(beside(path, "-lock")).ok()?)
}

fn read(file: &File) -> Option<i64> {
    let mut note = [0; NOTE_BYTES];
    file.read_exact_at(&mut note, 0).ok()?;
    let (digits, crc) = std::str::from_utf8(&note).ok()?.trim_end().split_once(' ')?;
    let crc = u32::from_str_radix(crc, 16).ok()?;
    (crc32fast::hash(digits.as_bytes()) == crc).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_comes_back_and_a_changed_one_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("l.db");
        let lock = Lock::take(&path).unwrap();
        assert_eq!(lock.commits(), None);
        lock.note(41).unwrap();
        lock.note(1_234).unwrap();
        assert_eq!((lock.commits(), noted_commits(&path)), (Some(1_234), Some(1_234)));
        let file = beside(&path, "-lock");
        let sound = std::fs::read(&file).unwrap();
        assert_eq!(sound.len(), NOTE_BYTES);
        for index in 0..NOTE_BYTES - 1 {
            let mut spoilt = sound.clone();
            spoilt[index] ^= 1;
            std::fs::write(&file, spoilt).unwrap();
            assert_eq!(noted_commits(&path), None, "byte {index}");
        }
    }
}
