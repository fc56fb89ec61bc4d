//! gRPC echo: every message comes back as it arrives, so one piece of code serves unary and bidirectional calls.
//!
//! On the wire it is gRPC over HTTP/2 as any client speaks it: frames of 5 bytes header (flag, big-endian length) and a
//! protobuf message, the status in trailers, or in the headers of a response without a body (gRPC, PROTOCOL-HTTP2).

use std::convert::Infallible;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::stream;
use http::{HeaderMap, HeaderValue, Response, header};
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::{Frame, Incoming};
use prost::Message;

use super::{application::Desk, http::AnswerBody};

/// The request header with which a client announces a bidirectional stream: the number of messages that it will send.
///
/// Unary and streaming calls look alike on the wire; this tells the witness which it is.
pub const MESSAGES_HEADER: &str = "x-sim-messages";

/// Longest message accepted in a frame, in bytes.
pub const FRAME_LIMIT: usize = 1 << 20;

const FRAME_HEADER: usize = 5;

/// The one message of the echo service: `message Echo { string message = 1; }`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct EchoMessage {
    /// Any text.
    #[prost(string, tag = "1")]
    pub message: String,
}

/// Why bytes are no gRPC frames with an [`EchoMessage`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Flag byte other than 0; no encoding is negotiated.
    #[error("gRPC frame is compressed (flag {0}), although no compression was agreed: send it plain")]
    Compressed(u8),
    /// Longer than [`FRAME_LIMIT`].
    #[error("gRPC message has {0} bytes: send at most {FRAME_LIMIT}")]
    TooLong(usize),
    /// The message is no protobuf.
    #[error("gRPC message is not an echo message: {0}")]
    Message(#[from] prost::DecodeError),
}

/// The message as one uncompressed gRPC frame.
pub fn encode_frame(message: &EchoMessage) -> Bytes {
    let length = message.encoded_len();
    let mut out = BytesMut::with_capacity(FRAME_HEADER + length);
    out.put_u8(0);
    out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    out.extend_from_slice(&message.encode_to_vec());
    out.freeze()
}

/// Takes all complete frames off the front of `buffer`; an incomplete one stays.
pub fn decode_frames(buffer: &mut BytesMut) -> Result<Vec<EchoMessage>, FrameError> {
    let mut messages = Vec::new();
    while let Some((head, _)) = buffer.split_first_chunk::<FRAME_HEADER>() {
        let [flag, length @ ..] = *head;
        if flag != 0 {
            return Err(FrameError::Compressed(flag));
        }
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > FRAME_LIMIT {
            return Err(FrameError::TooLong(length));
        }
        if buffer.len() < FRAME_HEADER + length {
            break;
        }
        buffer.advance(FRAME_HEADER);
        messages.push(EchoMessage::decode(buffer.split_to(length))?);
    }
    Ok(messages)
}

/// The answer to a call: the echo, or for a status other than 2xx the matching gRPC status without a message.
pub(super) fn answer(desk: &Desk, status: u16, body: Incoming) -> Response<AnswerBody> {
    let code = code_for(status);
    let mut response = if code == 0 {
        Response::new(StreamBody::new(echo(body)).boxed_unsync())
    } else {
        Response::new(Empty::new().boxed_unsync())
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    if code != 0 {
        headers.insert("grpc-status", HeaderValue::from(code));
        let message = HeaderValue::try_from(format!("pod {} answers {status}", desk.pod));
        headers.insert("grpc-message", message.unwrap_or(HeaderValue::from_static("refused by the application")));
    }
    response
}

/// The gRPC status for an HTTP status, after gRPC's own table (http-grpc-status-mapping).
fn code_for(status: u16) -> u16 {
    match status {
        200..=299 => 0,
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

type Echo = Option<(Incoming, BytesMut)>;

/// The response body: an echo frame for every request frame, then trailers.
fn echo(body: Incoming) -> impl stream::Stream<Item = Result<Frame<Bytes>, Infallible>> + Send {
    stream::unfold(Some((body, BytesMut::new())), |state: Echo| async move {
        let (mut body, mut buffer) = state?;
        loop {
            match body.frame().await {
                None => return Some((Ok(trailers(0, None)), None)),
                Some(Err(error)) => return Some((Ok(trailers(13, Some(&error))), None)),
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    buffer.extend_from_slice(&data);
                }
            }
            let messages = match decode_frames(&mut buffer) {
                Ok(messages) => messages,
                Err(error) => return Some((Ok(trailers(13, Some(&error))), None)),
            };
            if !messages.is_empty() {
                let frames: Vec<_> = messages.iter().map(encode_frame).collect();
                return Some((Ok(Frame::data(frames.concat().into())), Some((body, buffer))));
            }
        }
    })
}

fn trailers(code: u16, error: Option<&dyn std::error::Error>) -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(code));
    if let Some(message) = error.and_then(|e| HeaderValue::try_from(e.to_string()).ok()) {
        trailers.insert("grpc-message", message);
    }
    Frame::trailers(trailers)
}
