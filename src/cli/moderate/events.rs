//! `events`: prints the moderation events of a running server as they happen.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::value_parser;
use http_body_util::BodyExt;
use hyper::body::{Bytes, Frame, Incoming};
use hyper::{Method, StatusCode};
use serde_json::Value;
use tokio::signal::ctrl_c;
use tokio::time::{sleep, timeout};

use super::super::common::{CommandError, CommonArguments, OutputFormat, block_on, escape_line, print_error};
use super::answer::{check_status, format_value};
use super::list::describe;
use super::server::{ServerArguments, ServerClient, ServerRequest, ServerResponse};
use crate::moderation::api::{ModerationParameters, ModerationResource};

/// The first pause before a new connection attempt. Each further pause is twice as long.
const FIRST_RETRY_DELAY: Duration = Duration::from_secs(1);

/// The longest pause.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(16);

/// How long a stream may be silent. A server sends a comment line at least every 15 seconds.
const STREAM_TIMEOUT: Duration = Duration::from_secs(45);

/// The longest line of a stream, in bytes.
const MAX_LINE_BYTES: usize = 1 << 20;

/// The arguments of `events`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// Stop after this number of events.
    #[arg(long, value_name = "NUMBER", value_parser = value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Start after the event with this id. If absent, start with the next event.
    #[arg(long, value_name = "ID")]
    after: Option<String>,
    /// The user on whose behalf a service asks. If absent, the service asks for itself.
    #[arg(long = "as", value_name = "USER")]
    client: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
}

/// The state of the command: the server, and the last event that was printed.
struct EventFollower<'a> {
    common: &'a CommonArguments,
    server: &'a ServerClient<'a>,
    /// The user on whose behalf a service asks.
    client: Option<&'a str>,
    /// The id of the last known event.
    last: Option<String>,
    /// How many more events to print. `None`: no limit.
    remaining: Option<u32>,
}

/// Prints events until the limit is reached, the output is closed, or Ctrl-C.
pub(super) fn run(common: &CommonArguments, arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let Arguments { limit, after, client, server } = arguments;
    let server = &server.client_for_server(common)?;
    let mut follower =
        EventFollower { common, server, client: client.as_deref(), last: after.clone(), remaining: *limit };
    block_on(async {
        tokio::select! {
            result = follower.follow() => result,
            _ = ctrl_c() => Ok(()),
        }
    })??;
    Ok(ExitCode::SUCCESS)
}

/// The reason why a stream ended.
enum StreamEnd {
    /// All requested events were printed.
    LimitReached,
    /// The server ended the stream, which is normal, or the connection broke. Then the text is the reason.
    Disconnected(Option<String>),
}

impl EventFollower<'_> {
    /// Follows one stream after another. A failure of the first connection is an error. Later connections are tried
    /// again.
    async fn follow(&mut self) -> Result<(), CommandError> {
        let mut stream = self.connect().await?.map_err(|answer| self.answer_error(&answer))?;
        loop {
            match self.print(&mut stream).await? {
                StreamEnd::LimitReached => return Ok(()),
                StreamEnd::Disconnected(why) => stream = self.reconnect(why).await?,
            }
        }
    }

    async fn connect(&self) -> Result<Result<Incoming, ServerResponse>, CommandError> {
        let (last_event_id, client_id) = (self.last.clone(), self.client.map(str::to_owned));
        let parameters = ModerationParameters { client_id, last_event_id, ..ModerationParameters::default() };
        let (method, resource) = (Method::GET, ModerationResource::Events);
        self.server.open_stream(&ServerRequest { method, resource, parameters }).await
    }

    /// Connects again after the last known event, as soon as the server is available.
    async fn reconnect(&self, why: Option<String>) -> Result<Incoming, CommandError> {
        if let Some(why) = why {
            print_error(&format!("note: {why}"));
        }
        let (mut pause, mut said) = (FIRST_RETRY_DELAY, None);
        loop {
            sleep(pause).await;
            pause = (pause * 2).min(MAX_RETRY_DELAY);
            let why = match self.connect().await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(answer)) if is_temporary(answer.status) => format!("the server answers {}", answer.status),
                Ok(Err(answer)) => return Err(self.answer_error(&answer)),
                Err(stop) => escape_line(stop.message()),
            };
            if said.as_ref() != Some(&why) {
                print_error(&format!("note: {why}; trying again"));
                said = Some(why);
            }
        }
    }

    fn answer_error(&self, answer: &ServerResponse) -> CommandError {
        check_status(self.common, answer).err().unwrap_or_else(|| self.server.not_chat_signer(answer.status))
    }

    /// Prints the events of a stream.
    async fn print(&mut self, stream: &mut Incoming) -> Result<StreamEnd, CommandError> {
        let mut begun = PartialMessage::default();
        loop {
            let frame = match next_frame(stream).await {
                Ok(frame) => frame,
                Err(reason) => return Ok(StreamEnd::Disconnected(reason)),
            };
            for told in begun.read(frame.data_ref().map_or(&[], |bytes| &bytes[..])) {
                if !self.print_event(told)? {
                    return Ok(StreamEnd::LimitReached);
                }
            }
            if begun.line.len() > MAX_LINE_BYTES {
                return Err(self.server.not_chat_signer(StatusCode::OK));
            }
        }
    }

    /// Prints an event. Returns true if more events are wanted.
    fn print_event(&mut self, told: StreamMessage) -> Result<bool, CommandError> {
        if told.id.is_some() {
            self.last = told.id;
        }
        let Some(data) = told.data else { return Ok(true) };
        let event: Value = serde_json::from_str(&data).map_err(|_| self.server.not_chat_signer(StatusCode::OK))?;
        let is_read = print_line(&match self.common.output {
            OutputFormat::Text => text(&event),
            OutputFormat::Json => event.to_string(),
        })?;
        self.remaining = self.remaining.map(|left| left.saturating_sub(1));
        Ok(is_read && self.remaining != Some(0))
    }
}

