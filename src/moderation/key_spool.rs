//! Keys of entries in an unnamed temporary file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::files::unnamed_file;

/// How many bytes are written at once, and at least read at once.
const BLOCK_BYTES: usize = 64 << 10;

/// A queue of keys in an unnamed temporary file. A key has no newline, because it is percent-encoded.
#[derive(Default)]
pub(super) struct KeySpool {
    /// The file, once it is needed.
    file: Option<File>,
    /// The keys that are not in the file yet.
    waiting: Vec<u8>,
    /// The length of the file.
    written: u64,
    /// The place of the next key to take.
    taken: u64,
}

impl KeySpool {
    pub(super) fn push(&mut self, key: &str) -> io::Result<()> {
        self.waiting.extend_from_slice(key.as_bytes());
        self.waiting.push(b'\n');
        if self.waiting.len() >= BLOCK_BYTES { self.write() } else { Ok(()) }
    }

    /// Takes the next keys, at most `most`. Empty: there are no more keys.
    pub(super) fn take(&mut self, most: usize) -> io::Result<Vec<String>> {
        self.write()?;
        let mut keys = Vec::new();
        let Some(file) = &self.file else { return Ok(keys) };
        let (mut block, mut size) = (Vec::new(), BLOCK_BYTES);
        while keys.len() < most && self.taken < self.written {
            block.resize(size, 0);
            let length = file.read_at(&mut block, self.taken)?;
            let lines = block[..length].split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
            let before = self.taken;
            for line in lines.take(most - keys.len()) {
                self.taken += line.len() as u64;
                keys.push(String::from_utf8_lossy(&line[..line.len() - 1]).into_owned());
            }
            if self.taken == before {
                if length < size {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                // The key is longer than the block.
                size *= 2;
            }
        }
        Ok(keys)
    }

    fn write(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let file = match self.file.take() {
            Some(file) => file,
            None => unnamed_file()?,
        };
        file.write_all_at(&self.waiting, self.written)?;
        self.written += self.waiting.len() as u64;
        self.waiting.clear();
        self.file = Some(file);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn keys_come_out_as_they_went_in() {
        let mut spool = KeySpool::default();
        let key = |number: usize| format!("ban/{}{number}", "x".repeat(if number == 7 { 2 * BLOCK_BYTES } else { 30 }));
        let mut taken = Vec::new();
        for number in 0..10_000 {
            spool.push(&key(number)).unwrap();
            if number % 3000 == 0 {
                taken.extend(spool.take(1000).unwrap());
            }
        }
        loop {
            let some = spool.take(777).unwrap();
            if some.is_empty() {
                break;
            }
            taken.extend(some);
        }
        assert_eq!(taken, (0..10_000).map(key).collect::<Vec<_>>());
    }
}
