//! The leader API over HTTP: status, promotion, readiness.

use std::convert::Infallible;
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;

use crate::deployment::{Deployment, NotNow, State};
use crate::hold::{self, Point};

/// How long the answer to a promotion in place waits for its end. It is on its way by then, whatever comes of it.
const IN_PLACE: Duration = Duration::from_millis(100);

/// A body that tells when it was handed over: an answered promotion lets the process end.
struct Answer {
    content: Option<Bytes>,
    answered: Option<Arc<Deployment>>,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(
            self.content
                .take()
                .filter(|content| !content.is_empty())
                .map(|content| Ok(Frame::data(content))),
        )
    }

    fn is_end_stream(&self) -> bool {
        self.content.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.content.as_ref().map_or(0, Bytes::len) as u64)
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(deployment) = self.answered.take() {
            // The connection's task, which drops this, writes to the socket before it yields; a task of its own runs
            // after that.
            tokio::spawn(async move { deployment.set_promote_answered() });
        }
    }
}

fn answer(
    status: StatusCode,
    content_type: &'static str,
    content: impl Into<Bytes>,
) -> Response<Answer> {
    let content = content.into();
    let typed = !content.is_empty();
    let mut response = Response::new(Answer {
        content: Some(content),
        answered: None,
    });
    *response.status_mut() = status;
    if typed {
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    response
}

fn json(status: StatusCode, content: impl Into<Bytes>) -> Response<Answer> {
    answer(status, "application/json", content)
}

fn text(status: StatusCode, content: &'static str) -> Response<Answer> {
    answer(status, "text/plain; charset=utf-8", content)
}

fn wrong_method(allowed: &'static str) -> Response<Answer> {
    let mut response = answer(StatusCode::METHOD_NOT_ALLOWED, "", "");
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

async fn route(deployment: Arc<Deployment>, request: Request<Incoming>) -> Response<Answer> {
    let get = matches!(*request.method(), Method::GET | Method::HEAD);
    let post = *request.method() == Method::POST;
    match request.uri().path() {
        "/api/leader/status" if get => json(
            StatusCode::OK,
            format!(r#"{{"status":"{}"}}"#, deployment.state().reported()),
        ),
        "/api/leader/promote" if post => promote(deployment).await,
        "/api/leader/skip-catchup" if post => match deployment.try_skip_catchup() {
            Ok(()) => answer(StatusCode::NO_CONTENT, "", ""),
            Err(NotNow) => json(
                StatusCode::BAD_REQUEST,
                r#"{"message":"cannot skip catchup in this phase of initialization; try again later"}"#,
            ),
        },
        "/api/readyz" if get => {
            if request
                .uri()
                .query()
                .is_some_and(|query| query.split('&').any(|pair| pair == "wait=true"))
            {
                while !deployment.serving() {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
            if deployment.serving() {
                text(StatusCode::OK, "ready")
            } else {
                text(StatusCode::SERVICE_UNAVAILABLE, "not ready")
            }
        }
        "/api/livez" if get => text(StatusCode::OK, "Liveness check successful!"),
        "/api/leader/promote" | "/api/leader/skip-catchup" => wrong_method("POST"),
        "/api/leader/status" | "/api/readyz" | "/api/livez" => wrong_method("GET,HEAD"),
        _ => answer(StatusCode::NOT_FOUND, "", ""),
    }
}

async fn promote(deployment: Arc<Deployment>) -> Response<Answer> {
    if hold::is_set(Point::PromoteSent) && deployment.state() == State::ReadyToPromote {
        // On a thread of its own: the status is to be answered meanwhile.
        let _ = tokio::task::spawn_blocking(|| hold::at(Point::PromoteSent)).await;
    }
    match deployment.try_promote() {
        Ok(()) => {
            deployment.promoted_in_place(IN_PLACE).await;
            let mut response = json(StatusCode::OK, r#"{"result":"Success"}"#);
            response.body_mut().answered = Some(deployment);
            response
        }
        Err(NotNow) => json(
            StatusCode::BAD_REQUEST,
            r#"{"result":{"Failure":{"message":"cannot promote leader while initializing"}}}"#,
        ),
    }
}

/// Answers on the listener for ever.
pub(crate) async fn serve(
    listener: TcpListener,
    deployment: Arc<Deployment>,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                crate::log::error!("cannot accept a connection to the leader API: {error}");
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let deployment = Arc::clone(&deployment);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let deployment = Arc::clone(&deployment);
                async move { Ok::<_, Infallible>(route(deployment, request).await) }
            });
            // A client that goes away in the middle is nothing to report.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
