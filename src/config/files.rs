//! The files that settings name, and the settings' own. Invariant: what is read is a regular file of bounded size: a pipe may
//! have its reader wait for ever, and a device has no end.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// Bytes that are read of a file of settings, or of one with certificates.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Opens a regular file; the error says in words why there is none.
pub(super) fn open(path: &Path) -> Result<File, String> {
    // Of a pipe, opening alone waits for somebody who writes.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path);
    let file = file.map_err(|error| unreadable(&error))?;
    let kind = file.metadata().map_err(|error| unreadable(&error))?.file_type();
    if kind.is_dir() {
        return Err(unreadable(&io::ErrorKind::IsADirectory.into()));
    }
    if !kind.is_file() {
        return Err("this is no regular file, but a pipe or a device; name a file".to_owned());
    }
    Ok(file)
}

/// The content of a small file; the error says in words why there is none.
pub(super) fn read_bytes(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err("the file is larger than 1 MiB".to_owned());
    }
    Ok(bytes)
}

/// As [`read_bytes`], as text.
pub(super) fn read_text(path: &Path) -> Result<String, String> {
    String::from_utf8(read_bytes(path)?).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("the file is not UTF-8 text (line {line})")
    })
}

/// Why a file cannot be read, in words.
pub(super) fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::IsADirectory => "this is a directory, not a file".to_owned(),
        io::ErrorKind::PermissionDenied => "no permission to read this file".to_owned(),
        _ => format!("cannot read this file: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_and_a_device_are_refused_at_once_and_a_link_is_followed() {
        let directory = tempfile::tempdir().unwrap();
        let [pipe, link, file] = ["pipe", "link", "file"].map(|name| directory.path().join(name));
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        for path in [&pipe, &link, Path::new("/dev/zero")] {
            let error = read_bytes(path).unwrap_err();
            assert!(error.contains("no regular file"), "{}: {error}", path.display());
        }
        std::fs::remove_file(&link).unwrap();
        std::fs::write(&file, "x").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(read_text(&link).as_deref(), Ok("x"));
    }
}
