//! The moderators' page: where it is enabled, with all that keeps it to itself, and its public settings.

use std::io::{Read, Write};
use std::net::TcpStream;

use flate2::read::GzDecoder;
use serde_json::json;

use crate::common::{Answer, Server, Setup, request};

const SECTION: &str = r#"
[console]
enabled = true
title = "Example's moderation"
sign_in = "https://app.example.com/login?back={return}"
token = ["paste"]
help = "https://wiki.example.com/moderation"
"#;

const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                   base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
                   trusted-types 'none'";

fn get(server: &Server, path: &str, headers: &str) -> Answer {
    server.ask(&request("GET", path, headers, ""))
}

/// The addresses of the files that the page links.
fn linked(page: &str) -> Vec<String> {
    let links = page.split(['"', '\'']).filter(|text| text.starts_with("/console/"));
    links.map(str::to_owned).collect()
}

/// The content of a file that is sent as gzip.
fn unpacked(server: &Server, file: &str) -> String {
    let mut stream = TcpStream::connect(server.main).unwrap();
    stream
        .write_all(request("GET", file, "accept-encoding: br, gzip\r\nconnection: close\r\n", "").as_bytes())
        .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
    assert!(String::from_utf8_lossy(&answer[..end]).contains("content-encoding: gzip"), "{file}");
    let mut text = String::new();
    GzDecoder::new(&answer[end..]).read_to_string(&mut text).unwrap();
    text
}

#[test]
fn the_page_its_files_and_its_errors_have_the_headers_that_keep_it_to_itself() {
    let server = Server::with(Setup::more(SECTION));
    let page = get(&server, "/console", "");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let files = linked(&page.body);
    let links = |part: &str| files.iter().any(|file| file.contains(part));
    assert!(links(".js") && links(".css"), "{files:?}");
    let missing =
        ["/console/", "/console/config/", "/console/nothing", "/console/0000000000000000/main.js", "/console/a/b/c"];
    let answers = files.iter().map(|file| (file.as_str(), 200)).chain([("/console", 200), ("/console/config", 200)]);
    for (path, status) in answers.chain(missing.map(|path| (path, 404))) {
        for (method, status) in [("GET", status), ("POST", if status == 200 { 405 } else { 404 })] {
            let answer = server.ask(&request(method, path, "", ""));
            // A path with the form of a file's has the methods of files.
            let is_file = path == "/console/0000000000000000/main.js" && method == "POST";
            assert_eq!(answer.status, if is_file { 405 } else { status }, "{method} {path}");
            for (name, value) in [
                ("content-security-policy", CSP),
                ("x-frame-options", "DENY"),
                ("cross-origin-opener-policy", "same-origin"),
                ("cross-origin-resource-policy", "same-origin"),
                ("referrer-policy", "no-referrer"),
                ("x-content-type-options", "nosniff"),
                ("x-robots-tag", "noindex"),
            ] {
                assert_eq!(answer.header(name), Some(value), "{method} {path}");
            }
            assert!(answer.header("permissions-policy").unwrap().contains("clipboard-read=()"), "{path}");
        }
    }
    assert_eq!(get(&server, "/consoles", "").header("content-security-policy"), None);
}

#[test]
fn files_are_cached_by_their_address_and_the_page_by_its_tag() {
    let server = Server::with(Setup::more(SECTION));
    let page = get(&server, "/console", "");
    assert_eq!((page.header("cache-control"), page.header("vary")), (Some("no-cache"), Some("accept-encoding")));
    let tag = page.header("etag").unwrap();
    let known = get(&server, "/console", &format!("if-none-match: \"other\", {tag}\r\n"));
    assert_eq!((known.status, known.body.as_str(), known.header("etag")), (304, "", Some(tag)));
    assert_eq!(get(&server, "/console", "if-none-match: \"other\"\r\n").status, 200);
    for file in linked(&page.body) {
        let plain = get(&server, &file, "accept-encoding: gzip;q=0, br\r\n");
        assert_eq!(plain.header("cache-control"), Some("public, max-age=31536000, immutable"), "{file}");
        assert_eq!((plain.header("content-encoding"), plain.header("vary")), (None, Some("accept-encoding")));
        assert_eq!(unpacked(&server, &file), plain.body, "{file}");
    }
    assert_eq!(get(&server, "/console/config", "").header("cache-control"), Some("no-store"));
}

#[test]
fn everyone_may_read_the_settings_of_the_sign_in_and_no_others() {
    let server = Server::with(Setup::more(SECTION));
    let public = get(&server, "/console/config", "").json();
    let page = get(&server, "/console", "").body;
    let build = public["build"].as_str().unwrap();
    assert!(linked(&page).iter().all(|file| file.starts_with(&format!("/console/{build}/"))), "{page}");
    let expected = json!({
        "title": "Example's moderation",
        "sign_in": "https://app.example.com/login?back={return}",
        "token": ["paste"],
        "languages": ["en", "zh"],
        "build": build,
    });
    assert_eq!(public, expected);
    server.change("Example's moderation", "Changed");
    assert_eq!(get(&server, "/console/config", "").json()["title"], "Changed");
}

#[test]
fn without_the_setting_there_is_nothing() {
    for section in ["", "[console]\ntitle = \"Moderation\"\n"] {
        let server = Server::with(Setup::more(section));
        for path in ["/console", "/console/config", "/console/nothing"] {
            let answer = get(&server, path, "");
            assert_eq!(answer.code(), "not_found", "{path}");
            assert_eq!(answer.header("content-security-policy"), None, "{path}");
        }
    }
}

#[test]
fn pages_of_listed_origins_cannot_read_it() {
    let cors = "[server.cors]\norigins = [\"https://app.example.com\"]\ncredentials = true";
    let server = Server::with(Setup { more: SECTION.to_owned(), ..Setup::server(cors) });
    let origin = "origin: https://app.example.com\r\n";
    for path in ["/console", "/console/config"] {
        assert_eq!(get(&server, path, origin).header("access-control-allow-origin"), None, "{path}");
        let preflight = format!("{origin}access-control-request-method: GET\r\n");
        assert_eq!(server.ask(&request("OPTIONS", path, &preflight, "")).status, 405, "{path}");
    }
}
