//! What the ledger's verbs promise, of its form in memory.
#![allow(clippy::unwrap_used)]

use countersign_ports::{
    Count as _, Ledger as _, ReadRow as _, ReplaceEnded as _, Row, SpendError, TakeRow as _, memory::MemoryLedger,
};

const NOW: u64 = 1_800_000_000;

fn row(value: &str, ttl: Option<u64>) -> Row {
    Row { key: "code#1".into(), ttl, record: vec![("value", value.into())] }
}

async fn value(ledger: &MemoryLedger) -> Option<String> {
    ledger.row("code#1").await.unwrap().and_then(|row| row.get("value").cloned())
}

#[tokio::test]
async fn a_row_is_replaced_once_it_has_ended() {
    for (name, ttl, replaced) in [
        ("ended_long_ago", Some(NOW - 300), true),
        ("ends_now", Some(NOW), true),
        ("ends_in_a_second", Some(NOW + 1), false),
        ("never_ends", None, false),
    ] {
        let ledger = MemoryLedger::default();
        ledger.replace_ended(row("first", ttl), NOW - 600).await.unwrap();
        let second = ledger.replace_ended(row("second", Some(NOW + 300)), NOW).await;
        assert_eq!(second.is_ok(), replaced, "{name}");
        assert!(second.is_ok() || matches!(second, Err(SpendError::AlreadySpent)), "{name}");
        assert_eq!(value(&ledger).await.unwrap(), if replaced { "second" } else { "first" }, "{name}");
    }
}

#[tokio::test]
async fn what_was_taken_or_spent_is_a_row_as_any_other() {
    let ledger = MemoryLedger::default();
    ledger.spend(row("spent", Some(NOW + 300))).await.unwrap();
    assert!(ledger.replace_ended(row("open", Some(NOW + 300)), NOW).await.is_err());
    ledger.take("code#1").await.unwrap().unwrap();
    ledger.replace_ended(row("open", Some(NOW + 300)), NOW).await.unwrap();
    assert_eq!(value(&ledger).await.unwrap(), "open");
}

#[tokio::test]
async fn of_many_that_replace_at_once_one_does() {
    let ledger = MemoryLedger::default();
    ledger.replace_ended(row("ended", Some(NOW)), NOW - 300).await.unwrap();
    let replacements = (0..16).map(|n: u8| {
        let ledger = ledger.clone();
        tokio::spawn(async move { ledger.replace_ended(row(&n.to_string(), Some(NOW + 300)), NOW).await.is_ok() })
    });
    let mut replaced = 0;
    for replacement in replacements.collect::<Vec<_>>() {
        replaced += usize::from(replacement.await.unwrap());
    }
    assert_eq!(replaced, 1);
}

#[tokio::test]
async fn a_counter_stops_at_its_limit_and_keeps_its_first_end() {
    let ledger = MemoryLedger::default();
    for (expected, ttl) in [(true, NOW + 1), (true, NOW + 2), (true, NOW + 3), (false, NOW + 4), (false, NOW + 5)] {
        assert_eq!(ledger.count("count#tries#1", 3, ttl).await.unwrap(), expected);
    }
    assert_eq!(ledger.counts(), [("count#tries#1".to_owned(), 3, NOW + 1)]);
    assert!(ledger.count("count#tries#2", 3, NOW).await.unwrap(), "another counter");
    assert!(!ledger.count("count#tries#3", 0, NOW).await.unwrap(), "none at all");
    assert!(ledger.rows().is_empty());
}
