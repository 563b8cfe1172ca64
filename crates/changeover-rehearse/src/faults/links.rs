//! Links, broken by rules.

use super::Shared;
use crate::link::{Done, Guard, Link, Rule};
use crate::record::About;
use changeover_model::event::EventKind;
use changeover_model::fault::{Action, Fault};
use changeover_runtime::RuntimeError;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long after a link was mended those who failed for it may need.
const AFTERMATH: Duration = Duration::from_secs(1);

/// Breaks a link.
pub(super) async fn disturb(shared: &Arc<Shared>, fault: Fault, link: Arc<Link>) {
    let about = shared.about(None);
    let before = words(&link);
    shared.event(
        &about,
        EventKind::FaultIntent {
            fault: fault.clone(),
            before,
        },
    );
    let ms = Duration::from_millis;
    let rule = match fault.action {
        Action::Delay { by_ms, .. } => Rule::Delay(ms(by_ms)),
        Action::HalfOpen { .. } => Rule::HalfOpen,
        Action::BlackHole { .. } => Rule::BlackHole,
        Action::Cut { .. } => Rule::Cut,
        _ => {
            let reset = link.reset();
            let evidence = (reset > 0).then(|| format!("{reset} connections were reset"));
            let after = words(&link);
            shared.event(
                &about,
                EventKind::FaultDone {
                    fault,
                    after,
                    evidence,
                },
            );
            return;
        }
    };
    let excuse = shared.excuse.hold();
    let guard = link.breaks(rule);
    shared.event(
        &about,
        EventKind::FaultDone {
            fault: fault.clone(),
            after: format!("broken by {}", fault.action),
            evidence: shown(guard.done()),
        },
    );
    let over = shared.step().over.clone();
    let lasts = ms(fault.action.lasts_ms());
    let recorder = shared.recorder.clone();
    shared.beside(async move {
        let _ = over.run_until_cancelled(tokio::time::sleep(lasts)).await;
        mended(&recorder, &about, fault, &link, guard);
        tokio::spawn(async move {
            tokio::time::sleep(AFTERMATH).await;
            drop(excuse);
        });
    });
}

fn mended(
    recorder: &crate::record::Recorder,
    about: &About,
    fault: Fault,
    link: &Link,
    guard: Guard,
) {
    let evidence = shown(guard.done());
    drop(guard);
    recorder.event(
        about,
        EventKind::FaultOver {
            fault,
            after: words(link),
            evidence,
        },
    );
}

fn words(link: &Link) -> String {
    match link.connections() {
        1 => "1 connection".to_owned(),
        connections => format!("{connections} connections"),
    }
}

/// What a rule did, if it did anything.
fn shown(done: Done) -> Option<String> {
    let Done {
        reset,
        refused,
        bytes,
    } = done;
    let parts = [
        (reset, "connections reset"),
        (refused, "new connections refused"),
        (bytes, "bytes held back"),
    ];
    let told: Vec<String> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    (!told.is_empty()).then(|| told.join(", "))
}

/// A link to where a metadata store's address leads, and the address that leads through it.
pub(super) async fn to_store(address: &str) -> Result<(Link, SocketAddr, String), RuntimeError> {
    let refuse = |problem: &str| {
        RuntimeError::new(format!(
            "no link can be put between an instance and the metadata store: {problem}"
        ))
    };
    if address.contains("sslmode=verify-full") {
        return Err(refuse(
            "its address asks for sslmode=verify-full, which the name of another host does not pass; leave the fault out, or give another sslmode",
        ));
    }
    let place = authority(address).ok_or_else(|| refuse("its address is none of a server"))?;
    let upstream = tokio::net::lookup_host(place)
        .await
        .ok()
        .and_then(|mut found| found.next())
        .ok_or_else(|| refuse(&format!("{place} cannot be found")))?;
    let link = Link::to(upstream)
        .await
        .map_err(|error| refuse(&error.to_string()))?;
    let addr = link.addr();
    Ok((link, upstream, through(address, addr)))
}

/// The `host:port` of a URL.
fn authority(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let rest = rest.split(['/', '?']).next()?;
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    (!place.is_empty() && place.contains(':')).then_some(place)
}

/// The same URL with another place.
pub(super) fn through(url: &str, addr: SocketAddr) -> String {
    match authority(url) {
        Some(place) => {
            let at = place.as_ptr() as usize - url.as_ptr() as usize;
            format!("{}{addr}{}", &url[..at], &url[at + place.len()..])
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_leads_through_a_link() {
        let addr = SocketAddr::from(([127, 0, 0, 1], 7));
        for (url, expected) in [
            (
                "postgres://me:p%40s@db.example:5432/a?schema=b@c:1",
                "postgres://me:p%40s@127.0.0.1:7/a?schema=b@c:1",
            ),
            ("postgres://h:1?x=y", "postgres://127.0.0.1:7?x=y"),
            ("postgres://me@[::1]:5/d", "postgres://me@127.0.0.1:7/d"),
            ("sqlite:/a/b", "sqlite:/a/b"),
        ] {
            assert_eq!(through(url, addr), expected);
        }
    }
}
