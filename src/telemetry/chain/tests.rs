//! Tests of chains: correct files, and files that were changed afterwards.

#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;

use super::*;
use crate::secret::Secret;

const DOCS: &str = include_str!("../../../docs/audit.md");

/// The lines of the worked example, without their links.
const EXAMPLE: &str = concat!(
    "{\"time\":\"2026-11-30T12:00:00.000Z\",\"event\":\"audit_resumed\",\"lost\":1}\n",
    "{\"time\":\"2026-11-30T12:00:01.000Z\",\"event\":\"audit_resumed\",\"lost\":2}\n",
    "{\"time\":\"2026-11-30T12:00:02.000Z\",\"event\":\"audit_resumed\",\"lost\":3}\n",
);

fn id(number: u8) -> [u8; 16] {
    [number; 16]
}

fn key(text: &str) -> ChainKey {
    ChainKey::new(&Secret::new(text.into()))
}

fn raw(number: usize) -> String {
    format!(
        "{{\"time\":\"2026-11-30T12:00:00.{number:03}Z\",\"decision\":\"allow\",\"caller\":{{\"kind\":\"user\"}}}}\n"
    )
}

/// The lines of a new chain, without their newlines.
fn chained(chain: u8, key: Option<ChainKey>, count: usize) -> Vec<String> {
    let (mut chain, mut text) = (Chain::new(id(chain), key), Vec::new());
    chain.append((0..count).map(raw).collect::<String>().as_bytes(), &mut text);
    String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
}

fn verify_with(keys: &[ChainKey], record: &str, files: &[(&str, &[String])]) -> ChainReport {
    let mut verifier = ChainVerifier::new(keys.to_vec(), ChainRecord::parse(record).unwrap());
    for (name, lines) in files {
        verifier.read(name, &mut (lines.join("\n") + "\n").as_bytes()).unwrap();
    }
    verifier.finish()
}

fn verify(files: &[(&str, &[String])]) -> Vec<String> {
    problems(&verify_with(&[], "", files))
}

fn problems(report: &ChainReport) -> Vec<String> {
    report.problems.iter().map(ToString::to_string).collect()
}

fn name(chain: u8) -> String {
    ChainId(id(chain)).to_string()
}

#[test]
fn the_worked_example_in_the_documentation_is_what_is_written() {
    let first_id: [u8; 16] = std::array::from_fn(|n| u8::try_from(n).unwrap());
    for key in [None, Some(key("example-key-not-for-production"))] {
        let mut text = Vec::new();
        Chain::new(first_id, key).append(EXAMPLE.as_bytes(), &mut text);
        for line in String::from_utf8(text).unwrap().lines() {
            assert!(
                DOCS.lines().any(|documented| documented == line),
                "docs/audit.md does not have this line:\n{line}"
            );
        }
    }
}

#[test]
fn untouched_chains_that_interleave_over_files_in_any_order_are_clean() {
    let (a, b) = (chained(1, None, 6), chained(2, None, 4));
    let old = [&a[..2], &b[..1], &a[2..3], &b[1..3]].concat();
    let new = [&b[3..], &a[3..]].concat();
    assert_eq!(verify(&[("old", &old), ("new", &new)]), [""; 0]);
    let report = verify_with(&[], "", &[("new", &new), ("old", &old)]);
    assert_eq!(problems(&report), [""; 0]);
    assert_eq!((report.lines, report.ends.len(), report.ends[0].seq, report.ends[1].seq), (10, 2, 5, 3));
}

#[test]
fn each_sort_of_tampering_is_reported_at_its_line() {
    let (lines, chain) = (chained(1, None, 6), name(1));
    let without = |n: usize| [&lines[..n], &lines[n + 1..]].concat();
    assert_eq!(
        verify(&[("f", &without(2))]),
        [format!("f:3: missing: chain {chain}, number 2: missing between f:2 and this line")]
    );
    assert_eq!(
        verify(&[("f", &lines[2..])]),
        [format!("f:1: missing: chain {chain}, numbers 0 to 1: missing before this line")]
    );
    let mut changed = lines.clone();
    changed[3] = changed[3].replace("allow", "deny");
    assert_eq!(
        verify(&[("f", &changed)]),
        [format!("f:4: changed: chain {chain}, number 3: does not match its own hash")]
    );
    let doubled = [&lines[..], &lines[1..2]].concat();
    assert_eq!(verify(&[("f", &doubled)]), [format!("f:7: duplicated: chain {chain}, number 1: there a second time")]);
    let mut swapped = lines.clone();
    swapped.swap(2, 3);
    assert_eq!(verify(&[("f", &swapped)]), [format!("f:4: reordered: chain {chain}, number 2: after number 3")]);
}

