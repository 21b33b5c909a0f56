//! The version of the program, as `--version` prints it.

use std::sync::LazyLock;

static VERSION: LazyLock<String> = LazyLock::new(|| {
    // The scripts that build packages set the commit.
    let commit = option_env!("CHAT_SIGNER_COMMIT").map(|commit| format!("commit {commit}, "));
    let features: Vec<_> = FEATURES.iter().filter(|(_, is_on)| *is_on).map(|(name, _)| *name).collect();
    let features = if features.is_empty() { "none".to_owned() } else { features.join(", ") };
    format!("{} ({}features: {features})", env!("CARGO_PKG_VERSION"), commit.unwrap_or_default())
});

/// The optional features, and whether this program has them.
const FEATURES: [(&str, bool); 3] = [
    ("jemalloc", cfg!(feature = "jemalloc")),
    ("otlp", cfg!(feature = "otlp")),
    ("playground", cfg!(feature = "playground")),
];

/// Returns the version, the commit that a package was built from, and the optional features.
pub(super) fn version() -> &'static str {
    VERSION.as_str()
}
