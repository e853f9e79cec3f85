//! What each operation answers. Invariant: one answer is of one moment of the world.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::errors::ApiError;
use super::routes::{Operation, Route};
use super::token;
use super::wire;
use super::world::{
    AppConfig, AutoStop, Cluster, ClusterSpec, Gateway, HistoryOrder, KINDS, OrderError, View, Workspace,
    World, draw,
};

/// How a token-paged list ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LastToken {
    /// `nextToken` is missing.
    #[default]
    Absent,
    /// `nextToken` is `null`.
    Null,
    /// `nextToken` is the empty text.
    Empty,
}

/// One request, routed and let in.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) world: &'a World,
    pub(crate) route: &'a Route,
    pub(crate) query: &'a BTreeMap<String, String>,
    pub(crate) body: &'a [u8],
    pub(crate) request_id: &'a str,
    pub(crate) last_token: LastToken,
    /// Rows that seem inserted at the head of the list since its first page (negative: removed).
    pub(crate) shift: i64,
}

const PAGE_DEFAULT: u32 = 20;
const PAGE_MAX: u32 = 100;

impl Call<'_> {
    /// The body of the answer, or an error.
    pub(crate) fn answer(&self) -> Result<Vec<u8>, ApiError> {
        let value = match self.route.operation {
            Operation::ListLivyComputeSessions => return self.livy_sessions(),
            Operation::CreateSessionCluster => self.create_cluster()?,
            Operation::StartSessionCluster => self.order_cluster(World::start_cluster)?,
            Operation::StopSessionCluster => self.order_cluster(World::stop_cluster)?,
            Operation::ListWorkspaces => self.workspaces(&self.world.view())?,
            Operation::ListWorkspaceQueues => self.queues(&self.world.view())?,
            Operation::ListSessionClusters => self.clusters(&self.world.view())?,
            Operation::GetSessionCluster => self.cluster(&self.world.view())?,
            Operation::ListLivyCompute => self.gateways(&self.world.view())?,
            Operation::GetLivyCompute => self.gateway(&self.world.view())?,
        };
        Ok(bytes(&value))
    }

    fn workspaces(&self, view: &View<'_>) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        struct Tag {
            key: String,
            value: Option<String>,
        }
        let tags: Vec<Tag> = match self.filter("tag") {
            Some(text) => serde_json::from_str(text)
                .map_err(|_| ApiError::invalid("tag", "a JSON list of {\"key\": …, \"value\": …}"))?,
            None => Vec::new(),
        };
        let tagged = |w: &Workspace, tag: &Tag| {
            w.tags
                .iter()
                .any(|(key, value)| *key == tag.key && tag.value.as_deref().is_none_or(|v| v == value))
        };
        let rows = view.workspaces().iter().filter(|w| {
            self.filter("name").is_none_or(|name| w.name.contains(name))
                && self.filter("state").is_none_or(|state| state.eq_ignore_ascii_case("RUNNING"))
                && self.filter("resourceGroupId").is_none_or(|id| w.resource_group_id == id)
                && tags.iter().all(|tag| tagged(w, tag))
        });
        let rows: Vec<&Workspace> = rows.collect();
        self.token_page("workspaces", rows.len(), |n| wire::workspace_row(view, rows[n]))
    }

    fn queues(&self, view: &View<'_>) -> Result<Value, ApiError> {
        let workspace = self.workspace(view)?;
        let asked = self.filter("environment");
        let serves = |n: &usize| asked.is_none_or(|e| wire::environments(&workspace.queues[*n]).contains(&e));
        let rows: Vec<Value> = (0..workspace.queues.len())
            .filter(serves)
            .map(|number| wire::queue_row(view, workspace, number))
            .collect();
        let total = rows.len();
        let mut answer =
            json!({"requestId": self.request_id, "queues": rows, "totalCount": total, "maxResults": total});
        self.put_token(&mut answer, None);
        Ok(answer)
    }

    fn clusters(&self, view: &View<'_>) -> Result<Value, ApiError> {
        let workspace = self.workspace(view)?;
        let kind = self.filter("kind");
        if kind.is_some_and(|kind| !KINDS.contains(&kind)) {
            return Err(ApiError::invalid("kind", "SQL, NOTEBOOK or THRIFT"));
        }
        let rows = workspace.clusters.iter().filter(|c| {
            self.filter("sessionClusterId").is_none_or(|id| c.id == id)
                && self.filter("queueName").is_none_or(|queue| c.spec.queue == queue)
                && kind.is_none_or(|kind| c.spec.kind == kind)
        });
        let rows: Vec<&Cluster> = rows.collect();
        self.token_page("sessionClusters", rows.len(), |n| wire::cluster_row(view, workspace, rows[n], false))
    }

    fn cluster(&self, view: &View<'_>) -> Result<Value, ApiError> {
        let workspace = self.workspace(view)?;
        let id = &self.route.resource;
        let cluster = workspace.cluster(id).ok_or_else(|| ApiError::not_found("SessionCluster", id))?;
        let row = wire::cluster_row(view, workspace, cluster, true);
        Ok(json!({"sessionCluster": row, "requestId": self.request_id}))
    }

    fn gateways(&self, view: &View<'_>) -> Result<Value, ApiError> {
        let workspace = self.workspace(view)?;
        let rows: Vec<Value> = workspace.gateways.iter().map(|g| wire::gateway_row(view, g)).collect();
        Ok(wire::envelope(wire::ENVELOPE_OK, "ok", &json!({"livyComputes": rows}), self.request_id))
    }

    fn gateway(&self, view: &View<'_>) -> Result<Value, ApiError> {
        let detail = wire::gateway_detail(view, self.livy_gateway(self.workspace(view)?)?);
        Ok(wire::envelope(wire::ENVELOPE_OK, "ok", &detail, self.request_id))
    }

    fn livy_sessions(&self) -> Result<Vec<u8>, ApiError> {
        let view = self.world.view();
        let gateway = self.livy_gateway(self.workspace(&view)?)?;
        let number = u64::from(self.number("pageNum", 1, 1..u32::MAX)?);
        let size = u64::from(self.number("pageSize", PAGE_DEFAULT, 1..PAGE_MAX + 1)?);
        let listed = gateway.listed(view.config, view.now);
        let page = self.window(listed.end - listed.start, (number - 1) * size, size);
        let order: HistoryOrder = view.config.order;
        let sessions =
            page.rows.map(|p| wire::session_row(&view, gateway, gateway.at_position(order, &listed, p)));
        let page = wire::SessionsPage {
            request_id: self.request_id,
            total_count: page.total,
            sessions: sessions.collect(),
        };
        Ok(bytes(&page))
    }

    fn create_cluster(&self) -> Result<Value, ApiError> {
        let request: CreateRequest = self.json_body()?;
        let queues = self.workspace(&self.world.view())?.queues.clone();
        let token = request.client_token.clone().filter(|token| !token.is_empty());
        let spec = request.validated(&queues)?;
        let workspace_id = &self.route.workspace;
        let id = self.world.create_cluster(workspace_id, spec, token.as_deref());
        let id = id.ok_or_else(|| ApiError::not_found("Workspace", workspace_id))?;
        Ok(json!({"sessionClusterId": id, "requestId": self.request_id}))
    }

    fn order_cluster(
        &self,
        order: fn(&World, &str, &str) -> Result<(), OrderError>,
    ) -> Result<Value, ApiError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Request {
            session_cluster_id: Option<String>,
            queue_name: Option<String>,
        }
        let request: Request = self.json_body()?;
        let id = required("sessionClusterId", request.session_cluster_id)?;
        check_queue(request.queue_name.as_deref(), &self.workspace(&self.world.view())?.queues)?;
        order(self.world, &self.route.workspace, &id).map_err(|error| match error {
            OrderError::NotFound => ApiError::not_found("SessionCluster", &id),
            OrderError::Conflict(state) => {
                let message = format!("The session cluster {id} is {}.", state.as_str());
                ApiError::new(409, "IncorrectStatus.SessionCluster", &message)
            }
        })?;
        Ok(json!({"sessionClusterId": id, "requestId": self.request_id}))
    }

    /// A page of a token-paged list of `count` rows.
    fn token_page(&self, list: &str, count: usize, row: impl Fn(usize) -> Value) -> Result<Value, ApiError> {
        let size = self.number("maxResults", PAGE_DEFAULT, 1..PAGE_MAX + 1)?;
        let key = self.list_key();
        let offset = match self.filter("nextToken") {
            None => 0,
            Some(text) => token::decode(key, text)
                .ok_or_else(|| ApiError::invalid("nextToken", "a token of this list"))?,
        };
        let page = self.window(count as u64, u64::from(offset), u64::from(size));
        let next = offset.saturating_add(size);
        let next = (u64::from(next) < page.total).then(|| token::encode(key, next));
        let rows = page.rows.filter_map(|n| usize::try_from(n).ok()).map(row);
        let mut answer = json!({
            list: rows.collect::<Vec<Value>>(),
            "requestId": self.request_id,
            "maxResults": size,
            "totalCount": page.total,
        });
        self.put_token(&mut answer, next);
        Ok(answer)
    }

    /// Which rows a page shows, and how many the list claims to have.
    fn window(&self, count: u64, offset: u64, size: u64) -> Window {
        let total = count.saturating_add_signed(self.shift);
        // Rows inserted at the head push the others back: the page shows some of them again.
        let start = offset.saturating_add_signed(self.shift.saturating_neg()).min(count);
        Window { rows: start..start.saturating_add(size).min(count), total }
    }

    fn put_token(&self, answer: &mut Value, next: Option<String>) {
        match (next, self.last_token) {
            (Some(next), _) => answer["nextToken"] = next.into(),
            (None, LastToken::Absent) => {}
            (None, LastToken::Null) => answer["nextToken"] = Value::Null,
            (None, LastToken::Empty) => answer["nextToken"] = "".into(),
        }
    }

    /// Tokens belong to a list with its filters.
    fn list_key(&self) -> u64 {
        let filters = self.query.iter().filter(|(name, _)| *name != "nextToken" && *name != "maxResults");
        let texts = filters.flat_map(|(name, value)| [name, value]).chain([&self.route.workspace]);
        let bytes = texts.flat_map(|text| text.bytes().chain([0]));
        bytes.fold(self.world.config().seed, |key, byte| draw(key, 0x52, u64::from(byte)))
    }

    /// The value of a query parameter, where it is given and not empty.
    fn filter(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn number(&self, name: &str, default: u32, range: Range<u32>) -> Result<u32, ApiError> {
        let Some(text) = self.filter(name) else { return Ok(default) };
        let number = text.parse().ok().filter(|n| range.contains(n));
        number.ok_or_else(|| ApiError::invalid(name, &format!("from {} to {}", range.start, range.end - 1)))
    }

    fn workspace<'v>(&self, view: &'v View<'_>) -> Result<&'v Workspace, ApiError> {
        let id = &self.route.workspace;
        view.workspace(id).ok_or_else(|| ApiError::not_found("Workspace", id))
    }

    fn livy_gateway<'v>(&self, workspace: &'v Workspace) -> Result<&'v Gateway, ApiError> {
        let id = &self.route.resource;
        workspace.gateway(id).ok_or_else(|| ApiError::not_found("LivyCompute", id))
    }

    fn json_body<T: for<'de> Deserialize<'de>>(&self) -> Result<T, ApiError> {
        serde_json::from_slice(self.body).map_err(|error| ApiError::invalid("body", &error.to_string()))
    }
}

