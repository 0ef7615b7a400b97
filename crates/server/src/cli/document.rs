//! Definition files: reading them, and telling their faults a line each.

use std::fs;
use std::path::{Path, PathBuf};

use amends_api::wire::ValidationView;
use amends_core::definition::{Format, Parsed, Registry, parse_text};
use serde_json::Value;

use super::screen::Screen;
use crate::failure::Failure;

/// A definition as it stands in a file.
#[derive(Debug)]
pub(crate) struct Document {
    path: PathBuf,
    pub(crate) text: String,
    format: Format,
}

impl Document {
    /// Reads a file; `.json` is JSON, everything else YAML (of which JSON is a part).
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = fs::read_to_string(path)
            .map_err(|source| Failure::File { path: path.to_owned(), source })?;
        let is_json = path.extension().is_some_and(|extension| extension == "json");
        let format = if is_json { Format::Json } else { Format::Yaml };
        Ok(Self { path: path.to_owned(), text, format })
    }

    /// The content type that the API knows it by.
    pub(crate) fn content_type(&self) -> &'static str {
        match self.format {
            Format::Json => "application/json",
            Format::Yaml => "application/yaml",
        }
    }

    /// Checks it without a server: every check but whether its participants are registered.
    pub(crate) fn check(&self) -> Parsed {
        parse_text(&self.text, self.format, &Registry::default())
    }

    /// Shows a report, one fault a line with the file in front, and fails on errors.
    pub(crate) fn show(&self, report: &Value, screen: &mut Screen) -> Result<(), Failure> {
        let path = self.path.display();
        let faults = super::answer::items(report, "faults");
        let (errors, warnings): (Vec<&Value>, Vec<&Value>) =
            faults.iter().partition(|fault| fault["severity"] == "error");
        screen.show(report, |screen| {
            for fault in errors.iter().chain(&warnings) {
                let fault: crate::problem::Fault =
                    serde_json::from_value((*fault).clone()).unwrap_or_default();
                screen.line(&format!("{path}: {fault}"))?;
            }
            if errors.is_empty() {
                screen.line(&format!("{path}: valid, {} warning(s)", warnings.len()))?;
            }
            Ok(())
        })?;
        if errors.is_empty() {
            return Ok(());
        }
        Err(Failure::Faulty(format!("{path} has {} error(s)", errors.len())))
    }
}

/// What a check found, as the API writes it.
pub(crate) fn report(parsed: &Parsed) -> Value {
    serde_json::to_value(ValidationView::from(parsed)).unwrap_or_default()
}
