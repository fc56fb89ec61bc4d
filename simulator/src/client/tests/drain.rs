//! A proxy that drains an HTTP/2 connection loses no request of a client that knows the protocol.

use tokio::net::TcpStream;

use super::*;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

/// A frame by hand (RFC 9113 §4.1): libraries do not send what is needed here.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Reads up to the next request and returns its stream; `None` at the end.
async fn next_request(stream: &mut TcpStream) -> Option<u32> {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, _, id @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        stream.read_exact(&mut payload).await.ok()?;
        if kind == HEADERS {
            return Some(u32::from_be_bytes(id));
        }
    }
}

/// Answers the first request of every connection, and to the second says only `refusal`.
async fn draining(refusal: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind(LOCAL).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let refusal = refusal.clone();
            tokio::spawn(async move {
                stream.read_exact(&mut [0; 24]).await.unwrap();
                stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
                let first = next_request(&mut stream).await.unwrap();
                // HPACK: `:status 200`, then a literal with a new name.
                let answer = [&[0x88, 0x00, 9][..], b"x-sim-pod", &[6], b"shop-0"].concat();
                stream.write_all(&frame(HEADERS, 0x5, first, &answer)).await.unwrap();
                if next_request(&mut stream).await.is_some() {
                    stream.write_all(&refusal).await.unwrap();
                }
                while next_request(&mut stream).await.is_some() {}
            });
        }
    });
    addr
}

#[tokio::test]
async fn a_request_that_the_server_did_not_look_at_is_sent_again() {
    let ids = RequestIds::new(1);
    // The second request of a client is on stream 3.
    let refused = frame(RST_STREAM, 0, 3, &[0, 0, 0, 7]);
    let going_away = frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]);
    for refusal in [refused, going_away] {
        let addr = draining(refusal).await;
        let session = direct(Connections::KeepAlive);
        for _ in 0..2 {
            answered(&session.send(&request(Proto::Http2, addr, &ids)).await.result);
        }
    }
    // Cancelled: it may have been looked at, so it must not be repeated.
    let addr = draining(frame(RST_STREAM, 0, 3, &[0, 0, 0, 8])).await;
    let session = direct(Connections::KeepAlive);
    answered(&session.send(&request(Proto::Http2, addr, &ids)).await.result);
    assert_eq!(shape(&session.send(&request(Proto::Http2, addr, &ids)).await.result), None);
}
