//! Benchmarks of Espalier: each runs a peer beside us in the same process and run, and prints the ratio.
//!
//! `cargo xtask bench` runs all, `cargo xtask bench posts engine` some. Absolute numbers depend on the machine
//! and its disk; the ratios are what is meant. Nothing here judges: the aims stand beside the results.

mod engine;
mod http;
mod latency;
mod load;
mod matching;
mod memory;
mod ota;
mod report;

use report::Report;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The benchmarks by name.
const NAMES: [&str; 12] = [
    "posts", "batch", "engine", "query", "bytes", "latency", "sockets", "boards", "idle", "match",
    "checks", "download",
];

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with("--bench"))
        .collect();
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        println!(
            "usage: cargo xtask bench [NAME…]\n\nnames: {}",
            NAMES.join(", ")
        );
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    if let [mode, url, tokens] = args.as_slice()
        && mode == "idle-sockets"
    {
        return runtime.block_on(memory::hold_sockets(url, tokens));
    }
    if let [mode, url, identities] = args.as_slice()
        && mode == "run-boards"
    {
        return runtime.block_on(memory::run_boards(url, identities));
    }
    if let Some(unknown) = args.iter().find(|arg| !NAMES.contains(&arg.as_str())) {
        anyhow::bail!(
            "there is no benchmark {unknown:?}; known are: {}",
            NAMES.join(", ")
        );
    }
    let chosen = |name: &str| args.is_empty() || args.iter().any(|arg| arg == name);
    let mut report = Report::default();
    runtime.block_on(async {
        // Memory first: what other benchmarks leave in the allocator must not count.
        if chosen("idle") {
            memory::idle(&mut report).await?;
        }
        if chosen("sockets") {
            memory::sockets(&mut report).await?;
        }
        if chosen("boards") {
            memory::boards(&mut report).await?;
        }
        if chosen("posts") {
            http::posts(&mut report).await?;
        }
        if chosen("batch") {
            http::batch(&mut report).await?;
        }
        if chosen("engine") {
            engine::appends(&mut report).await?;
        }
        if chosen("query") {
            engine::day_query(&mut report).await?;
        }
        if chosen("bytes") {
            engine::bytes_per_point(&mut report).await?;
        }
        if chosen("latency") {
            latency::post_to_frame(&mut report).await?;
        }
        if chosen("match") {
            matching::matching(&mut report).await?;
        }
        if chosen("checks") {
            ota::checks(&mut report).await?;
        }
        if chosen("download") {
            ota::downloads(&mut report).await?;
        }
        anyhow::Ok(())
    })?;
    report.print();
    Ok(())
}
