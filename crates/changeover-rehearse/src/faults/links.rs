//! Links between instances, clients and the metadata store: put there where one is to be broken, and broken by rules.

use super::{AFTERMATH, Faults, Instance, Shared};
use crate::launcher::StoreAddress;
use crate::link::{Done, Link, Rule};
use changeover_model::fault::{self, Action, Fault, Subject};
use changeover_runtime::RuntimeError;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::sleep;

impl Faults {
    /// The metadata store's address for an instance: through a link of its own, if one of its steps breaks it.
    ///
    /// # Errors
    ///
    /// When no link can be put there.
    pub(crate) async fn way_to_store(
        &self,
        generation: u64,
        brings_up: u32,
        replaced_in: &[u32],
        store: StoreAddress,
    ) -> Result<StoreAddress, RuntimeError> {
        let breaks = |fault: &Fault| match fault.subject {
            Subject::Link(fault::Link::NewStore) => fault.is_in(brings_up),
            Subject::Link(fault::Link::OldStore) => replaced_in.iter().any(|s| fault.is_in(*s)),
            _ => false,
        };
        if !self.shared.faults.iter().any(breaks) {
            return Ok(store);
        }
        let (link, address) = to_store(&store.address).await?;
        let server = through(store.server.reveal(), link.addr()).into();
        self.shared.links().insert(generation, Arc::new(link));
        Ok(StoreAddress { address, server })
    }

    /// Where clients connect: through a link, if one is to be broken.
    ///
    /// # Errors
    ///
    /// When no link can be put there.
    pub(crate) async fn way_to_door(&self, door: SocketAddr) -> Result<SocketAddr, RuntimeError> {
        let breaks = |fault: &Fault| fault.subject == Subject::Link(fault::Link::ClientsDoor);
        if !self.shared.faults.iter().any(breaks) {
            return Ok(door);
        }
        let link = Link::to(door).await.map_err(|error| {
            RuntimeError::new(format!(
                "no link can be put between clients and the front door: {error}"
            ))
        })?;
        let addr = link.addr();
        // Asked for once.
        let _ = self.shared.clients.set(Arc::new(link));
        Ok(addr)
    }
}

impl Shared {
    /// The link that a fault of this step is about.
    pub(super) fn link(&self, link: fault::Link) -> Option<Arc<Link>> {
        let step = self.step();
        let new = || self.new.borrow().as_ref().map(generation);
        match link {
            fault::Link::ClientsDoor => self.clients.get().cloned(),
            // It is there before its instance is.
            fault::Link::NewStore => self.store_link(new().or(step.brings_up)?),
            fault::Link::OldStore => self.store_link(generation(step.old.as_ref()?)),
        }
    }

    fn store_link(&self, generation: u64) -> Option<Arc<Link>> {
        self.links().get(&generation).cloned()
    }

    fn links(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Link>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn generation(instance: &Instance) -> u64 {
    instance.handle.spec().generation
}

/// Breaks a link.
pub(super) async fn disturb(shared: &Arc<Shared>, fault: Fault, link: Arc<Link>) {
    let it = shared.begin(shared.about(None), fault, words(&link));
    let ms = Duration::from_millis;
    let rule = match it.fault.action {
        Action::Delay { by_ms, .. } => Rule::Delay(ms(by_ms)),
        Action::HalfOpen { .. } => Rule::HalfOpen,
        Action::BlackHole { .. } => Rule::BlackHole,
        Action::Cut { .. } => Rule::Cut,
        _ => {
            let reset = link.reset();
            let evidence = (reset > 0).then(|| format!("{reset} connections were reset"));
            return it.done(words(&link), evidence);
        }
    };
    let excuse = shared.excuse.hold();
    let broken = link.breaks(rule);
    it.done(
        format!("broken by {}", it.fault.action),
        shown(broken.done()),
    );
    let over = shared.step().over.clone();
    shared.beside(async move {
        let lasts = ms(it.fault.action.lasts_ms());
        let _ = over.run_until_cancelled(sleep(lasts)).await;
        let evidence = shown(broken.done());
        drop(broken);
        it.over(words(&link), evidence);
        excuse.drop_after(AFTERMATH);
    });
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
async fn to_store(address: &str) -> Result<(Link, String), RuntimeError> {
    let refuse = |problem: &str| {
        RuntimeError::new(format!(
            "no link can be put between an instance and the metadata store: {problem}"
        ))
    };
    if let Some(problem) = leads_past_a_link(address) {
        return Err(refuse(problem));
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
    let address = through(address, link.addr());
    Ok((link, address))
}

/// What in an address makes a link useless.
fn leads_past_a_link(address: &str) -> Option<&'static str> {
    let (_, options) = address.split_once('?')?;
    let mut options = options.split('&');
    options.find_map(|option| match option.split_once('=')? {
        ("sslmode", "verify-full") => Some(
            "its address asks for sslmode=verify-full, which the name of another host does not pass; leave the fault out, or give another sslmode",
        ),
        ("hostaddr", _) => Some(
            "its address says hostaddr, which leads past it; leave the fault out, or put the address in the place of the host",
        ),
        _ => None,
    })
}

/// The `host:port` of a URL.
fn authority(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let rest = rest.split(['/', '?']).next()?;
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    (!place.is_empty() && place.contains(':')).then_some(place)
}

/// The same URL with another place.
fn through(url: &str, addr: SocketAddr) -> String {
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
    fn an_address_that_leads_past_a_link_is_refused() {
        let refused = |address| leads_past_a_link(address).is_some();
        assert!(refused("postgres://h:1/d?schema=s&hostaddr=10.0.0.7"));
        assert!(refused("postgres://h:1/d?sslmode=verify-full"));
        assert!(!refused("postgres://hostaddr=x:1/d?sslmode=require"));
        assert!(!refused("sqlite:/a/b"));
    }

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
