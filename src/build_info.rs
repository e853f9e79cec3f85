//! What was built: version, revision, date and platform. Invariant: fixed when the program was compiled, nothing is read at run time.
//!
//! Revision and date come from the environment of the compiler, so that the same sources with the same variables make
//! the same program; cargo compiles this file anew when they change.

/// The version of `Cargo.toml`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit that was built, from `EMR_SPARK_EXPORTER_BUILD_REVISION`; `unknown` where that was not set.
pub const REVISION: &str = or_unknown(option_env!("EMR_SPARK_EXPORTER_BUILD_REVISION"));
/// When that commit was made, in UTC, from `EMR_SPARK_EXPORTER_BUILD_DATE`; `unknown` where that was not set.
pub const DATE: &str = or_unknown(option_env!("EMR_SPARK_EXPORTER_BUILD_DATE"));

/// What `version` prints, in the manner of Prometheus's own programs.
pub fn describe() -> String {
    format!(
        "emr-serverless-spark-exporter, version {VERSION} (revision: {REVISION})\n  \
         build date:  {DATE}\n  platform:    {}/{}",
        std::env::consts::OS,
        std::env::consts::ARCH
    )
}

const fn or_unknown(variable: Option<&'static str>) -> &'static str {
    match variable {
        Some(value) if !value.is_empty() => value,
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_without_the_variables_says_so() {
        assert_eq!(
            [or_unknown(None), or_unknown(Some("")), or_unknown(Some("4f2a"))],
            ["unknown", "unknown", "4f2a"]
        );
    }

    #[test]
    fn the_description_names_version_revision_and_date() {
        let text = describe();
        let first = text.lines().next().unwrap();
        assert_eq!(first, format!("emr-serverless-spark-exporter, version {VERSION} (revision: {REVISION})"));
        assert!(text.contains(&format!("build date:  {DATE}\n")), "{text}");
    }
}
