//! Makes callers' tokens for `benches/compare`: `tokens DIRECTORY COUNT` writes a file with that many tokens for each
//! kind of signature, a line each. It prints the authenticators that accept them. Each kind has a separate issuer.
#![allow(missing_docs, unreachable_pub, clippy::expect_used)]

#[allow(dead_code)]
#[path = "../cases/caller.rs"]
mod caller;

use std::error::Error;
use std::fs;
use std::path::Path;

use caller::{Issuer, Kind};
use chat_signer::clock;
use serde_json::json;

const AUDIENCE: &str = "chat-signer-demo";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, count] = arguments.as_slice() else { return Err("usage: tokens DIRECTORY COUNT".into()) };
    for kind in Kind::ALL {
        make(kind, Path::new(directory), count.parse()?)?;
    }
    Ok(())
}

fn make(kind: Kind, directory: &Path, count: usize) -> Result<(), Box<dyn Error>> {
    let (issuer, word, now) = (Issuer::new(kind), kind.to_string(), clock::now());
    let name = word.to_lowercase();
    let own = format!("https://{name}.chat-signer.invalid/");
    let tokens: Vec<_> = (0..count).map(|number| issuer.token(&own, AUDIENCE, now, number)).collect();
    fs::write(directory.join(format!("{word}.tokens")), tokens.join("\n") + "\n")?;
    let keys = if kind == Kind::Hs256 {
        fs::write(directory.join("HS256.secret"), caller::SECRET)?;
        "secret = { file = \"HS256.secret\" }".to_owned()
    } else {
        fs::write(directory.join(format!("{word}.json")), json!({"keys": [issuer.jwk]}).to_string())?;
        format!("jwks = {{ file = \"{word}.json\" }}")
    };
    println!(
        "\n[[authenticators]]\nname = \"{name}\"\ntype = \"jwt\"\ncaller = \"user\"\nissuer = \"{own}\"\n\
         audience = [\"{AUDIENCE}\"]\nalgorithms = [\"{word}\"]\n{keys}"
    );
    Ok(())
}