#[test]
fn a_line_that_was_moved_to_another_file_is_reported() {
    let (lines, chain) = (chained(1, None, 8), name(1));
    let old = [&lines[..2], &lines[3..5]].concat();
    for (new, expected) in [
        (
            [&lines[2..3], &lines[5..]].concat(),
            vec![
                format!("old:3: reordered: chain {chain}, number 3: continues new:1, a line of another file"),
                format!("new:2: reordered: chain {chain}, number 5: continues old:4, a line of another file"),
            ],
        ),
        (
            [&lines[5..], &lines[2..3]].concat(),
            vec![format!("new:4: reordered: chain {chain}, number 2: after number 7")],
        ),
    ] {
        assert_eq!(verify(&[("old", &old), ("new", &new)]), expected);
    }
}

#[test]
fn a_line_that_was_replaced_with_a_matching_hash_breaks_the_chain_behind_it() {
    let lines = chained(1, None, 4);
    let mut other = Chain::new(id(1), None);
    let mut forged = Vec::new();
    other.append((raw(0) + &raw(1).replace("allow", "deny")).as_bytes(), &mut forged);
    let forged = String::from_utf8(forged).unwrap();
    let tampered = [&lines[..1], &[forged.lines().nth(1).unwrap().to_owned()], &lines[2..]].concat();
    let chain = name(1);
    assert_eq!(
        verify(&[("f", &tampered)]),
        [format!("f:3: changed: chain {chain}, number 2: does not continue number 1 at f:2; one of them was replaced")]
    );
}

#[test]
fn lines_without_a_chain_are_reported_and_torn_ones_are_not() {
    let lines = chained(1, None, 3);
    let whole = raw(7).trim_end().to_owned();
    let inserted = |line: &str| [&lines[..1], &[line.to_owned()], &lines[1..]].concat();
    assert_eq!(verify(&[("f", &inserted(&whole))]), ["f:2: unchained: in no chain"]);
    for garbage in ["hello", "[1]", "}", "{\"a\":1}}", "null", "\u{0}", "{]"] {
        assert_eq!(verify(&[("f", &inserted(garbage))]), ["f:2: unchained: not an audit line"], "{garbage}");
    }
    for torn in [&lines[1][..lines[1].len() - 1], &lines[1][..20], "{"] {
        let report = verify_with(&[], "", &[("f", &inserted(torn))]);
        assert_eq!((problems(&report), report.torn.len(), report.torn[0].first), (vec![], 1, 2), "{torn}");
    }
    assert_eq!(verify(&[("f", &inserted(""))]), [""; 0]);
}

#[test]
fn a_whole_line_behind_a_torn_one_without_a_newline_is_whole() {
    let (lines, other) = (chained(1, None, 3), chained(2, None, 1));
    let glued = format!("{}{}", &other[0][..40], lines[1]);
    let report = verify_with(&[], "", &[("f", &[lines[0].clone(), glued, lines[2].clone()])]);
    assert_eq!((problems(&report), report.torn.len()), (vec![], 1));
    let glued = format!("{}{}", raw(1).trim_end(), lines[1]);
    assert_eq!(verify(&[("f", &[lines[0].clone(), glued, lines[2].clone()])]), ["f:2: unchained: in no chain"]);
}

#[test]
fn keyed_chains_need_their_key() {
    let (right, wrong) = (key("right-right-right"), key("wrong-wrong-wrong"));
    let lines = chained(1, Some(right.clone()), 3);
    let (chain, right_id) = (name(1), right.id);
    let read = |keys: &[ChainKey]| problems(&verify_with(keys, "", &[("f", &lines)]));
    assert_eq!(read(&[wrong.clone(), right.clone()]), [""; 0]);
    let unknown = format!("f:1: unverified: chain {chain}: 3 lines need the key {right_id}, which is not given");
    assert_eq!(read(&[]), std::slice::from_ref(&unknown));
    assert_eq!(read(std::slice::from_ref(&wrong)), [unknown]);

    let plain = chained(1, None, 3);
    assert_eq!(
        problems(&verify_with(std::slice::from_ref(&right), "", &[("f", &plain)])),
        [format!("f:1: unverified: chain {chain}: 3 lines are not keyed, so anyone could have written them")]
    );
    // The last line of a chain also has a MAC, so a change of it is detected too.
    let mut last = lines.clone();
    last[2] = last[2].replace("allow", "deny");
    assert_eq!(
        problems(&verify_with(&[right], "", &[("f", &last)])),
        [format!("f:3: changed: chain {chain}, number 2: does not match its own hash")]
    );
}

