//! Runs a target on the same deterministic inputs each time, on stable Rust. Every test run does it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::inputs::Inputs;
use crate::{Target, Verdict};

/// Inputs for each target; about a second for most.
const INPUTS: u64 = 20_000;

/// Runs one target on its inputs. An input that breaks it is kept below `fuzz/artifacts/NAME/`.
///
/// # Errors
/// Says what is wrong: a seed that the target refuses, an input that breaks it, or inputs that reach only one verdict and so test
/// nothing.
pub fn run(target: &Target) -> Result<(), String> {
    let inputs = Inputs::of(target);
    for seed in inputs.seeds() {
        if (target.run)(seed) != Verdict::Accepted {
            return Err(format!("refuses its seed {}", seed.escape_ascii()));
        }
    }
    let mut accepted = 0;
    for number in 0..INPUTS {
        let input = inputs.make(number);
        match catch_unwind(AssertUnwindSafe(|| (target.run)(&input))) {
            Ok(verdict) => accepted += u64::from(verdict == Verdict::Accepted),
            Err(_) => {
                return Err(format!(
                    "broken by input {number}, {}: {}",
                    keep(target, number, &input),
                    input.escape_ascii()
                ));
            }
        }
    }
    if accepted > INPUTS / 100 && accepted < INPUTS {
        Ok(())
    } else {
        Err(format!(
            "accepts {accepted} of {INPUTS} inputs: give it seeds that reach both verdicts"
        ))
    }
}

/// Keeps an input for later and says where.
fn keep(target: &Target, number: u64, input: &[u8]) -> String {
    let file = folder(target).join(format!("smoke-{number}"));
    match std::fs::create_dir_all(folder(target)).and_then(|()| std::fs::write(&file, input)) {
        Ok(()) => format!("kept as {}", file.display()),
        Err(error) => format!("which could not be kept ({error})"),
    }
}

fn folder(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("artifacts")
        .join(target.name)
}
