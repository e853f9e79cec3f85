//! Workspaces that pass from one account to another. Invariant: what was counted goes on under its new account as it is,
//! all of it in one transaction; what an account has counted itself is never replaced.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use super::store::Store;
use super::{LedgerError, cluster, gateway};
use crate::model::{GatewayId, WorkspaceId};

/// See [`super::Ledger::take_over`].
pub(super) fn take_over(store: &mut Store, owned: &[WorkspaceId]) -> Result<Vec<WorkspaceId>, LedgerError> {
    let owners: BTreeMap<&str, &WorkspaceId> =
        owned.iter().map(|workspace| (workspace.workspace_id.as_str(), workspace)).collect();
    let owner = |before: &WorkspaceId| -> Option<WorkspaceId> {
        let owner = owners.get(before.workspace_id.as_str())?;
        (**owner != *before).then(|| WorkspaceId::clone(owner))
    };
    let Store { connection, totals, .. } = store;
    let mut move_all = || -> rusqlite::Result<Vec<WorkspaceId>> {
        let of_gateway = |before: &GatewayId| {
            let workspace = owner(&before.workspace)?;
            Some(GatewayId { workspace, livy_compute_id: before.livy_compute_id.clone() })
        };
        // Of several accounts that have counted a gateway, the one that had it last swept the whole last.
        let gateways = move_rows(
            &mut totals.gateways,
            of_gateway,
            |gateway| (gateway.full_pass_at, gateway.key),
            |id, gateway| gateway::put(connection, id, gateway),
        )?;
        let workspaces = move_rows(
            &mut totals.workspaces,
            owner,
            |workspace| workspace.key,
            |id, workspace| cluster::put(connection, id, workspace),
        )?;
        let mut before: Vec<WorkspaceId> = gateways.into_iter().map(|id| id.workspace).collect();
        before.extend(workspaces);
        Ok(before)
    };
    let mut before =
        move_all().map_err(|source| store.error("passing a workspace to another account", source))?;
    before.sort();
    before.dedup();
    if !before.is_empty() {
        store.mark_changed();
    }
    Ok(before)
}

/// Moves what has another name now, unless there is something of that name: of several, the one that is `latest`. Gives
/// the names of before.
fn move_rows<K: Clone + Ord, T, L: Ord>(
    totals: &mut BTreeMap<K, Arc<T>>,
    name: impl Fn(&K) -> Option<K>,
    latest: impl Fn(&T) -> L,
    write: impl Fn(&K, &T) -> rusqlite::Result<()>,
) -> rusqlite::Result<Vec<K>> {
    let mut moves: BTreeMap<K, (K, Arc<T>)> = BTreeMap::new();
    for (before, row) in totals.iter() {
        let Some(after) = name(before).filter(|after| !totals.contains_key(after)) else { continue };
        match moves.entry(after) {
            Entry::Vacant(place) => drop(place.insert((before.clone(), Arc::clone(row)))),
            Entry::Occupied(mut place) => {
                if latest(row) > latest(&place.get().1) {
                    place.insert((before.clone(), Arc::clone(row)));
                }
            }
        }
    }
    let mut names = Vec::with_capacity(moves.len());
    for (after, (before, row)) in moves {
        write(&after, &row)?;
        totals.remove(&before);
        totals.insert(after, row);
        names.push(before);
    }
    Ok(names)
}
