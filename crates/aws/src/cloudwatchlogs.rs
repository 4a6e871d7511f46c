use aws_sdk_cloudwatchlogs::Client;
use ports::{Fault, LogLine, LogPage, LogQuery, ReadLogs};

use crate::{Connection, connection::fault};

/// Amazon CloudWatch Logs in this program's account and region.
#[derive(Clone, Debug)]
pub struct CloudWatchLogs(Client);

impl CloudWatchLogs {
    /// A client.
    #[must_use]
    pub fn new(connection: &Connection) -> Self {
        Self(Client::new(&connection.0))
    }
}

impl ReadLogs for CloudWatchLogs {
    /// `logs:FilterLogEvents`. A page has up to 10,000 lines and 1 MB; of a long log many are empty.
    async fn page(&self, query: LogQuery<'_>, next: Option<&str>) -> Result<LogPage, Fault> {
        let millis = |time: Option<u64>| time.map(|time| i64::try_from(time).unwrap_or(i64::MAX));
        let page = self
            .0
            .filter_log_events()
            .log_group_name(query.group)
            // In quotes a word of the text, not an expression.
            .filter_pattern(format!("\"{}\"", query.word))
            .set_start_time(millis(query.from))
            .set_end_time(millis(query.until))
            .set_next_token(next.map(str::to_owned))
            .send()
            .await
            .map_err(|error| fault(&error))?;
        let line = |event: aws_sdk_cloudwatchlogs::types::FilteredLogEvent| LogLine {
            time: event.timestamp.and_then(|time| u64::try_from(time).ok()).unwrap_or_default(),
            text: event.message.unwrap_or_default(),
        };
        Ok(LogPage {
            lines: page.events.unwrap_or_default().into_iter().map(line).collect(),
            // A token that is the one of this page would be asked for without an end.
            next: page.next_token.filter(|token| Some(token.as_str()) != next),
        })
    }
}
