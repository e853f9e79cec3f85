//! Failures in plain words. Invariant: every reason has its words, and they name no value of the settings.

use serde::Serialize;

use crate::model::FailureReason;

/// What a reason means and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// What is the matter.
    pub means: &'static str,
    /// What helps.
    pub what_to_do: &'static str,
}

/// The words for a reason; `docs/troubleshooting.md` has more.
pub const fn advice(reason: FailureReason) -> Advice {
    let (means, what_to_do) = words(reason);
    Advice { means, what_to_do }
}

const fn words(reason: FailureReason) -> (&'static str, &'static str) {
    match reason {
        FailureReason::Throttled => (
            "The service asked to slow down for longer than a sweep can wait.",
            "Nothing, if it passes. Else lower api.requests_per_second, poll less often, or ask for a higher quota.",
        ),
        FailureReason::Denied => (
            "The key is good, but the RAM policy forbids this operation.",
            "Add the operation that the message names to the policy of the RAM user or role. All else goes on meanwhile.",
        ),
        FailureReason::Unauthenticated => (
            "The service does not accept the key, its token or the signature.",
            "Put a good key where the account's credentials come from. The next probe, at most 5 minutes later, finds it.",
        ),
        FailureReason::NoCredentials => (
            "No key could be had, so nothing was sent.",
            "The message names the sources that were tried and what each of them lacks.",
        ),
        FailureReason::ClockSkew => (
            "The date of the request was refused although it is by the service's own clock.",
            "Look for what alters the Date header between here and the service.",
        ),
        FailureReason::NotFound => (
            "The resource went away between two sweeps.",
            "Nothing, mostly: the next sweep of what is above it ends this one.",
        ),
        FailureReason::Rejected => (
            "The service refused the request.",
            "The code and the message say why; most often it is not offered in this region.",
        ),
        FailureReason::Unresolved => (
            "The name of the endpoint, or of the proxy, has no address.",
            "Check this machine's DNS, the account's regions and endpoint, and with network: vpc whether it is in a VPC of that region.",
        ),
        FailureReason::Unreachable => (
            "There was no connection, or it was cut before an answer.",
            "Check routes, security groups, the firewall and api.proxy.",
        ),
        FailureReason::Tls => (
            "The certificate or the TLS handshake was refused.",
            "Something on the way may answer in the service's place: trust its authority by api.ca_file, or let the endpoint pass.",
        ),
        FailureReason::Timeout => (
            "The connection or the answer took too long.",
            "See how long requests take in the metrics; raise api.timeout if the way is slow.",
        ),
        FailureReason::ServerError => {
            ("The service failed.", "Wait. If it lasts, ask the service, with the request id.")
        }
        FailureReason::Malformed => (
            "The answer could not be understood.",
            "HTML comes from a proxy on the way; a body that is too large wants a smaller page_size; all else is the service's.",
        ),
        FailureReason::Overrun => (
            "The sweep passed its deadline or the limit on pages.",
            "Give it a longer deadline, more requests a second, or a larger api.pages_max.",
        ),
        FailureReason::Inconsistent => (
            "The pages contradict each other: the list moved while it was read.",
            "Nothing, if it passes. If it stays, poll less often or tell the service which list it is.",
        ),
        FailureReason::Conflict => (
            "The same workspace is reached through two accounts or regions.",
            "Leave it to one of them by workspaces.include and workspaces.exclude.",
        ),
        FailureReason::Ledger => (
            "The ledger could not take what was read.",
            "Check the disk of ledger.path: space, permissions, errors. What was missed is counted by a later sweep.",
        ),
        FailureReason::Internal => {
            ("This is a defect of the exporter.", "The log has the place; please report it.")
        }
    }
}
