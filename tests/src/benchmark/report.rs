//! The table.

use std::io::Write as _;

use super::Outcome;

/// What a measured number should be.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

/// Prints one line for each result as it comes.
#[derive(Debug)]
pub struct Report {
    all_met: bool,
}

impl Report {
    /// Prints the head.
    ///
    /// # Errors
    /// Standard output is closed.
    pub fn new() -> Outcome<Self> {
        line("what", "measured", "target", "", "details")?;
        Ok(Self { all_met: true })
    }

    /// Prints a number that has a target.
    ///
    /// # Errors
    /// Standard output is closed.
    pub fn judged(&mut self, what: &str, measured: f64, target: Target, details: &str) -> Outcome<()> {
        let (met, wanted) = match target {
            Target::AtMost(most) => (measured <= most, format!("≤ {most}")),
            Target::AtLeast(least) => (measured >= least, format!("≥ {least}")),
        };
        self.all_met &= met;
        line(what, &format!("{measured:.2}"), &wanted, if met { "met" } else { "NOT MET" }, details)
    }

    /// Prints a number that is good to know.
    ///
    /// # Errors
    /// Standard output is closed.
    pub fn told(&mut self, what: &str, measured: &str, details: &str) -> Outcome<()> {
        line(what, measured, "", "", details)
    }

    /// Whether every target so far is met.
    pub fn all_met(&self) -> bool {
        self.all_met
    }
}

fn line(what: &str, measured: &str, target: &str, verdict: &str, details: &str) -> Outcome<()> {
    Ok(writeln!(std::io::stdout(), "{what:<52} {measured:>12} {target:>7} {verdict:<7} {details}")?)
}
