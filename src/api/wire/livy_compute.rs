//! A row of ListLivyCompute.

use super::lenient::{Text, Timestamp};
use super::{Row, wire_object};
use crate::clock::UnixMillis;

wire_object! {
    /// A Livy gateway, from ListLivyCompute.
    LivyCompute, reported as "" {
        /// `computeId`; there in every row that a page hands out.
        compute_id: String, read as Text, "computeId";
        /// `name`
        name: String, read as Text, "name";
        /// `status`, as the API writes it.
        status: String, read as Text, "status";
        /// `queueName`
        queue: String, read as Text, "queueName";
        /// `createdBy`
        created_by: String, read as Text, "createdBy";
        /// `gmtCreate`
        created: UnixMillis, read as Timestamp, "gmtCreate";
        /// `startTime`
        started: UnixMillis, read as Timestamp, "startTime";
    }
}

impl Row for LivyCompute {
    const ROW: &'static str = "livyComputes[]";

    fn has_id(&self) -> bool {
        self.compute_id.is_some()
    }
}
