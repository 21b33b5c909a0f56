//! Writing new files, all or none.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Writes these files in this order, so that the last names no other that isn't there. None may exist: what is there is named, and left as
/// it is.
pub(super) fn write(dir: &Path, files: &[(&PathBuf, String)]) -> Result<(), String> {
    let there: Vec<_> =
        files.iter().filter(|(path, _)| path.symlink_metadata().is_ok()).map(|(path, _)| path).collect();
    if !there.is_empty() {
        return Err(taken(&there));
    }
    fs::create_dir_all(dir).map_err(|error| format!("{} can't be made: {error}", dir.display()))?;
    for (done, (path, text)) in files.iter().enumerate() {
        let Err(error) = create(path, text) else { continue };
        for (earlier, _) in files.iter().take(done) {
            let _ = fs::remove_file(earlier);
        }
        return Err(match error.kind() {
            ErrorKind::AlreadyExists => taken(&[path]),
            _ => format!("{} can't be written: {error}", path.display()),
        });
    }
    Ok(())
}

/// Makes a file, which must be new, and leaves none that is half written.
fn create(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    let written = file.write_all(text.as_bytes());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

fn taken(paths: &[&&PathBuf]) -> String {
    let names: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    let are = if names.len() == 1 { "is" } else { "are" };
    format!(
        "{} {are} there already, and nothing was written: move that away, or name another --dir",
        names.join(" and ")
    )
}
