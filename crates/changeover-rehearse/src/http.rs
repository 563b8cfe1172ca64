//! What the leader API's client and the clients over HTTP have in common: bounded answers, and what an error means.

use changeover_model::text::harmless_cut;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Response, StatusCode};
use std::error::Error;
use std::io;

/// How much of an answer that is none is quoted, in characters.
pub(crate) const QUOTED_CHARS: usize = 200;

/// Why there is no whole answer.
pub(crate) enum Failure {
    /// Nobody listens: nothing was sent.
    Refused,
    /// The connection died, or ended without a byte.
    Died,
    /// Something came that is not HTTP, or too much of it.
    Nonsense(String),
}

/// A whole answer of at most `limit` bytes.
pub(crate) async fn read_bounded(
    response: Response<Incoming>,
    limit: usize,
) -> Result<(StatusCode, Vec<u8>), Failure> {
    let (head, mut body) = response.into_parts();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| failure(&error))?;
        if let Some(data) = frame.data_ref() {
            bytes.extend_from_slice(&data[..data.len().min(limit + 1 - bytes.len())]);
            if bytes.len() > limit {
                return Err(Failure::Nonsense(format!(
                    "{} with an answer of more than {limit} bytes: {}",
                    head.status.as_u16(),
                    quoted(&bytes)
                )));
            }
        }
    }
    Ok((head.status, bytes))
}

/// What the HTTP library says of a connection or an exchange.
pub(crate) fn failure(error: &hyper::Error) -> Failure {
    // A body that is cut short is an I/O error too; and so is one that is framed wrongly, but of these kinds.
    let cut = error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|error| {
            !matches!(
                error.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
            )
        });
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() || cut {
        return Failure::Died;
    }
    let mut text = error.to_string();
    if let Some(source) = error.source() {
        text = format!("{text}: {source}");
    }
    Failure::Nonsense(harmless_cut(&format!("no HTTP ({text})"), QUOTED_CHARS))
}

/// The beginning of an answer, harmless for a terminal.
pub(crate) fn quoted(body: &[u8]) -> String {
    harmless_cut(String::from_utf8_lossy(body).trim(), QUOTED_CHARS)
}

/// An http URL, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HttpUrl {
    /// Host and port.
    pub(crate) authority: String,
    /// The path, with a slash in front, and the query.
    pub(crate) path: String,
}

impl HttpUrl {
    /// Takes a URL apart; `None` if it is none, or not an http URL.
    pub(crate) fn parse(url: &str) -> Option<Self> {
        let rest = url.strip_prefix(changeover_model::target::HTTP)?;
        let (authority, path) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let has_port = authority
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let authority = match has_port {
            true => authority.to_owned(),
            false => format!("{authority}:80"),
        };
        let path = match path.starts_with('/') {
            true => path.to_owned(),
            false => format!("/{path}"),
        };
        Some(HttpUrl { authority, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_an_authority_and_a_path() {
        let parts = |url| HttpUrl::parse(url).map(|url| (url.authority, url.path));
        let some = |authority: &str, path: &str| Some((authority.to_owned(), path.to_owned()));
        assert_eq!(parts("http://h:1/a?b"), some("h:1", "/a?b"));
        assert_eq!(parts("http://[::1]:80"), some("[::1]:80", "/"));
        assert_eq!(parts("http://h?q"), some("h:80", "/?q"));
        assert_eq!(parts("postgres://h"), None);
    }
}
