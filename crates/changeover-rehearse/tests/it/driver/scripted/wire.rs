//! What a scripted process says on its sockets.

use super::{Face, Http, PROMOTING, Promote, Sql, World};
use crate::pg_stub as pg;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// One request.
pub(super) async fn http_connection(
    mut stream: TcpStream,
    face: Arc<Face>,
    world: Arc<World>,
    generation: u64,
) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await?);
    }
    if request.starts_with(b"GET /api/leader/status HTTP/1.1\r\n") {
        world.figure(generation, |figures| figures.polls += 1);
        let mut http = face.http.subscribe();
        let now = http
            .wait_for(|http| !matches!(http, Http::Stall))
            .await
            .map_err(io::Error::other)?
            .clone();
        return match now {
            Http::Once(word, then) => {
                face.http.send_replace(Http::Status(then));
                respond(&mut stream, "200 OK", &format!("{{\"status\":\"{word}\"}}")).await
            }
            Http::Status(word) => {
                respond(&mut stream, "200 OK", &format!("{{\"status\":\"{word}\"}}")).await
            }
            Http::Raw(bytes) => stream.write_all(&bytes).await,
            Http::Close | Http::Stall => Ok(()),
            Http::Reset => stream.set_zero_linger(),
        };
    }
    assert!(
        request.starts_with(b"POST /api/leader/promote HTTP/1.1\r\n"),
        "{}",
        String::from_utf8_lossy(&request)
    );
    let shown = match &*face.http.borrow() {
        Http::Status(word) => (*word).to_owned(),
        other => format!("{other:?}"),
    };
    world.figure(generation, |figures| figures.promotions.push(shown));
    let promote = face.promote.lock().unwrap().clone();
    if matches!(promote, Promote::Take | Promote::TakeSilently) {
        face.http.send_replace(Http::Status(PROMOTING));
        world.promoted.send_modify(|all| {
            all.entry(generation).or_insert_with(Instant::now);
        });
    }
    let answered = match promote {
        Promote::Take | Promote::OnlyAcknowledge => {
            respond(&mut stream, "200 OK", r#"{"result":"Success"}"#).await
        }
        Promote::Refuse => {
            let body =
                r#"{"result":{"Failure":{"message":"cannot promote leader while initializing"}}}"#;
            respond(&mut stream, "400 Bad Request", body).await
        }
        Promote::Break => respond(&mut stream, "500 Internal Server Error", "out of cheese").await,
        Promote::TakeSilently | Promote::Lose => Ok(()),
    };
    drop(stream);
    face.promotions.send_modify(|n| *n += 1);
    answered
}

async fn respond(stream: &mut TcpStream, code: &str, body: &str) -> io::Result<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {code}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all((head + body).as_bytes()).await
}

/// Startup and simple queries, in the language of `pg::target`, and `VERSION`.
pub(super) async fn sql_connection(
    mut stream: TcpStream,
    face: Arc<Face>,
    world: Arc<World>,
    generation: u64,
) -> io::Result<()> {
    let mut sql = face.sql.subscribe();
    let length = stream.read_u32().await?;
    stream.read_exact(&mut vec![0; length as usize - 4]).await?;
    sql.wait_for(|sql| *sql != Sql::Hang)
        .await
        .map_err(io::Error::other)?;
    stream
        .write_all(&[pg::auth_ok(), pg::ready()].concat())
        .await?;
    loop {
        let kind = stream.read_u8().await?;
        let length = stream.read_u32().await?;
        let mut body = vec![0; length as usize - 4];
        stream.read_exact(&mut body).await?;
        if kind != b'Q' {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&body);
        let words: Vec<&str> = text.trim_end_matches('\0').split(' ').collect();
        let now = *sql
            .wait_for(|sql| *sql != Sql::Hang)
            .await
            .map_err(io::Error::other)?;
        let one = |value: &str| pg::table(1, &[vec![Some(value)]]);
        let answer = match words[..] {
            ["ADD", ..] if now == Sql::ReadOnly => [
                pg::error("25006", "cannot write in read-only mode"),
                pg::ready(),
            ]
            .concat(),
            ["ADD", key, value] => {
                let mut sets = world.sets.lock().unwrap();
                sets.entry(key.to_owned())
                    .or_default()
                    .push(value.to_owned());
                world.figure(generation, |figures| figures.writes.push(Instant::now()));
                [pg::complete("INSERT 0 1"), pg::ready()].concat()
            }
            ["READ", key] => {
                let sets = world.sets.lock().unwrap();
                let rows: Vec<_> = sets
                    .get(key)
                    .into_iter()
                    .flatten()
                    .map(|value| vec![Some(&**value)])
                    .collect();
                pg::table(1, &rows)
            }
            ["VERSION"] => match &*face.version.lock().unwrap().clone() {
                "" => [pg::error("42883", "no such function"), pg::ready()].concat(),
                version => one(version),
            },
            _ => one("1"),
        };
        stream.write_all(&answer).await?;
    }
}
