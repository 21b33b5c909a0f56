//! The `chat-signer` program.

/// The memory allocator. It gives the memory of a flood of connections back to the system one or two seconds after the
/// connections are gone. The delay is set in `.cargo/config.toml`. Other targets use the system allocator, because
/// jemalloc is built for one page size and arm64 has several.
#[cfg(all(feature = "jemalloc", target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    chat_signer::cli::run()
}
