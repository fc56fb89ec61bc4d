//! TCP requests: `sim <id>` and one line more; the application names itself, then echoes that line.

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use super::{connect::Connected, failure::Failure, tap::Notes};
use crate::{
    exchange::{ClientResult, Request},
    scenario::model::Shape,
};

/// No honest line is longer: a pod's name and an id.
const LINE_LIMIT: u64 = 512;

/// Sends on a connection of its own.
pub(super) async fn send(connected: Connected, request: &Request, server_first: bool) -> Result<ClientResult, Failure> {
    let Connected { stream, notes, .. } = connected;
    let mut stream = BufReader::new(stream);
    if server_first {
        let banner = line(&mut stream, &notes, "a banner").await?;
        if !banner.starts_with("hello from ") {
            return Err(Failure::other(format!("not a banner: `{banner}`")));
        }
    }
    let id = request.id;
    let words = format!("sim {id}\nping {id}\n");
    stream.write_all(words.as_bytes()).await.map_err(|e| Failure::of_connection(&notes, notes.received() > 0, &e))?;
    stream.flush().await.map_err(|e| Failure::of_connection(&notes, notes.received() > 0, &e))?;
    let reply = line(&mut stream, &notes, "the reply").await?;
    let Some(pod) = reply.strip_suffix(&format!(" {id}")) else { return Err(not_a_reply(&reply)) };
    let echo = line(&mut stream, &notes, "the echo").await?;
    if echo != format!("ping {id}") {
        return Err(Failure::other(format!("the echo is not what was sent: `{echo}`")));
    }
    Ok(ClientResult::Answered { status: None, pod: Some(pod.to_owned()), headers: Default::default() })
}

/// The next whole line. If the connection ends before it, that is a denial only if no byte at all has ever arrived.
async fn line(stream: &mut (impl AsyncBufRead + Unpin), notes: &Notes, what: &str) -> Result<String, Failure> {
    let mut line = Vec::new();
    let read = stream.take(LINE_LIMIT).read_until(b'\n', &mut line).await;
    let text = String::from_utf8_lossy(&line);
    match (read, text.strip_suffix('\n')) {
        (Ok(_), Some(text)) => Ok(text.trim_end_matches('\r').to_owned()),
        (Err(error), _) => Err(Failure::of_connection(notes, notes.received() > 0, &error)),
        (Ok(_), None) if notes.received() == 0 => Err(Failure::shaped(
            Some(Shape::Closed),
            format!("the connection was closed before {what}, without a byte"),
        )),
        (Ok(_), None) => {
            let bytes = notes.received();
            Err(Failure::other(format!("{bytes} bytes received, then closed before {what}: `{text}`")))
        }
    }
}

/// A proxy that expects HTTP answers raw TCP with an HTTP error and closes. No application speaks like that here, so it is a
/// connection closed without an answer.
fn not_a_reply(reply: &str) -> Failure {
    let status = reply.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
    match status {
        Some(status @ 400..=599) => {
            let detail = format!("a proxy answered raw TCP with `{reply}`, and closed");
            Failure { status: Some(status), ..Failure::shaped(Some(Shape::Closed), detail) }
        }
        _ => Failure::other(format!("not a reply to this request: `{reply}`")),
    }
}
