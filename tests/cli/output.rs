//! The command line's answers, to the letter. Write them anew with `TRYCMD=overwrite cargo test --test cli output::`, and read what changed.
#![allow(missing_docs)]

#[test]
fn answers_as_written() {
    trycmd::TestCases::new().case("tests/cmd/*.trycmd");
}
