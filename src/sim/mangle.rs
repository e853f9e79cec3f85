//! Faults that change the JSON of an answer. Invariant: the answer stays valid JSON.

use serde_json::{Map, Value};

use super::faults::Fault;
use super::routes::Operation;

/// Changes an answer of an operation as a fault asks; faults of another sort leave it alone.
pub(crate) fn apply(fault: &Fault, operation: Operation, asked_token: Option<&str>, answer: &mut Value) {
    match fault {
        Fault::WrongTotal(delta) => {
            if let Some(total) = answer["totalCount"].as_i64() {
                answer["totalCount"] = total.saturating_add(*delta).max(0).into();
            }
        }
        Fault::RepeatedToken if is_token_paged(operation) => {
            answer["nextToken"] = asked_token.or(answer["nextToken"].as_str()).unwrap_or("repeated==").into();
        }
        Fault::EmptyPageWithToken => {
            if let Some(rows) = rows(operation, answer) {
                rows.clear();
            }
            if is_token_paged(operation) && answer["nextToken"].as_str().is_none_or(str::is_empty) {
                answer["nextToken"] = "leads+on/==".into();
            }
        }
        Fault::MalformedRow => spoil_one(operation, answer, |row| *row = "not an object".into()),
        Fault::MistypedRow => spoil_one(operation, answer, |row| for_fields(row, &|_, v| *v = mistyped(v))),
        Fault::NumbersAsStrings => for_objects(operation, answer, &numbers_as_texts),
        Fault::Nulls => for_objects(operation, answer, &nulls),
        Fault::DatesAsText => for_objects(operation, answer, &dates_as_text),
        Fault::UnknownState => for_objects(operation, answer, &unknown_state),
        Fault::Named(other) => for_objects(operation, answer, &|name, value| {
            if matches!(name, "name" | "workspaceName" | "userName" | "createdBy") {
                *value = (*other).into();
            }
        }),
        _ => {}
    }
}

const fn is_token_paged(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::ListWorkspaces | Operation::ListWorkspaceQueues | Operation::ListSessionClusters
    )
}

fn rows(operation: Operation, answer: &mut Value) -> Option<&mut Vec<Value>> {
    let at = if operation.in_envelope() { answer.get_mut("data")? } else { answer };
    at.get_mut(operation.list()?)?.as_array_mut()
}

/// Changes the row in the middle of the list.
fn spoil_one(operation: Operation, answer: &mut Value, spoil: impl FnOnce(&mut Value)) {
    if let Some(rows) = rows(operation, answer) {
        let middle = rows.len() / 2;
        rows.get_mut(middle).map(spoil);
    }
}

/// Changes every field of every row, or of the one object that the answer holds.
fn for_objects(operation: Operation, answer: &mut Value, change: &dyn Fn(&str, &mut Value)) {
    let single = match operation {
        Operation::GetSessionCluster => "sessionCluster",
        Operation::GetLivyCompute => "data",
        _ => "",
    };
    if let Some(rows) = rows(operation, answer) {
        rows.iter_mut().for_each(|row| for_fields(row, change));
    } else if let Some(object) = answer.get_mut(single) {
        for_fields(object, change);
    }
}

fn for_fields(row: &mut Value, change: &dyn Fn(&str, &mut Value)) {
    let fields: &mut Map<String, Value> = match row {
        Value::Object(fields) => fields,
        _ => return,
    };
    fields.iter_mut().for_each(|(name, value)| change(name, value));
}

fn mistyped(value: &Value) -> Value {
    match value {
        Value::Number(_) => Value::Array(Vec::new()),
        Value::Object(_) | Value::Array(_) => 7.into(),
        _ => Value::Object(Map::new()),
    }
}

fn numbers_as_texts(_: &str, value: &mut Value) {
    match value {
        Value::Number(number) => *value = number.to_string().into(),
        Value::Object(_) => for_fields(value, &numbers_as_texts),
        _ => {}
    }
}

fn nulls(name: &str, value: &mut Value) {
    if !matches!(name, "workspaceId" | "sessionClusterId" | "computeId" | "sessionId") {
        *value = Value::Null;
    }
}

fn dates_as_text(name: &str, value: &mut Value) {
    let is_time = matches!(name, "gmtCreate" | "startTime" | "createTime" | "endTime");
    if let Some(millis) = value.as_i64().filter(|_| is_time) {
        // The service's home is UTC+8, and its texts name no zone.
        let local = jiff::Timestamp::from_millisecond(millis).unwrap_or_default();
        let local = jiff::tz::Offset::constant(8).to_datetime(local);
        *value = local.strftime("%Y-%m-%d %H:%M:%S").to_string().into();
    }
}

fn unknown_state(name: &str, value: &mut Value) {
    if matches!(name, "state" | "status" | "workspaceStatus" | "queueStatus") {
        *value = "Hibernating".into();
    }
}
