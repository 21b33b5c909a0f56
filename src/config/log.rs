//! `[log]` of `signer.toml`: the log of the program itself.

use tracing::Level;

use super::reader::Section;

/// Reads the lowest level of the messages that are logged, if the file has it.
pub(super) fn level(root: &mut Section<'_>) -> Option<Level> {
    let mut section = root.section("log")?;
    let levels = [
        ("error", Level::ERROR),
        ("warn", Level::WARN),
        ("info", Level::INFO),
        ("debug", Level::DEBUG),
        ("trace", Level::TRACE),
    ];
    let level = section.get("level").and_then(|item| item.keyword(&levels));
    section.report_unknown_keys();
    level
}
