//! Starting, watching and stopping a fleet.

use std::sync::Arc;
use std::time::Duration;

use espalier_device::rng::Rng;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::board::{self, Board};
use crate::flash::{Pool, SLOTS};
use crate::net;
use crate::options::{BoardSpec, SimError, SimOptions};
use crate::summary::{Counters, FirmwareView, Summary};

/// Simulated boards in this process.
#[derive(Debug)]
pub struct Fleet;

/// A fleet that runs. Dropping the handle does not stop it; its token does.
#[derive(Debug, Clone)]
pub struct FleetHandle {
    counters: Arc<Counters>,
    tasks: TaskTracker,
    started: Instant,
}

impl Fleet {
    /// Starts the boards, each as a task of the current tokio runtime, until the token is cancelled.
    ///
    /// # Errors
    /// Refuses an address, a rate or a board that cannot be used, before any board starts.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn run(
        specs: Vec<BoardSpec>,
        options: &SimOptions,
        cancel: &CancellationToken,
    ) -> Result<FleetHandle, SimError> {
        let target = net::check_server(&options.server)?;
        if !(0.001..=100.0).contains(&options.rate) {
            return Err(SimError::Rate);
        }
        if options.firmware_size > SLOTS[0].size as usize - 1024 {
            return Err(SimError::FirmwareSize(options.firmware_size));
        }
        if let Some(path) = &options.flash_dir {
            std::fs::create_dir_all(path).map_err(|source| SimError::FlashDir {
                path: path.clone(),
                source,
            })?;
        }
        let mut configured = Vec::with_capacity(specs.len());
        for spec in specs {
            match board::config(&spec, options) {
                Ok(config) => configured.push((spec, config)),
                Err(source) => {
                    return Err(SimError::Board {
                        name: spec.name,
                        source,
                    });
                }
            }
        }
        let pool = Pool::default();
        let counters = Arc::new(Counters::new(configured.len()));
        let tasks = TaskTracker::new();
        for (spec, config) in configured {
            let delay = start_delay(&spec, options.start_over);
            let (options, target, pool) = (options.clone(), Arc::clone(&target), pool.clone());
            let (counters, cancel) = (Arc::clone(&counters), cancel.clone());
            let _task: JoinHandle<()> = tasks.spawn(async move {
                tokio::select! {
                    () = cancel.cancelled() => return,
                    () = tokio::time::sleep(delay) => {}
                }
                let lost = Arc::clone(&counters);
                match Board::new(spec, config, &options, &pool, target, counters) {
                    Ok(board) => board.run(cancel).await,
                    Err(_) => lost.without_flash(),
                }
            });
        }
        tasks.close();
        Ok(FleetHandle {
            counters,
            tasks,
            started: Instant::now(),
        })
    }
}

fn start_delay(spec: &BoardSpec, over: Duration) -> Duration {
    let us = u64::try_from(over.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(Rng::new(spec.seed ^ 0x57a7).up_to(us))
}

impl FleetHandle {
    /// Returns the counters now.
    pub fn summary(&self) -> Summary {
        self.counters.summary()
    }

    /// Returns what runs on the boards now.
    pub fn firmware(&self) -> FirmwareView {
        self.counters.firmware()
    }

    /// Returns how long the fleet has run.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits until the counters satisfy a condition, and returns them.
    pub async fn wait_until(&self, condition: impl Fn(&Summary) -> bool) -> Summary {
        loop {
            let changed = self.counters.changed.notified();
            tokio::pin!(changed);
            // Listening starts before looking, so that no change falls between.
            changed.as_mut().enable();
            let summary = self.summary();
            if condition(&summary) {
                return summary;
            }
            changed.await;
        }
    }

    /// Waits until every board has stopped, which happens after the token was cancelled.
    pub async fn stopped(&self) {
        self.tasks.wait().await;
    }
}
