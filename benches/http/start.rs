//! Starts the signer repeatedly and prints the time until it is ready, that is, until `/readyz` answers 200.
//! `benches/start` runs it.
#![allow(missing_docs)]

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How many bans, and how many bindings, the large policy has.
const ENTRIES: usize = 100_000;

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let program = arguments.next().ok_or("which program?")?;
    let rounds: usize = arguments.next().unwrap_or_default().parse()?;
    let directory = std::env::temp_dir().join(format!("chat-signer-start-{}", std::process::id()));
    write_demo_files(&directory)?;
    let small = measure(&program, &directory, rounds);
    enlarge(&directory.join("policy.toml"))?;
    let large = measure(&program, &directory, rounds);
    fs::remove_dir_all(&directory)?;
    report("demonstration", &small?);
    report("100,000 bans and bindings", &large?);
    Ok(())
}

/// Writes the demonstration's files, with ports that the system chooses and without a delay at the end.
fn write_demo_files(directory: &Path) -> Result<(), Failure> {
    let secrets = Path::new("deploy/demo");
    fs::create_dir_all(directory.join(secrets))?;
    for entry in fs::read_dir(secrets)? {
        let path = entry?.path();
        fs::copy(&path, directory.join(&path))?;
    }
    fs::copy("policy.toml", directory.join("policy.toml"))?;
    let signer = fs::read_to_string("signer.toml")?;
    let signer = signer
        .replace(":7480\"", ":0\"")
        .replace(":7481\"", ":0\"")
        .replace("drain_delay = \"5s\"", "drain_delay = \"0s\"");
    fs::write(directory.join("signer.toml"), signer)?;
    Ok(())
}

fn enlarge(policy: &Path) -> Result<(), Failure> {
    let mut text = fs::read_to_string(policy)?;
    for number in 0..ENTRIES {
        write!(text, "\n[[bans]]\nuser = \"banned-{number}\"\nconversation = \"room-{}\"\n", number % 1000)?;
        write!(
            text,
            "\n[[bindings]]\nuser = \"bound-{number}\"\nconversation = \"room-{}\"\nrole = \"member\"\n",
            number % 1000
        )?;
    }
    fs::write(policy, text)?;
    Ok(())
}

/// Returns the times of all starts, the shortest first.
fn measure(program: &str, directory: &Path, rounds: usize) -> Result<Vec<Duration>, Failure> {
    let mut times = (0..rounds).map(|_| start(program, directory)).collect::<Result<Vec<_>, _>>()?;
    times.sort_unstable();
    Ok(times)
}

fn start(program: &str, directory: &Path) -> Result<Duration, Failure> {
    let began = Instant::now();
    let mut child = Command::new(program)
        .args(["serve", "--config"])
        .arg(directory.join("signer.toml"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let admin = admin(&mut child)?;
    while !is_ready(&admin)? {}
    let time = began.elapsed();
    child.kill()?;
    child.wait()?;
    Ok(time)
}

/// Returns the address of the admin listener from the log.
fn admin(child: &mut Child) -> Result<String, Failure> {
    let log = child.stderr.take().ok_or("no log")?;
    for line in BufReader::new(log).lines() {
        if let Some((_, rest)) = line?.split_once("(admin http://") {
            return Ok(rest.trim_end_matches(')').to_owned());
        }
    }
    Err("it did not start".into())
}

fn is_ready(admin: &str) -> Result<bool, Failure> {
    let mut stream = TcpStream::connect(admin)?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200 "))
}

fn report(what: &str, times: &[Duration]) {
    let millis = |time: Option<&Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1000.0);
    let (median, most) = (millis(times.get(times.len() / 2)), millis(times.last()));
    println!("{what}: ready after {median:.1} ms (median of {}), {most:.1} ms at most", times.len());
}
