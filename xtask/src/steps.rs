//! A run as a list of named steps: prints each name, its time and its verdict, and remembers what failed.
//!
//! A failed step does not end the run: one run tells everything that is wrong. What depends on an earlier step asks for its verdict.

use std::time::Instant;

use anyhow::Result;

/// The steps run so far.
#[derive(Debug, Default)]
pub struct Steps {
    failed: Vec<String>,
}

impl Steps {
    /// Runs one step and returns whether it passed.
    pub fn step(&mut self, name: &str, work: impl FnOnce() -> Result<()>) -> bool {
        self.value(name, work).is_some()
    }

    /// Runs one step that makes something later steps need; nothing when it failed.
    pub fn value<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Option<T> {
        println!("\n==> {name}");
        let start = Instant::now();
        let outcome = work();
        let seconds = start.elapsed().as_secs_f64();
        match outcome {
            Ok(value) => {
                println!("    {name}: ok in {seconds:.1} s");
                Some(value)
            }
            Err(error) => {
                println!("    {name}: FAILED after {seconds:.1} s: {error:#}");
                self.failed.push(name.to_owned());
                None
            }
        }
    }

    /// Returns the names of the steps that failed, in order.
    pub fn failed(&self) -> &[String] {
        &self.failed
    }
}

#[cfg(test)]
mod tests {
    use super::Steps;

    #[test]
    fn remembers_what_failed_and_goes_on() {
        let mut steps = Steps::default();
        assert!(steps.step("one", || Ok(())));
        assert_eq!(steps.value::<u8>("two", || anyhow::bail!("no")), None);
        assert_eq!(steps.value("three", || Ok(3)), Some(3));
        assert_eq!(steps.failed(), ["two"]);
    }
}
