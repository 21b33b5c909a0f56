//! The `chat-signer` program.

fn main() -> std::process::ExitCode {
    chat_signer::cli::run()
}
