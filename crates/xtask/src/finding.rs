//! What a check found: where, what is wrong, how to mend it. Checks return findings and never print; only [`report`]
//! prints. A finding without a remedy does not exist.

use std::fmt;

/// Whether a finding fails the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    /// The step fails.
    Error,
    /// The step passes; someone should look.
    Warning,
}

/// One thing that is wrong in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    /// From 1.
    pub(crate) line: usize,
    pub(crate) problem: String,
    pub(crate) remedy: String,
}

impl Finding {
    pub(crate) fn error(
        path: impl Into<String>,
        line: usize,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let (path, problem, remedy) = (path.into(), problem.into(), remedy.into());
        Self { severity: Severity::Error, path, line, problem, remedy }
    }

    pub(crate) fn warning(
        path: impl Into<String>,
        line: usize,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Warning, ..Self::error(path, line, problem, remedy) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity, path, line, problem, remedy } = self;
        let severity = match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{path}:{line}: {severity}: {problem}\n    {remedy}")
    }
}

/// Print the findings in the order of their places.
///
/// # Errors
///
/// When any of them is an error; the text counts them.
pub(crate) fn report(mut findings: Vec<Finding>) -> anyhow::Result<()> {
    findings.sort_by(|a, b| (&a.path, a.line, &a.problem).cmp(&(&b.path, b.line, &b.problem)));
    for finding in &findings {
        println!("{finding}");
    }
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    anyhow::ensure!(errors == 0, "{errors} to mend, each with its remedy above");
    Ok(())
}

/// The problems only, for a test to compare with.
#[cfg(test)]
pub(crate) fn problems(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|finding| format!("{}:{} {}", finding.path, finding.line, finding.problem)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warning_does_not_fail_and_error_does() {
        assert!(report(vec![Finding::warning("a", 1, "long", "split it")]).is_ok());
        assert!(report(vec![Finding::error("a", 1, "longer", "split it")]).is_err());
    }

    #[test]
    fn finding_shows_place_and_remedy() {
        let shown = Finding::error("crates/a.rs", 7, "is wrong", "make it right").to_string();
        assert_eq!(shown, "crates/a.rs:7: error: is wrong\n    make it right");
    }
}
