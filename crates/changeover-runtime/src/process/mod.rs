//! Instances as local processes.
//!
//! Every process has a group of its own and carries the run's mark in its environment; each is recorded in the run's
//! `processes.jsonl` before and after its start. Both together let [`cleanup`] end what a killed harness left, and
//! nothing else.

mod cleanup;
mod instance;
mod ledger;
pub(crate) mod log_tail;
mod mark;
pub(crate) mod ports;
mod proc_fs;

pub use cleanup::{Outcome, cleanup};

use crate::{Instance, InstanceSpec, Runtime, RuntimeError};
use async_trait::async_trait;
use changeover_model::text::harmless_cut;
use instance::ProcessInstance;
use ledger::Ledger;
use mark::Mark;
use ports::Ports;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// Runs instances as processes of this machine.
#[derive(Debug)]
pub struct ProcessRuntime {
    mark: Mark,
    ledger: Arc<Ledger>,
    ports: Ports,
}

impl ProcessRuntime {
    /// A runtime for one run. `run_dir` must exist and belong to this run alone.
    ///
    /// # Errors
    ///
    /// When the record of processes cannot be started there.
    pub fn new(run: &str, run_dir: &Path) -> Result<Self, RuntimeError> {
        let refuse = |error: std::io::Error| {
            RuntimeError::new(format!(
                "the record of processes cannot be started in {}: {error}; give a new, writable directory",
                run_dir.display()
            ))
        };
        // The mark must be the same from wherever it is looked for.
        let run_dir = run_dir.canonicalize().map_err(refuse)?;
        let ledger = Ledger::create(run, &run_dir).map_err(refuse)?;
        Ok(ProcessRuntime {
            mark: Mark {
                run: run.to_owned(),
                run_dir: run_dir.to_string_lossy().into_owned(),
                instance: None,
                since: proc_fs::start_of(std::process::id()).unwrap_or(0),
            },
            ledger: Arc::new(ledger),
            ports: Ports::new(),
        })
    }
}

#[async_trait]
impl Runtime for ProcessRuntime {
    async fn reserve_addresses(&self) -> Result<(SocketAddr, SocketAddr), RuntimeError> {
        Ok((self.ports.reserve()?, self.ports.reserve()?))
    }

    async fn spawn(&self, spec: InstanceSpec) -> Result<Box<dyn Instance>, RuntimeError> {
        let mark = Mark {
            instance: Some(format!("{}.{}", spec.slot, spec.generation)),
            ..self.mark.clone()
        };
        Ok(Box::new(ProcessInstance::start(
            spec,
            mark,
            self.ledger.clone(),
        )?))
    }

    /// Finds processes by the run's mark. Files are the caller's business.
    async fn sweep(&self) -> Vec<String> {
        let found = self.mark.carriers();
        let told = found
            .iter()
            .map(|process| {
                let command = harmless_cut(&proc_fs::command_line(process.pid), 200);
                format!("process {} ({command})", process.pid)
            })
            .collect();
        if !found.is_empty() {
            self.mark.end_carriers();
        }
        told
    }
}
