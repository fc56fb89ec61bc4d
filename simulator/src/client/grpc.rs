//! gRPC calls to the echo service, unary and streaming.

use std::convert::Infallible;

use ::http::{HeaderMap, HeaderValue, Version, header};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::{Session, failure::Failure, http, pool::Http2};
use crate::{
    exchange::{ClientResult, POD_HEADER, Request},
    workload::{EchoMessage, MESSAGES_HEADER, decode_frames, encode_frame, flatten},
};

/// Messages sent each way in [`crate::scenario::model::Proto::GrpcStream`].
pub(super) const STREAM_MESSAGES: usize = 3;

type Outgoing = mpsc::UnboundedSender<Result<Frame<Bytes>, Infallible>>;

/// Sends `count` messages, each after the echo of the one before.
pub(super) async fn send(
    session: &Session,
    request: &Request,
    count: usize,
    may_reuse: bool,
) -> Result<ClientResult, Failure> {
    let (outgoing, messages) = mpsc::unbounded_channel();
    let body = StreamBody::new(UnboundedReceiverStream::new(messages)).boxed_unsync();
    let mut message = http::message(request, Version::HTTP_2, body)?;
    *message.method_mut() = ::http::Method::POST;
    let headers = message.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    if count > 1 {
        headers.insert(MESSAGES_HEADER, HeaderValue::from(count));
    }
    let mut call = Call { request, count, outgoing: Some(outgoing), echoed: 0 };
    call.send_next();
    let mut connection = session.http2(request, may_reuse).await?;
    let response = match connection.sender.try_send_request(message).await {
        Ok(response) => response,
        Err(error) => return Err(connection.failure(error)),
    };
    let (parts, body) = response.into_parts();
    if parts.status != ::http::StatusCode::OK {
        let (body, _) = http::read_body(body).await.map_err(|e| Failure::of_connection(&connection.notes, true, &e))?;
        return http::judge(&parts, &body);
    }
    let trailers = call.converse(body, &connection).await?;
    call.judge(parts.headers, trailers)
}

/// A call in progress.
struct Call<'a> {
    request: &'a Request,
    count: usize,
    /// `None` once all messages are sent: dropping it ends the request.
    outgoing: Option<Outgoing>,
    echoed: usize,
}

impl Call<'_> {
    fn message(&self, number: usize) -> EchoMessage {
        EchoMessage { message: format!("{} {number}", self.request.id) }
    }

    /// Sends the next message, and ends the request after the last one.
    fn send_next(&mut self) {
        if let Some(outgoing) = &self.outgoing {
            // It fails if the call has ended already; the status will tell.
            let _ = outgoing.send(Ok(Frame::data(encode_frame(&self.message(self.echoed)))));
        }
        if self.echoed + 1 >= self.count {
            self.outgoing = None;
        }
    }

    /// Exchanges all messages; returns the trailers, empty if there are none.
    async fn converse(&mut self, mut body: Incoming, connection: &Http2) -> Result<HeaderMap, Failure> {
        let mut buffer = BytesMut::new();
        let mut trailers = HeaderMap::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|e| Failure::of_connection(&connection.notes, true, &e))?;
            match frame.into_data() {
                Ok(data) => {
                    buffer.extend_from_slice(&data);
                    for echo in decode_frames(&mut buffer).map_err(Failure::other)? {
                        self.receive(&echo)?;
                    }
                }
                Err(frame) => trailers.extend(frame.into_trailers().unwrap_or_default()),
            }
        }
        Ok(trailers)
    }

    fn receive(&mut self, echo: &EchoMessage) -> Result<(), Failure> {
        if self.echoed >= self.count || *echo != self.message(self.echoed) {
            return Err(Failure::other(format!("gRPC echo {} is not what was sent: {echo:?}", self.echoed)));
        }
        self.echoed += 1;
        if self.echoed < self.count {
            self.send_next();
        }
        Ok(())
    }

    /// The status is in the trailers, or in the headers of a response without a body.
    fn judge(&self, mut headers: HeaderMap, trailers: HeaderMap) -> Result<ClientResult, Failure> {
        headers.extend(trailers);
        let headers = flatten(&headers);
        let text = |name: &str| headers.get(name).map(String::as_str);
        let code = text("grpc-status").and_then(|code| code.parse::<u16>().ok());
        let message = text("grpc-message").unwrap_or_default();
        match (code, text(POD_HEADER)) {
            (None, _) => Err(Failure::other("the response ended without a gRPC status")),
            (Some(code), None) => Err(Failure::by_grpc_proxy(code, message)),
            (Some(0), Some(_)) if self.echoed != self.count => {
                Err(Failure::other(format!("gRPC status OK after {} of {} echoes", self.echoed, self.count)))
            }
            (Some(code), Some(pod)) => {
                let pod = Some(pod.to_owned());
                Ok(ClientResult::Answered { status: Some(http_status(code)), pod, headers })
            }
        }
    }
}

/// The HTTP status that stands for an application's gRPC status.
fn http_status(code: u16) -> u16 {
    match code {
        0 => 200,
        7 => 403,
        12 => 404,
        14 => 503,
        16 => 401,
        _ => 500,
    }
}