#[test]
fn a_record_shows_what_is_cut_off() {
    let (a, b) = (chained(1, None, 5), chained(2, None, 2));
    let report = verify_with(&[], "", &[("f", &[&a[..], &b[..]].concat())]);
    let record = report.ends.iter().map(|end| format!("{end}\n")).collect::<Vec<_>>().concat();
    let against = |files: &[(&str, &[String])]| problems(&verify_with(&[], &record, files));
    let (first, second) = (name(1), name(2));
    assert_eq!(against(&[("f", &[&a[..], &b[..]].concat())]), [""; 0]);
    assert_eq!(
        against(&[("f", &a[..3])]),
        [
            format!(
                "record: chain {first}: its end is missing; the last line has number 2, at f:3, the record has number 4"
            ),
            format!("record: chain {second}: completely missing; the record has it up to number 1"),
        ]
    );
    // Files that were deleted after the record was made are not reported.
    let (old, longer) = (chained(1, None, 3), chained(1, None, 5));
    let kept = verify_with(&[], "", &[("f", &old)]).ends[0].to_string();
    assert_eq!(problems(&verify_with(&[], &kept, &[("f", &longer[3..])])), [""; 0]);
    let other = format!("{first} 2 {}", "0".repeat(64));
    assert_eq!(
        problems(&verify_with(&[], &other, &[("f", &longer[3..])])),
        [format!("f:1: missing: chain {first}, numbers 0 to 2: missing before this line")]
    );
    assert_eq!(
        problems(&verify_with(&[], &other, &[("f", &longer)])),
        [format!("f:3: record: chain {first}, number 2: has another hash in the record")]
    );
}

#[test]
fn malformed_records_are_refused() {
    let zeros = "0".repeat(64);
    let good = format!("{} 3 {zeros}", name(1));
    assert!(ChainRecord::parse(&format!("\n{good}\n\n{good}\n")).is_ok());
    for bad in ["x", &format!("{good} more"), &good.replace(" 3 ", " -3 "), &good[1..]] {
        assert_eq!(ChainRecord::parse(bad).unwrap_err(), RecordError::Malformed(1), "{bad}");
    }
    let other = good.replace(&zeros, &"1".repeat(64));
    assert_eq!(ChainRecord::parse(&format!("{good}\n{other}")).unwrap_err(), RecordError::Contradiction(2));
}

#[test]
fn files_without_a_chained_line_are_not_clean() {
    assert_eq!(verify(&[("f", &[])]), ["missing: there is no chained line in these files"]);
}

#[test]
fn a_line_of_any_length_takes_little_memory() {
    let lines = chained(1, None, 2);
    let long = std::io::Read::take(std::io::repeat(b'x'), 20 << 20);
    let text = [(lines[0].clone() + "\n").into_bytes(), (String::from("\n") + &lines[1]).into_bytes()];
    let mut input =
        std::io::BufReader::new(std::io::Read::chain(std::io::Read::chain(&text[0][..], long), &text[1][..]));
    let mut verifier = ChainVerifier::default();
    verifier.read("f", &mut input).unwrap();
    assert_eq!(problems(&verifier.finish()), ["f:2: unchained: too long for an audit line"]);
}

#[test]
fn a_chain_goes_on_behind_the_lines_that_were_written() {
    let all: String = (0..5).map(raw).collect();
    for written in 0..=5 {
        let (mut expected, mut chain) = (Chain::new(id(1), None), Chain::new(id(1), None));
        chain.advance(all.as_bytes(), written);
        let [mut before, mut expected_next, mut next] = [const { Vec::new() }; 3];
        expected.append((0..written).map(raw).collect::<String>().as_bytes(), &mut before);
        expected.append(raw(9).as_bytes(), &mut expected_next);
        chain.append(raw(9).as_bytes(), &mut next);
        assert_eq!(next, expected_next);
    }
}

/// A change to the lines of a file.
#[derive(Clone, Debug)]
enum Edit {
    Remove(usize),
    Double(usize, usize),
    Swap(usize, usize),
    FlipBit(usize, usize, u8),
    Insert(usize, Vec<u8>),
}

