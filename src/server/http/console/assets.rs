//! The page of the console and its files, which are compiled into the program.
//!
//! The page links its files as `{assets}/NAME`. The placeholder stands for a folder whose name is a hash of all files,
//! so that browsers can cache the files without end. All modules are sent as one file, because a phone with a slow
//! connection would wait for each level of imports.

use std::io::Write;
use std::sync::OnceLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, VARY,
};

use super::modules;
use crate::crypto::{hex, sha256};
use crate::server::http::response_body::{HttpResponse, ResponseBody};
use crate::server::http::{accept, render};

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// The page.
const PAGE: &str = include_str!("assets/index.html");

/// The files besides the script: name, media type and content.
const FILES: [(&str, &str, &str); 2] = [
    ("console.css", CSS, concat!(include_str!("../tokens.css"), include_str!("assets/console.css"))),
    ("icon.svg", "image/svg+xml", include_str!("../playground/page/icon.svg")),
];

/// The name of the script, which is made of the modules.
const SCRIPT: &str = "console.js";

/// The data that is computed once from the page and its files.
struct ConsoleAssets {
    build: String,
    page: CompressedAsset,
    /// The value of `ETag` of the page. It is weak, because the page has two encodings.
    page_tag: String,
    files: Vec<(&'static str, CompressedAsset)>,
}

/// A file in both encodings.
struct CompressedAsset {
    media: &'static str,
    plain: Bytes,
    gzip: Bytes,
}

/// Returns the name of the folder of the files. It differs if a file differs.
pub(in crate::server::http) fn build() -> &'static str {
    &assets().build
}

/// Returns the page, or 304 if the client has it.
pub(super) fn page(headers: &HeaderMap) -> HttpResponse {
    let ConsoleAssets { page, page_tag, .. } = assets();
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let is_known = known.flat_map(|tags| tags.split(',')).any(|tag| tag.trim() == page_tag);
    let mut answer = page.response(headers);
    if is_known {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        *answer.body_mut() = ResponseBody::default();
    }
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answer.headers_mut().extend(HeaderValue::try_from(page_tag).ok().map(|tag| (ETAG, tag)));
    answer
}

/// Returns the file at this path below the path of the page, if there is one.
pub(super) fn file(below: &str, headers: &HeaderMap) -> Option<HttpResponse> {
    let name = below.strip_prefix('/')?.strip_prefix(build())?.strip_prefix('/')?;
    let (_, asset) = assets().files.iter().find(|(known, _)| *known == name)?;
    let mut answer = asset.response(headers);
    let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
    answer.headers_mut().insert(CACHE_CONTROL, forever);
    Some(answer)
}

fn assets() -> &'static ConsoleAssets {
    static ASSETS: OnceLock<ConsoleAssets> = OnceLock::new();
    ASSETS.get_or_init(|| {
        let files = FILES.map(|(name, media, text)| (name, media, text.to_owned()));
        let files = files.into_iter().chain([(SCRIPT, JS, modules::bundle())]);
        let files: Vec<_> = files.map(|(name, media, text)| (name, CompressedAsset::new(media, text))).collect();
        let all: Vec<_> = files.iter().flat_map(|(name, file)| [name.as_bytes(), &file.plain, b"\0"]).collect();
        let build = short_hash(&all.concat());
        let page = PAGE.replace("{assets}", &format!("/console/{build}"));
        ConsoleAssets {
            page_tag: format!("W/\"{}\"", short_hash(page.as_bytes())),
            page: CompressedAsset::new("text/html; charset=utf-8", page),
            files,
            build,
        }
    })
}

fn short_hash(bytes: &[u8]) -> String {
    hex(&sha256(bytes)).chars().take(16).collect()
}

impl CompressedAsset {
    fn new(media: &'static str, text: String) -> CompressedAsset {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        // A write to memory does not fail.
        let gzip = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()).unwrap_or_default();
        CompressedAsset { media, plain: text.into(), gzip: gzip.into() }
    }

    fn response(&self, headers: &HeaderMap) -> HttpResponse {
        let is_gzip = accept::names(headers, &ACCEPT_ENCODING, "gzip") && !self.gzip.is_empty();
        let body = if is_gzip { &self.gzip } else { &self.plain };
        let mut answer = render::success(self.media, body.clone());
        answer.headers_mut().insert(VARY, HeaderValue::from_static("accept-encoding"));
        if is_gzip {
            answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> impl Iterator<Item = (&'static str, &'static str)> {
        FILES.into_iter().map(|(name, _, text)| (name, text)).chain([("index.html", PAGE)]).chain(modules::MODULES)
    }

    #[test]
    fn nothing_of_the_page_is_fetched_from_elsewhere() {
        for (name, text) in texts() {
            let text = text.replace("http://www.w3.org/2000/svg", "");
            for elsewhere in ["http://", "https://", "//cdn", "@import", "url("] {
                assert!(!text.contains(elsewhere), "{name} has {elsewhere}");
            }
        }
    }

    #[test]
    fn no_text_becomes_markup_or_code() {
        let sinks =
            ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", " style=\""];
        for (name, text) in texts() {
            let found: Vec<_> = sinks.iter().filter(|sink| text.contains(**sink)).collect();
            assert!(found.is_empty(), "{name} has {found:?}");
        }
    }

    #[test]
    fn all_linked_files_exist() {
        for (name, text) in texts() {
            for link in text.split("\"{assets}/").skip(1).filter_map(|rest| rest.split('"').next()) {
                assert!(assets().files.iter().any(|(known, _)| *known == link), "{name} links {link}");
            }
        }
    }

    #[test]
    fn the_files_are_small() {
        let ConsoleAssets { page, files, .. } = assets();
        let sizes = files.iter().map(|(_, asset)| asset.gzip.len()).sum::<usize>() + page.gzip.len();
        assert!(sizes > 0 && sizes <= 45 << 10, "{sizes} bytes");
    }
}
