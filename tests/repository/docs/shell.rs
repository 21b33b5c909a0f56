//! Runs the documentation's commands. A page's blocks are run in turn, in one shell, in a copy of the project's demonstration while
//! that is being served. What builds the program stands for the program that is there; what starts the server has its flags read.

use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Stdio};

use super::{Block, ROOT, page_blocks, pages};
use crate::common::{self, Server, Setup};

/// What the commands mean here. To say no is no failure of the commands that are asked something; of all others it is one, and so is any answer
/// but a signature and a refusal by policy.
const PRELUDE: &str = r#"
set -euo pipefail
chat-signer() {
    local status=0
    if [ "$1" = serve ]; then set -- "$@" --help; fi
    "$PROGRAM" "$@" || status=$?
    case "$1" in
        explain | verify) [ "$status" -lt 2 ] ;;
        *) return "$status" ;;
    esac
}
cargo() {
    case "$1" in
        run) while [ "$1" != -- ]; do shift; done; shift; chat-signer "$@" ;;
        build | test) ;;
        *) echo "cargo $1 is not run here" >&2; return 2 ;;
    esac
}
curl() {
    local said
    said="$(command curl --write-out '\n%{http_code}' "${@/http:\/\/127.0.0.1:7480/$MAIN}")"
    echo "$said"
    case "${said##*$'\n'}" in 200 | 403) ;; *) return 1 ;; esac
}
TOKEN="$(chat-signer token --sub tom)"
"#;

#[test]
fn commands_run() {
    for page in pages() {
        let blocks: Vec<Block> = page_blocks(&page).into_iter().filter(|block| block.info == "sh").collect();
        if !blocks.is_empty() {
            run(&blocks);
        }
    }
}

#[test]
fn pieces_of_shell_are_shell() {
    let fragments = super::blocks().into_iter().filter(|block| block.info == "sh fragment");
    for Block { place, text, .. } in fragments {
        let read = Command::new("bash").args(["-n", "-c", &text]).output().unwrap();
        assert!(read.status.success(), "{place}: {}", String::from_utf8_lossy(&read.stderr));
    }
}

fn run(blocks: &[Block]) {
    let home = demonstration();
    let server = Server::run(home.clone(), Setup::default());
    // So that the commands find it by the configuration.
    let (path, listen) = (home.join("signer.toml"), format!("listen = \"{}\"", server.main));
    let configuration = fs::read_to_string(&path).unwrap();
    fs::write(path, configuration.replacen("listen = \"127.0.0.1:0\"", &listen, 1)).unwrap();
    let mut script = PRELUDE.to_owned();
    for block in blocks {
        write!(script, "PLACE='{}'\n{}", block.place, block.text).unwrap();
    }
    let output = Command::new("bash")
        .args(["-c", &format!("trap 'echo \"$PLACE\" >&2' ERR; {script}")])
        .current_dir(&home)
        .env("PROGRAM", env!("CARGO_BIN_EXE_chat-signer"))
        .env("MAIN", format!("http://{}", server.main))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (said, complaint) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}:\n{said}\n{complaint}", blocks[0].place);
}

/// A copy of what the commands find in the project's root.
fn demonstration() -> std::path::PathBuf {
    let home = common::demonstration(&[]);
    fs::create_dir_all(home.join("docs")).unwrap();
    fs::copy(format!("{ROOT}/docs/cases.toml"), home.join("docs/cases.toml")).unwrap();
    home
}
