//! Checks of the running program from outside, with tools that somebody else wrote: Prometheus' promtool on its metrics, an OpenAPI
//! client generator and a schema fuzzer on its description of itself.
//!
//! All of them share one `espalier serve` on a free loopback port with a data folder of its own. Versions of the tools are pinned
//! here; they are kept in the target folder, so that only the first run downloads them.

pub mod client;
mod fuzzer;
mod generator;
mod metrics;
pub mod server;

use crate::program;
use crate::steps::Steps;
pub use server::Server;

/// Runs the checks, each as a step.
pub fn run(steps: &mut Steps) {
    let Some(server) = steps.value("espalier serve", || Server::start(&program::get()?)) else {
        return;
    };
    steps.step("metrics (promtool)", || metrics::check(&server));
    steps.step("OpenAPI client generator (openapi-typescript)", || {
        generator::check(&server)
    });
    steps.step("OpenAPI fuzzer (schemathesis)", || fuzzer::check(&server));
    steps.step("espalier serve stops cleanly", || server.stop());
}
