//! The error of options that are out of range, for every machine that has options.

/// An option is out of range. Values of credentials are shown as `***`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("option {option} is {value}; allowed: {allowed}")]
pub struct InvalidOption {
    /// The name of the option.
    pub option: &'static str,
    /// The rejected value.
    pub value: String,
    /// The allowed values.
    pub allowed: &'static str,
}
