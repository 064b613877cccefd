//! Runs every fuzz target on the same deterministic inputs each time: a few seconds in every test run, on stable Rust.
//!
//! `cargo xtask test` calls it. An input that breaks a target is written to `fuzz/artifacts/NAME/`, where
//! `cargo +nightly fuzz run NAME --features libfuzzer FILE` and `smoke NAME FILE` try it again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;

use espalier_fuzz::inputs::Inputs;
use espalier_fuzz::{TARGETS, Target, Verdict, target};

/// Inputs for each target; about a second for the slowest.
const INPUTS: u64 = 20_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [name, file] = arguments.as_slice() {
        return again(target(name), Path::new(file));
    }
    let mut broken = 0;
    for target in TARGETS {
        broken += u8::from(!smoke(target));
    }
    if broken > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// Runs one target on its inputs and returns whether all is well.
fn smoke(target: &Target) -> bool {
    let inputs = Inputs::of(target);
    for seed in inputs.seeds() {
        if (target.run)(seed) != Verdict::Accepted {
            println!("{}: refuses its seed {}", target.name, seed.escape_ascii());
            return false;
        }
    }
    let mut accepted = 0;
    for number in 0..INPUTS {
        let input = inputs.make(number);
        match catch_unwind(AssertUnwindSafe(|| (target.run)(&input))) {
            Ok(verdict) => accepted += u64::from(verdict == Verdict::Accepted),
            Err(_) => {
                println!(
                    "{}: broken by input {number}: {}",
                    target.name,
                    input.escape_ascii()
                );
                keep(target, number, &input);
                return false;
            }
        }
    }
    println!("{}: {INPUTS} inputs, {accepted} accepted", target.name);
    // One-sided inputs would test nothing.
    let both = accepted > INPUTS / 100 && accepted < INPUTS;
    if !both {
        println!(
            "{}: its inputs do not reach both verdicts: give it better seeds",
            target.name
        );
    }
    both
}

fn keep(target: &Target, number: u64, input: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("artifacts")
        .join(target.name);
    let file = folder.join(format!("smoke-{number}"));
    match std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, input)) {
        Ok(()) => println!("kept as {}", file.display()),
        Err(error) => println!("could not be kept: {error}"),
    }
}

fn again(target: &Target, file: &Path) -> ExitCode {
    match std::fs::read(file) {
        Ok(input) => {
            println!("{}: {:?}", target.name, (target.run)(&input));
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{} is not readable: {error}", file.display());
            ExitCode::FAILURE
        }
    }
}
