//! The `chat-signer` program.

/// Gives back to the system what a flood of connections took, a second or two after they are gone. How soon stands in
/// `.cargo/config.toml`. Elsewhere the system's own allocator serves: jemalloc is built for one size of pages, and arm64 has several.
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    chat_signer::cli::run()
}
