//! The TCP echo. The client's first line is `sim <request id>`; the answer is `<pod> <request id>`, then an echo of the rest.

use std::{collections::BTreeMap, io};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

use super::application::Desk;
use crate::{
    exchange::{RequestId, Sighting},
    scenario::model::Proto,
};

/// What a TCP request begins with. No HTTP method is in lower case, so it cannot be mistaken.
pub(super) const ID_PREFIX: &str = "sim ";

/// An id has 32 digits; no honest line is longer.
const LINE_LIMIT: u64 = 64;

/// The server's first words in [`Proto::TcpServerFirst`].
pub(super) async fn greet(stream: &mut (impl AsyncWrite + Unpin), desk: &Desk) -> io::Result<()> {
    stream.write_all(format!("hello from {}\n", desk.pod).as_bytes()).await?;
    stream.flush().await
}

/// As many bytes as are needed to tell a TCP request from anything else. Empty if the client said nothing.
pub(super) async fn first_bytes(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(ID_PREFIX.len());
    while bytes.len() < ID_PREFIX.len() && ID_PREFIX.as_bytes().starts_with(&bytes) {
        let room = ID_PREFIX.len() - bytes.len();
        if (&mut *stream).take(room as u64).read_buf(&mut bytes).await? == 0 {
            break;
        }
    }
    Ok(bytes)
}

/// Serves a connection whose [`ID_PREFIX`] has been read.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S, desk: &Desk, server_first: bool) {
    // An error means that the client has gone: there is nobody to tell.
    if let Err(error) = converse(stream, desk, server_first).await {
        tracing::debug!(pod = %desk.pod, port = desk.port, %error, "TCP client has gone");
    }
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(stream: S, desk: &Desk, server_first: bool) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    let read = (&mut stream).take(LINE_LIMIT).read_line(&mut line).await;
    let id = line.strip_suffix('\n').and_then(|text| text.trim_end_matches('\r').parse::<RequestId>().ok());
    let proto = if server_first { Proto::TcpServerFirst } else { Proto::Tcp };
    desk.record(id, sighting(desk, proto));
    read?;
    let Some(id) = id else { return Ok(()) };
    let behaviour = desk.behaviour();
    tokio::time::sleep(behaviour.delay).await;
    if behaviour.fails(Some(id)) {
        // TCP has no status: the failure is a connection closed without an answer.
        return Ok(());
    }
    stream.get_mut().write_all(format!("{} {id}\n", desk.pod).as_bytes()).await?;
    stream.get_mut().flush().await?;
    echo(stream).await
}

async fn echo<S: AsyncRead + AsyncWrite + Unpin>(mut stream: BufReader<S>) -> io::Result<()> {
    loop {
        let chunk = stream.fill_buf().await?.to_vec();
        if chunk.is_empty() {
            return stream.get_mut().shutdown().await;
        }
        stream.consume(chunk.len());
        stream.get_mut().write_all(&chunk).await?;
        stream.get_mut().flush().await?;
    }
}

fn sighting(desk: &Desk, proto: Proto) -> Sighting {
    Sighting {
        pod: desk.pod.clone(),
        port: desk.port,
        proto,
        method: String::new(),
        path: String::new(),
        authority: String::new(),
        headers: BTreeMap::new(),
        peer: None,
    }
}