struct Window {
    rows: Range<u64>,
    total: u64,
}

/// The body of CreateSessionCluster.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateRequest {
    name: Option<String>,
    kind: Option<String>,
    queue_name: Option<String>,
    release_version: Option<String>,
    display_release_version: Option<String>,
    fusion: Option<bool>,
    env_id: Option<String>,
    auto_start_configuration: Option<Switch>,
    auto_stop_configuration: Option<Switch>,
    application_configs: Option<Vec<ConfigItem>>,
    public_endpoint_enabled: Option<bool>,
    client_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Switch {
    enable: Option<bool>,
    idle_timeout_minutes: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfigItem {
    config_file_name: Option<String>,
    config_item_key: Option<String>,
    config_item_value: Option<String>,
}

impl CreateRequest {
    fn validated(self, queues: &[String]) -> Result<ClusterSpec, ApiError> {
        let kind = required("kind", self.kind)?;
        let kind = KINDS.into_iter().find(|k| *k == kind);
        let kind = kind.ok_or_else(|| ApiError::invalid("kind", "SQL, NOTEBOOK or THRIFT"))?;
        if self.env_id.is_some() && kind != "NOTEBOOK" {
            return Err(ApiError::invalid("envId", "for the kind NOTEBOOK only"));
        }
        let queue = required("queueName", self.queue_name)?;
        check_queue(Some(&queue), queues)?;
        let release_version = required("releaseVersion", self.release_version)?;
        if !release_version.starts_with("esr-") {
            return Err(ApiError::invalid(
                "releaseVersion",
                "a release such as esr-4.3.0 (Spark 3.5.2, Scala 2.12)",
            ));
        }
        let stop = self.auto_stop_configuration;
        let idle_timeout_minutes = stop.as_ref().and_then(|s| s.idle_timeout_minutes).unwrap_or(45);
        if !(1..=10_080).contains(&idle_timeout_minutes) {
            return Err(ApiError::invalid("autoStopConfiguration.idleTimeoutMinutes", "from 1 to 10080"));
        }
        let item = |c: ConfigItem| AppConfig {
            file: c.config_file_name.unwrap_or_default(),
            key: c.config_item_key.unwrap_or_default(),
            value: c.config_item_value.unwrap_or_default(),
        };
        Ok(ClusterSpec {
            name: required("name", self.name)?,
            kind,
            queue,
            display_release_version: self.display_release_version.unwrap_or_else(|| release_version.clone()),
            release_version,
            fusion: self.fusion.unwrap_or(false),
            env_id: self.env_id,
            auto_start: self.auto_start_configuration.and_then(|s| s.enable).unwrap_or(false),
            auto_stop: AutoStop {
                enable: stop.and_then(|s| s.enable).unwrap_or(false),
                idle_timeout_minutes,
            },
            application_configs: self.application_configs.unwrap_or_default().into_iter().map(item).collect(),
            public_endpoint: self.public_endpoint_enabled.unwrap_or(false),
        })
    }
}

fn required(name: &str, value: Option<String>) -> Result<String, ApiError> {
    value.filter(|v| !v.is_empty()).ok_or_else(|| {
        ApiError::new(
            400,
            &format!("Missing{}", capitalised(name)),
            &format!("{name} is mandatory for this action."),
        )
    })
}

fn capitalised(name: &str) -> String {
    let (first, rest) = name.split_at(1);
    first.to_uppercase() + rest
}

fn check_queue(queue: Option<&str>, queues: &[String]) -> Result<(), ApiError> {
    match queue {
        Some(queue) if !queues.iter().any(|q| q == queue) => Err(ApiError::not_found("Queue", queue)),
        _ => Ok(()),
    }
}

/// JSON of plain data, which always can be written.
pub(crate) fn bytes(value: &impl Serialize) -> Vec<u8> {
    #[expect(
        clippy::expect_used,
        reason = "the wire types have no map with other keys than texts, nor failing fields"
    )]
    serde_json::to_vec(value).expect("plain data is always written as JSON")
}
