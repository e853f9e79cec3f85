//! The `emr-serverless-spark-exporter` program.
fn main() {}
