//! A RAM policy that the simulated service enforces, action by action. Invariant: what nothing allows is denied, and what
//! a statement denies no other allows.

use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use serde_json::json;

use super::errors::ApiError;
use super::routes::Operation;

/// What comes before the operation in the name of an action.
const PRODUCT: &str = "emr-serverless-spark";

/// A policy document: `{"Version": "1", "Statement": [{"Effect": …, "Action": …, "Resource": …}]}`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct RamPolicy {
    version: String,
    statement: Vec<Statement>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Statement {
    effect: Effect,
    action: OneOrMany,
    resource: OneOrMany,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Effect {
    Allow,
    Deny,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn iter(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::One(text) => std::slice::from_ref(text).iter(),
            Self::Many(texts) => texts.iter(),
        }
        .map(String::as_str)
    }
}

impl RamPolicy {
    /// Reads a document of version 1. Only `*` is simulated as a resource, and no condition.
    ///
    /// # Errors
    /// What is wrong with the document.
    pub fn parse(json: &str) -> Result<Self, String> {
        let policy: Self = serde_json::from_str(json).map_err(|error| error.to_string())?;
        if policy.version != "1" {
            return Err(format!("version {} instead of 1", policy.version));
        }
        for resource in policy.statement.iter().flat_map(|statement| statement.resource.iter()) {
            if resource != "*" {
                return Err(format!("the resource {resource} instead of *"));
            }
        }
        Ok(policy)
    }

    /// `None` where the action is allowed, else the `NoPermissionType`.
    fn refusal(&self, action: &str) -> Option<&'static str> {
        let has = |effect| {
            let mut statements = self.statement.iter().filter(|statement| statement.effect == effect);
            statements.any(|statement| statement.action.iter().any(|pattern| matches(pattern, action)))
        };
        if has(Effect::Deny) {
            return Some("ExplicitDeny");
        }
        (!has(Effect::Allow)).then_some("ImplicitDeny")
    }
}

/// Whether a pattern of `*` (any text) and `?` (any character) fits, whatever the case.
fn matches(pattern: &str, text: &str) -> bool {
    let mut characters = pattern.chars();
    match characters.next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = characters.as_str();
            let mut ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.any(|end| matches(rest, &text[end..]))
        }
        Some(wanted) => {
            let mut others = text.chars();
            let fits = |found: char| wanted == '?' || wanted.eq_ignore_ascii_case(&found);
            others.next().is_some_and(fits) && matches(characters.as_str(), others.as_str())
        }
    }
}

/// The policy in force; none at first, which allows everything.
#[derive(Debug, Default)]
pub(crate) struct Enforced(Mutex<Option<RamPolicy>>);

impl Enforced {
    /// Puts a policy in force, or none.
    pub(crate) fn set(&self, policy: Option<RamPolicy>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = policy;
    }

    /// Whether an operation is allowed.
    pub(crate) fn check(&self, operation: Operation) -> Result<(), ApiError> {
        let policy = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let action = format!("{PRODUCT}:{}", operation.as_str());
        match policy.as_ref().and_then(|policy| policy.refusal(&action)) {
            Some(kind) => Err(denial("NoPermission", &action, kind)),
            None => Ok(()),
        }
    }
}

/// 403 with the detail that tells which action was refused, and why.
pub(crate) fn denial(code: &str, action: &str, no_permission_type: &str) -> ApiError {
    ApiError {
        denied: Some(json!({
            "AuthAction": action,
            "AuthPrincipalType": "SubUser",
            "AuthPrincipalOwnerId": "100000000000000001",
            "AuthPrincipalDisplayName": "200000000000000002",
            "NoPermissionType": no_permission_type,
            "PolicyType": "AccountLevelIdentityBasedPolicy",
        })),
        ..ApiError::new(403, code, "You are not authorized to do this action.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(statements: &str, operation: Operation) -> Option<String> {
        let policy =
            RamPolicy::parse(&format!(r#"{{"Version": "1", "Statement": [{statements}]}}"#)).unwrap();
        let enforced = Enforced::default();
        assert!(enforced.check(operation).is_ok(), "without a policy");
        enforced.set(Some(policy));
        let denied = enforced.check(operation).err()?.denied.unwrap();
        assert_eq!(denied["AuthAction"], format!("emr-serverless-spark:{}", operation.as_str()));
        Some(denied["NoPermissionType"].as_str().unwrap().to_owned())
    }

    #[test]
    fn what_nothing_allows_is_denied_and_a_denial_wins() {
        let allow = |action: &str| format!(r#"{{"Effect": "Allow", "Action": {action}, "Resource": "*"}}"#);
        let operation = Operation::ListLivyCompute;
        let implicit = Some("ImplicitDeny".to_owned());
        assert_eq!(refusal("", operation), implicit);
        for (action, expected) in [
            (r#""emr-serverless-spark:ListLivyCompute""#, None),
            (r#"["x:y", "EMR-serverless-spark:listlivycompute"]"#, None),
            (r#""*""#, None),
            (r#""emr-serverless-spark:List*""#, None),
            (r#""emr-*:ListLivy*ute""#, None),
            (r#""emr-serverless-spark:ListLivyComput?""#, None),
            (r#""emr-serverless-spark:ListLivyComputeSessions""#, implicit.clone()),
            (r#""emr-serverless-spark:ListLivyComput""#, implicit.clone()),
            (r#""emr-serverless-spark:ListLivyCompute?""#, implicit.clone()),
            (r#""emr-serverless-spark:Get*""#, implicit.clone()),
            ("[]", implicit.clone()),
        ] {
            assert_eq!(refusal(&allow(action), operation), expected, "{action}");
        }
        let both = format!("{}, {}", allow(r#""*""#), allow(r#""*:List*""#).replace("Allow", "Deny"));
        assert_eq!(refusal(&both, operation).as_deref(), Some("ExplicitDeny"));
        assert_eq!(refusal(&both, Operation::GetSessionCluster), None);
    }

    #[test]
    fn what_is_not_simulated_is_refused() {
        for document in [
            "",
            r#"{"Version": "2", "Statement": []}"#,
            r#"{"Version": "1", "Statement": [{"Effect": "Maybe", "Action": "*", "Resource": "*"}]}"#,
            r#"{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "acs:x"}]}"#,
            r#"{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {}}]}"#,
        ] {
            assert!(RamPolicy::parse(document).is_err(), "{document}");
        }
    }
}
