//! From method and path to an operation. Invariant: ids are percent-decoded segment by segment, so one may hold a slash.

use std::collections::BTreeMap;

use http::Method;
use percent_encoding::percent_decode_str;

use super::errors::ApiError;

macro_rules! operations {
    ($($(#[$meta:meta])* $name:ident,)+) => {
        /// An operation that the simulator answers.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Operation { $($(#[$meta])* $name,)+ }

        impl Operation {
            /// Every operation.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Its name in the API, as in `x-acs-action`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }
        }
    };
}

operations! {
    /// `GET /api/v1/workspaces`
    ListWorkspaces,
    /// `GET /api/v1/workspaces/{workspaceId}/queues`
    ListWorkspaceQueues,
    /// `GET /api/v1/workspaces/{workspaceId}/sessionClusters`
    ListSessionClusters,
    /// `GET /api/v1/workspaces/{workspaceId}/sessionClusters/{sessionClusterId}`
    GetSessionCluster,
    /// `POST /api/v1/workspaces/{workspaceId}/sessionClusters`
    CreateSessionCluster,
    /// `POST /api/v1/workspaces/{workspaceId}/sessionClusters/action/startSessionCluster`
    StartSessionCluster,
    /// `POST /api/v1/workspaces/{workspaceId}/sessionClusters/action/stopSessionCluster`
    StopSessionCluster,
    /// `GET /api/interactive/v1/workspace/{workspaceId}/livycompute`
    ListLivyCompute,
    /// `GET /api/interactive/v1/workspace/{workspaceId}/livycompute/{livyComputeId}`
    GetLivyCompute,
    /// `GET /api/v1/workspaces/{workspaceId}/livycompute/{livyComputeId}/session`
    ListLivyComputeSessions,
}

impl Operation {
    /// The operation of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|o| o.as_str() == name)
    }

    /// The list that its answer holds, where it does.
    pub(crate) const fn list(self) -> Option<&'static str> {
        match self {
            Self::ListWorkspaces => Some("workspaces"),
            Self::ListWorkspaceQueues => Some("queues"),
            Self::ListSessionClusters => Some("sessionClusters"),
            Self::ListLivyCompute => Some("livyComputes"),
            Self::ListLivyComputeSessions => Some("sessions"),
            _ => None,
        }
    }

    /// Whether it answers in the envelope of `code` and `data`.
    pub(crate) const fn in_envelope(self) -> bool {
        matches!(self, Self::ListLivyCompute | Self::GetLivyCompute)
    }
}

/// A request's operation and the ids in its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) operation: Operation,
    /// Empty for ListWorkspaces.
    pub(crate) workspace: String,
    /// The session cluster or Livy gateway, where the path names one; else empty.
    pub(crate) resource: String,
}

/// Finds the operation: 404 for an unknown path, 405 for another method.
pub(crate) fn route(method: &Method, path: &str) -> Result<Route, ApiError> {
    use Operation as O;
    let segments: Vec<String> =
        path.split('/').skip(1).map(|s| percent_decode_str(s).decode_utf8_lossy().into_owned()).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (operations, workspace, resource): (&[O], &str, &str) = match segments.as_slice() {
        ["api", "v1", "workspaces"] => (&[O::ListWorkspaces], "", ""),
        ["api", "v1", "workspaces", w, "queues"] => (&[O::ListWorkspaceQueues], w, ""),
        ["api", "v1", "workspaces", w, "sessionClusters"] => {
            (&[O::ListSessionClusters, O::CreateSessionCluster], w, "")
        }
        ["api", "v1", "workspaces", w, "sessionClusters", "action", "startSessionCluster"] => {
            (&[O::StartSessionCluster], w, "")
        }
        ["api", "v1", "workspaces", w, "sessionClusters", "action", "stopSessionCluster"] => {
            (&[O::StopSessionCluster], w, "")
        }
        ["api", "v1", "workspaces", w, "sessionClusters", c] => (&[O::GetSessionCluster], w, c),
        ["api", "v1", "workspaces", w, "livycompute", g, "session"] => (&[O::ListLivyComputeSessions], w, g),
        ["api", "interactive", "v1", "workspace", w, "livycompute"] => (&[O::ListLivyCompute], w, ""),
        ["api", "interactive", "v1", "workspace", w, "livycompute", g] => (&[O::GetLivyCompute], w, g),
        _ => {
            let message = "Specified api is not found, please check your url and method.";
            return Err(ApiError::new(404, "InvalidAction.NotFound", message));
        }
    };
    let operation = operations.iter().copied().find(|o| o.method() == *method).ok_or_else(|| {
        ApiError::new(405, "UnsupportedHTTPMethod", "The HTTP method is not supported for this api.")
    })?;
    Ok(Route { operation, workspace: workspace.to_owned(), resource: resource.to_owned() })
}

impl Operation {
    fn method(self) -> Method {
        match self {
            Self::CreateSessionCluster | Self::StartSessionCluster | Self::StopSessionCluster => Method::POST,
            _ => Method::GET,
        }
    }
}

/// The decoded query parameters; of a repeated name the last one counts.
pub(crate) fn parameters(query: Option<&str>) -> BTreeMap<String, String> {
    let decode = |s: &str| percent_decode_str(&s.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs.map(|p| p.split_once('=').unwrap_or((p, ""))).map(|(n, v)| (decode(n), decode(v))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_operations() {
        let at = |method, path: &str| route(&method, path).map(|r| (r.operation, r.workspace, r.resource));
        let ok = |o, w: &str, r: &str| Ok((o, w.to_owned(), r.to_owned()));
        assert_eq!(at(Method::GET, "/api/v1/workspaces"), ok(Operation::ListWorkspaces, "", ""));
        assert_eq!(
            at(Method::GET, "/api/v1/workspaces/w%2F1/livycompute/%E9%98%9F/session"),
            ok(Operation::ListLivyComputeSessions, "w/1", "队")
        );
        assert_eq!(
            at(Method::POST, "/api/v1/workspaces/w/sessionClusters"),
            ok(Operation::CreateSessionCluster, "w", "")
        );
        let code = |method, path| at(method, path).unwrap_err();
        assert_eq!(code(Method::GET, "/api/v1/workspace").code, "InvalidAction.NotFound");
        assert_eq!(code(Method::GET, "/api/v1/workspaces/").status, 404);
        assert_eq!(code(Method::DELETE, "/api/v1/workspaces").status, 405);
        assert_eq!(
            code(Method::GET, "/api/v1/workspaces/w/sessionClusters/action/startSessionCluster").status,
            405
        );
    }

    #[test]
    fn parameters_are_decoded() {
        let query = parameters(Some("a=%2B%20b&c&d=x+y&&e=1=2"));
        let expected = [("a", "+ b"), ("c", ""), ("d", "x y"), ("e", "1=2")];
        assert_eq!(query, expected.map(|(n, v)| (n.to_owned(), v.to_owned())).into());
    }
}
