//! The page and its files, which are compiled into the program.

use hyper::Response;
use hyper::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY, X_FRAME_OPTIONS,
};

use crate::server::http::response_body::{HttpResponse, ResponseBody};

/// The files: path below the path of the page, media type and content.
const ASSETS: [(&str, &str, &str); 11] = [
    ("", "text/html; charset=utf-8", include_str!("page/page.html")),
    ("/style.css", CSS, concat!(include_str!("../tokens.css"), include_str!("page/style.css"))),
    ("/main.js", JS, include_str!("page/main.js")),
    ("/http.js", JS, include_str!("page/http.js")),
    ("/form.js", JS, include_str!("page/form.js")),
    ("/fields.js", JS, include_str!("page/fields.js")),
    ("/moderation.js", JS, include_str!("page/moderation.js")),
    ("/result.js", JS, include_str!("page/result.js")),
    ("/decision.js", JS, include_str!("page/decision.js")),
    ("/dom.js", JS, include_str!("page/dom.js")),
    ("/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
];

/// The pages of the documentation that the page links to.
const DOCUMENTATION: [(&str, &str); 3] = [
    ("/policy.md", include_str!("../../../../docs/policy.md")),
    ("/http.md", include_str!("../../../../docs/http.md")),
    ("/playground.md", include_str!("../../../../docs/playground.md")),
];

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// The content security policy: only our own files, requests only to our own server, no frames, no forms, and no text
/// that becomes code or markup.
const CONTENT_SECURITY_POLICY_VALUE: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// Returns the file at this path below the path of the page.
pub(super) fn find_asset(below: &str) -> Option<HttpResponse> {
    let pages = DOCUMENTATION.map(|(path, text)| (path, "text/plain; charset=utf-8", text));
    let (_, media, text) = ASSETS.into_iter().chain(pages).find(|(path, ..)| *path == below)?;
    let mut answer = Response::new(ResponseBody::from(text));
    set_headers(answer.headers_mut(), media);
    Some(answer)
}

fn set_headers(headers: &mut HeaderMap, media: &'static str) {
    let lines = [
        (CONTENT_TYPE, media),
        (CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_VALUE),
        (REFERRER_POLICY, "no-referrer"),
        (X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    headers.extend(lines.map(|(name, value)| (name, HeaderValue::from_static(value))));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_page_is_fetched_from_elsewhere() {
        for (path, _, text) in ASSETS {
            let text = text.replace("http://www.w3.org/2000/svg", "");
            for elsewhere in ["http://", "https://", "//cdn", "@import", "url("] {
                assert!(!text.contains(elsewhere), "{path} has {elsewhere}");
            }
        }
    }

    #[test]
    fn no_text_becomes_markup_or_code() {
        let sinks =
            ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", " style=\""];
        for (path, _, text) in ASSETS {
            let found: Vec<_> = sinks.iter().filter(|sink| text.contains(**sink)).collect();
            assert!(found.is_empty(), "{path} has {found:?}");
        }
    }

    #[test]
    fn all_linked_files_exist() {
        for (path, _, text) in ASSETS {
            let absolute = text.split("\"/playground").skip(1).filter_map(|rest| rest.split('"').next());
            let relative = text.split("from \".").skip(1).filter_map(|rest| rest.split('"').next());
            for link in absolute.chain(relative).filter(|link| link.contains('.')) {
                assert!(find_asset(link).is_some(), "{path} links {link}");
            }
        }
    }
}
