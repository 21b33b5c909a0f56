//! How a token is shown.

use crate::token_attacks::draft::{Twist, carried};
use crate::token_attacks::issuer::{ALL, TYPES};
use crate::token_attacks::row::{Row, refused, served};

const SCHEME: &str = "the `authorization` header must be `Bearer <token>`";
const TWICE: &str = "the header `authorization` is there more than once";
const NONE: &str = "there is no credential";

fn line(before: &'static str, after: &'static str) -> Twist {
    carried(move |token| format!("authorization:{before}{token}{after}\r\n"))
}

pub(crate) fn rows() -> Vec<Row> {
    let twice =
        |between: &'static str| carried(move |token| format!("authorization: Bearer {token}{between}{token}\r\n"));
    let header = |name: &'static str| carried(move |token| format!("{name}: Bearer {token}\r\n"));
    let mut rows = vec![
        served("bearer in lower case", TYPES, line(" bearer ", "")),
        served("BEARER in capitals", TYPES, line(" BEARER ", "")),
        served("spaces before the token", TYPES, line(" Bearer    ", "")),
        served("spaces around the value", TYPES, line("   Bearer ", "  \t")),
        served(
            "another case of the header's name",
            TYPES,
            carried(|token| format!("AUTHORIZATION: Bearer {token}\r\n")),
        ),
        refused("no scheme", TYPES, SCHEME, line(" ", "")),
        refused("no space behind the scheme", TYPES, SCHEME, line(" Bearer", "")),
        refused("a tab behind the scheme", TYPES, SCHEME, line(" Bearer\t", "")),
        refused("a colon behind the scheme", TYPES, SCHEME, line(" Bearer:", "")),
        refused("an equals sign behind the scheme", TYPES, SCHEME, line(" Bearer=", "")),
        refused("another scheme", TYPES, SCHEME, line(" Basic ", "")),
        refused("a scheme that ends so", TYPES, SCHEME, line(" XBearer ", "")),
        refused("DPoP", TYPES, SCHEME, line(" DPoP ", "")),
        refused("Token", TYPES, SCHEME, line(" Token ", "")),
        refused("the scheme twice", TYPES, "the token's header is not", line(" Bearer Bearer ", "")),
        refused("a no-break space for a space", TYPES, "holds more than ASCII", line(" Bearer\u{a0}", "")),
        refused("a letter beyond ASCII", TYPES, "holds more than ASCII", line(" Bearer ", "é")),
        refused("a parameter behind the token", TYPES, "signature does not hold", line(" Bearer ", ";a=b")),
        refused("a comma behind the token", TYPES, "signature does not hold", line(" Bearer ", ",")),
        refused("two tokens with a comma", TYPES, "three parts", twice(", ")),
        refused("two tokens with a space", TYPES, "three parts", twice(" ")),
        refused("two tokens, each with its scheme", TYPES, "three parts", twice(", Bearer ")),
        refused("two headers", ALL, TWICE, twice("\r\nauthorization: Bearer ")),
        refused("two headers, the second empty", TYPES, TWICE, line(" Bearer ", "\r\nauthorization:")),
        refused("two headers, the first empty", TYPES, TWICE, line("\r\nauthorization: Bearer ", "")),
        refused(
            "two headers, one of another scheme",
            TYPES,
            TWICE,
            line(" Bearer ", "\r\nAuthorization: Basic dG9tOnRvbQ=="),
        ),
        refused("an empty value", TYPES, SCHEME, carried(|_| "authorization:\r\n".to_owned())),
        refused("the scheme alone", TYPES, SCHEME, carried(|_| "authorization: Bearer\r\n".to_owned())),
        refused("in the query's name", TYPES, NONE, header("access_token")),
        refused(
            "in a cookie",
            TYPES,
            NONE,
            carried(|token| format!("cookie: access_token={token}; authorization=Bearer {token}\r\n")),
        ),
    ];
    for name in
        ["proxy-authorization", "x-authorization", "x-access-token", "x-forwarded-authorization", "www-authenticate"]
    {
        rows.push(refused(format!("in {name}"), TYPES, NONE, header(name)));
    }
    rows
}
