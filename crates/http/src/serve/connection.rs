//! Connections: their number, their headers and their time are bounded.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use crate::guard::Peer;

/// Connections at a time; further ones wait in the queue of the system.
const CONNECTIONS: usize = 512;
/// Longest time for the headers of a request, also of the next one on the same connection.
const HEADER_TIME: Duration = Duration::from_secs(10);
/// Most headers of a request.
const HEADERS: usize = 64;
/// Bytes of the headers of a request.
const HEADER_BYTES: usize = 16 << 10;
/// Time for a handshake.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// Pause when the system has no more file descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections for as long as the server runs.
pub async fn accept(listener: TcpListener, router: Router, tls: Option<TlsAcceptor>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (router, tls) = (router.clone(), tls.clone());
        tokio::spawn(async move {
            let _place = place;
            serve(stream, peer, router, tls).await;
        });
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, router: Router, tls: Option<TlsAcceptor>) {
    // Small frames of events must not wait for more.
    let _ = stream.set_nodelay(true);
    let ended = match tls {
        None => speak(stream, peer, router).await,
        Some(tls) => match tokio::time::timeout(HANDSHAKE_TIME, tls.accept(stream)).await {
            Ok(Ok(stream)) => speak(stream, peer, router).await,
            Ok(Err(_)) | Err(_) => return,
        },
    };
    if let Err(error) = ended {
        tracing::debug!("connection of {peer}: {error}");
    }
}

async fn speak<S>(stream: S, peer: SocketAddr, router: Router) -> Result<(), hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        router.clone().oneshot(request)
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_headers(HEADERS)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
