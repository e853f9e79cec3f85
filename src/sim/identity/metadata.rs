//! The metadata service of ECS: the hardened mode with a token (v2), and the plain one (v1).

use http::Method;

use super::{INSTANCE_ROLE, Identity, Issuer, MetadataModes, Request};
use crate::sim::service::Reply;

const TOKEN: &str = "/latest/api/token";
const ROLES: &str = "/latest/meta-data/ram/security-credentials/";
/// Tokens that are remembered.
const TOKENS_MAX: usize = 1_000;

pub(super) fn answer(identity: &Identity, request: &Request<'_>) -> Reply {
    let (method, path) = (&request.parts.method, request.parts.uri.path());
    if path == TOKEN {
        return if method == Method::PUT { token(identity, request) } else { status(405) };
    }
    if method != Method::GET {
        return status(405);
    }
    if !may_ask(identity, request) {
        return status(403);
    }
    match path.strip_prefix(ROLES) {
        Some("") => text(INSTANCE_ROLE),
        Some(role) if role.replace("%2D", "-") == INSTANCE_ROLE => {
            identity.hand_out(Issuer::Metadata, request)
        }
        _ => status(404),
    }
}

fn token(identity: &Identity, request: &Request<'_>) -> Reply {
    let ttl = request.parts.headers.get("x-aliyun-ecs-metadata-token-ttl-seconds");
    let ttl = ttl.and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
    let mut state = identity.lock();
    if state.modes == MetadataModes::PlainOnly {
        return status(404);
    }
    if !ttl.is_some_and(|ttl| (1..=21_600).contains(&ttl)) {
        return status(400);
    }
    if state.metadata_tokens.len() >= TOKENS_MAX {
        state.metadata_tokens.remove(0);
    }
    let token = format!("sim-metadata-token-{}", request.request_id);
    state.metadata_tokens.push(token.clone());
    text(&token)
}

fn may_ask(identity: &Identity, request: &Request<'_>) -> bool {
    let state = identity.lock();
    let given = request.parts.headers.get("x-aliyun-ecs-metadata-token");
    match given.and_then(|token| token.to_str().ok()) {
        Some(token) => {
            matches!(state.modes, MetadataModes::Both | MetadataModes::TokenOnly)
                && state.metadata_tokens.iter().any(|known| known == token)
        }
        None => state.modes != MetadataModes::TokenOnly,
    }
}

fn text(text: &str) -> Reply {
    Reply { content_type: "text/plain", ..Reply::json(200, text.as_bytes().to_vec()) }
}

fn status(status: u16) -> Reply {
    Reply::html(status)
}
