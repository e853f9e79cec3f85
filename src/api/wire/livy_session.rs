//! A row of ListLivyComputeSessions.

use super::lenient::{Figure, NanoCuHours, Text, Timestamp};
use super::{Row, wire_object};
use crate::clock::UnixMillis;

wire_object! {
    /// A Livy session, from ListLivyComputeSessions.
    LivySession, reported as "" {
        /// `sessionId`; there in every row that a page hands out.
        session_id: String, read as Text, "sessionId";
        /// `name`
        name: String, read as Text, "name";
        /// `queue`
        queue: String, read as Text, "queue";
        /// `state`, as the API writes it.
        state: String, read as Text, "state";
        /// `createTime`
        created: UnixMillis, read as Timestamp, "createTime";
        /// `endTime`
        ended: UnixMillis, read as Timestamp, "endTime";
        /// `cuHours` in 10⁻⁹ CU-hours, rounded half up from the decimal digits of the answer.
        nano_cu_hours: i64, read as NanoCuHours, "cuHours";
        /// `vcoreSeconds`
        vcore_seconds: i64, read as Figure, "vcoreSeconds";
        /// `mbSeconds`
        mb_seconds: i64, read as Figure, "mbSeconds";
    }
}

impl Row for LivySession {
    const ROW: &'static str = "sessions[]";

    fn has_id(&self) -> bool {
        self.session_id.is_some()
    }
}
