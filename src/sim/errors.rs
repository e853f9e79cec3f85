//! Error answers in the service's form.

use serde_json::{Value, json};

/// An error that the simulated service answers with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
    /// `AccessDeniedDetail`
    pub(crate) denied: Option<Value>,
    /// Headers that come with it.
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl ApiError {
    pub(crate) fn new(status: u16, code: &str, message: &str) -> Self {
        let (code, message) = (code.to_owned(), message.to_owned());
        Self { status, code, message, denied: None, headers: Vec::new() }
    }

    /// 404 for an id that the world does not have.
    pub(crate) fn not_found(what: &str, id: &str) -> Self {
        Self::new(404, &format!("{what}.NotFound"), &format!("The {what} {id} does not exist."))
    }

    /// 400 for a parameter.
    pub(crate) fn invalid(parameter: &str, expected: &str) -> Self {
        Self::new(400, "InvalidParameter", &format!("The parameter {parameter} is not valid: {expected}."))
    }

    pub(crate) fn body(&self, request_id: &str) -> Value {
        let mut body = json!({
            "Code": self.code,
            "Message": self.message,
            "RequestId": request_id,
            "HostId": "emr-serverless-spark.simulated.local",
            "Recommend": format!("https://api.aliyun.com/troubleshoot?q={}", self.code),
        });
        if let Some(denied) = &self.denied {
            body["AccessDeniedDetail"] = denied.clone();
        }
        body
    }
}
