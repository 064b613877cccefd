//! How results are printed: one line each, with the aim beside.

/// The results of a run.
#[derive(Default)]
pub struct Report(Vec<Line>);

struct Line {
    name: &'static str,
    result: String,
    aim: &'static str,
    detail: String,
}

impl Report {
    /// Adds a result and prints it at once, so that a long run shows its progress.
    pub fn add(&mut self, name: &'static str, result: String, aim: &'static str, detail: String) {
        println!("{name}: {result} (aim {aim}); {detail}");
        self.0.push(Line {
            name,
            result,
            aim,
            detail,
        });
    }

    /// Prints all results as a table.
    pub fn print(&self) {
        println!("\n| benchmark | result | aim | how |\n|---|---|---|---|");
        for line in &self.0 {
            println!(
                "| {} | {} | {} | {} |",
                line.name, line.result, line.aim, line.detail
            );
        }
    }
}

/// The median of some figures; 0 for none.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(0.0)
}

/// The figure below which the share `q` (0 to 1) of all lies; 0 for none.
pub fn quantile(mut figures: Vec<f64>, q: f64) -> f64 {
    figures.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let index = (figures.len() as f64 * q) as usize;
    figures
        .get(index.min(figures.len().saturating_sub(1)))
        .copied()
        .unwrap_or(0.0)
}