/// Returns the next frame of a stream. Returns the reason if the connection broke, or `None` if the server ended the
/// stream.
async fn next_frame(stream: &mut Incoming) -> Result<Frame<Bytes>, Option<String>> {
    match timeout(STREAM_TIMEOUT, stream.frame()).await {
        Ok(Some(frame)) => frame.map_err(|error| Some(format!("the connection broke: {error}"))),
        Ok(None) => Err(None),
        Err(_) => Err(Some("the stream was silent for too long".to_owned())),
    }
}

/// Returns true if a later attempt may get another status.
fn is_temporary(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

/// Formats an event for people: the time, the type and the entry.
fn text(event: &Value) -> String {
    let member = |name: &str| event.get(name).map(format_value).unwrap_or_default();
    let (time, name) = (member("time"), member("type"));
    let about = match event.get("data").and_then(Value::as_object) {
        _ if name == "reset" => "events may be missing: read the lists again".to_owned(),
        Some(data) => describe(data, None),
        None => String::new(),
    };
    format!("{time} {name}: {about}")
}

/// Prints a line. Returns false if the output is closed.
fn print_line(line: &str) -> Result<bool, CommandError> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(CommandError::Failed(format!("cannot write the result: {error}"))),
    }
}

/// A message of a stream: an id, the data of an event, or both.
#[derive(Debug, Default, PartialEq, Eq)]
struct StreamMessage {
    id: Option<String>,
    data: Option<String>,
}

/// The received part of a message that is not complete yet (HTML, section 9.2.6).
#[derive(Default)]
struct PartialMessage {
    line: Vec<u8>,
    message: StreamMessage,
}

impl PartialMessage {
    /// Adds bytes and returns the messages that are now complete.
    fn read(&mut self, bytes: &[u8]) -> Vec<StreamMessage> {
        let mut whole = Vec::new();
        for byte in bytes {
            if *byte != b'\n' {
                self.line.push(*byte);
                continue;
            }
            let line = std::mem::take(&mut self.line);
            whole.extend(self.push_line(String::from_utf8_lossy(&line).trim_end_matches('\r')));
        }
        whole
    }

    /// Adds a line. An empty line completes the message.
    fn push_line(&mut self, line: &str) -> Option<StreamMessage> {
        if line.is_empty() {
            let told = std::mem::take(&mut self.message);
            return (told != StreamMessage::default()).then_some(told);
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match (name, &mut self.message.data) {
            ("id", _) => self.message.id = Some(value.to_owned()),
            ("data", Some(data)) => data.extend(["\n", value]),
            ("data", data) => *data = Some(value.to_owned()),
            // The `event` field is ignored, because the data contains the type, too. Other lines are comments.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_read_however_it_comes() {
        let stream = "id: e-1-0\n\n:\n\nid: e-1-1\r\nevent: ban.created\r\ndata: {\"a\":\r\ndata:1}\r\n\r\ndata: é\n\nid: e-2-1\n";
        let told = |id: Option<&str>, data: Option<&str>| StreamMessage {
            id: id.map(str::to_owned),
            data: data.map(str::to_owned),
        };
        let whole = [told(Some("e-1-0"), None), told(Some("e-1-1"), Some("{\"a\":\n1}")), told(None, Some("é"))];
        for size in 1..stream.len() {
            let mut begun = PartialMessage::default();
            let read: Vec<StreamMessage> = stream.as_bytes().chunks(size).flat_map(|bytes| begun.read(bytes)).collect();
            assert_eq!(read, whole, "{size}");
        }
    }
}
