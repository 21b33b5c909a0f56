//! The compression of tokens at Tencent and Agora (RFC 1950).

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

/// The most bytes that are decompressed. No token of a vendor has as many.
const MAX_BYTES: u64 = 64 * 1024;

/// Compresses the bytes.
pub(super) fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::with_capacity(bytes.len()), Compression::fast());
    // Writing to memory does not fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

/// Decompresses the bytes. Returns `None` if they are not complete, or give too many bytes.
pub(super) fn decompress(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    ZlibDecoder::new(bytes).take(MAX_BYTES + 1).read_to_end(&mut content).ok()?;
    (content.len() as u64 <= MAX_BYTES).then_some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_is_read_again_up_to_the_limit() {
        let most = vec![7; 64 * 1024];
        for bytes in [&b""[..], b"text", &most] {
            assert_eq!(decompress(&compress(bytes)).as_deref(), Some(bytes));
        }
        assert_eq!(decompress(&compress(&[&most[..], &[7]].concat())), None);
        assert_eq!(decompress(b"no zlib"), None);
    }
}