fn edits() -> impl Strategy<Value = Edit> {
    let n = any::<usize>();
    prop_oneof![
        n.prop_map(Edit::Remove),
        (n, n).prop_map(|(a, b)| Edit::Double(a, b)),
        (n, n).prop_map(|(a, b)| Edit::Swap(a, b)),
        (n, n, 0..8_u8).prop_map(|(line, byte, bit)| Edit::FlipBit(line, byte, bit)),
        (n, "[ -~]{1,40}").prop_map(|(at, text)| Edit::Insert(at, text.into_bytes())),
    ]
}

/// Makes the change. It does not remove the last line of a chain, because that cannot be detected.
fn apply(edit: &Edit, lines: &mut Vec<Vec<u8>>) {
    let count = lines.len();
    match edit {
        Edit::Remove(at) => _ = lines.remove(at % (count - 1)),
        Edit::Double(from, to) => lines.insert(to % (count + 1), lines[from % count].clone()),
        Edit::Swap(a, b) => lines.swap(a % count, b % count),
        Edit::FlipBit(line, byte, bit) => {
            let line = &mut lines[line % count];
            let byte = byte % line.len();
            line[byte] ^= 1 << bit;
        }
        Edit::Insert(at, text) => lines.insert(at % (count + 1), text.clone()),
    }
}

fn join(lines: &[Vec<u8>]) -> Vec<u8> {
    lines.iter().flat_map(|line| [line.as_slice(), b"\n"].concat()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Every single change is detected, either as a problem or as a torn line.
    #[test]
    fn any_one_edit_is_noticed(edit in edits(), keyed: bool) {
        let key = keyed.then(|| key("right-right-right"));
        let untouched: Vec<Vec<u8>> = chained(1, key.clone(), 12).into_iter().map(String::into_bytes).collect();
        let mut lines = untouched.clone();
        apply(&edit, &mut lines);
        prop_assume!(lines != untouched);
        let mut verifier = ChainVerifier::new(key.into_iter().collect(), ChainRecord::default());
        verifier.read("f", &mut &join(&lines)[..]).unwrap();
        let report = verifier.finish();
        prop_assert!(!report.is_clean() || !report.torn.is_empty(), "{edit:?}");
        // The last line can also be torn.
        let may_be_torn = match edit {
            Edit::Insert(..) => true,
            Edit::FlipBit(line, ..) => line % untouched.len() == untouched.len() - 1,
            Edit::Remove(_) | Edit::Double(..) | Edit::Swap(..) => false,
        };
        prop_assert!(!report.is_clean() || may_be_torn, "{edit:?}");
    }

    /// Verification of a file ends without a panic, for any content.
    #[test]
    fn no_file_makes_it_panic(edits in proptest::collection::vec(edits(), 0..20), noise: Vec<u8>) {
        let mut lines: Vec<Vec<u8>> = chained(1, None, 12).into_iter().map(String::into_bytes).collect();
        let links = [r#"{"a":1,"chain":{"id":"","seq":18446744073709551615,"prev":null,"hash":""}}"#, r#","chain":{"#, "}}"];
        lines.extend(links.iter().map(|line| line.as_bytes().to_vec()));
        lines.push(noise);
        for edit in &edits {
            let is_possible = lines.len() > 1 && lines.iter().all(|line| !line.is_empty());
            if is_possible {
                apply(edit, &mut lines);
            }
        }
        let mut verifier = ChainVerifier::default();
        verifier.read("f", &mut &join(&lines)[..]).unwrap();
        verifier.read("g", &mut &join(&lines)[..]).unwrap();
        verifier.finish();
    }
}

#[test]
fn the_highest_number_does_not_overflow() {
    let mut text = Vec::new();
    for seq in [u64::MAX, u64::MAX - 1, u64::MAX] {
        let start = text.len();
        text.extend_from_slice(br#"{"time":"x""#);
        let mut link = ChainLink { id: ChainId(id(1)), seq, prev: Some([0; 32]), key: None, hash: [0; 32] };
        link.write_covered(&mut text);
        link.hash = crate::crypto::sha256(&text[start..]);
        link.write_hash(&mut text);
        text.push(b'\n');
    }
    let mut verifier = ChainVerifier::default();
    verifier.read("f", &mut &text[..]).unwrap();
    assert!(!verifier.finish().is_clean());
}
