//! Writes new files: all of them or none.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Writes files in this order. A file that refers to the others comes last, so it never refers to a missing file.
///
/// # Errors
/// Returns a message if one of the files exists, or if a file cannot be written. Existing files stay unchanged.
pub(super) fn write(dir: &Path, files: &[(&PathBuf, String)]) -> Result<(), String> {
    let there: Vec<_> =
        files.iter().filter(|(path, _)| path.symlink_metadata().is_ok()).map(|(path, _)| path).collect();
    if !there.is_empty() {
        return Err(already_exists(&there));
    }
    fs::create_dir_all(dir).map_err(|error| format!("cannot create {}: {error}", dir.display()))?;
    for (done, (path, text)) in files.iter().enumerate() {
        let Err(error) = create(path, text) else { continue };
        for (earlier, _) in files.iter().take(done) {
            let _ = fs::remove_file(earlier);
        }
        return Err(match error.kind() {
            ErrorKind::AlreadyExists => already_exists(&[path]),
            _ => format!("cannot write {}: {error}", path.display()),
        });
    }
    Ok(())
}

/// Creates a file, which must not exist. If the write fails, the file is removed.
fn create(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    let written = file.write_all(text.as_bytes());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

fn already_exists(paths: &[&&PathBuf]) -> String {
    let names: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    let are = if names.len() == 1 { "exists" } else { "exist" };
    format!(
        "{} {are} already, so nothing was written: move the old files away, or choose another --dir",
        names.join(" and ")
    )
}
