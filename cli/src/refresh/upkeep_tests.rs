use std::{sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

use super::{
    Event, Nudge,
    simulation::{HOUR, MINUTE, Mood, SECOND, Simulation, member, name, role, secret, token},
};
use crate::config::RefreshSettings;

async fn started(items: Vec<crate::config::Item>) -> (Simulation, mpsc::Receiver<Event>, Nudge) {
    let mut simulation = Simulation::new(items);
    simulation.start(MINUTE).await.unwrap();
    let (events, nudge) = simulation.refresher().spawn();
    (simulation, events, nudge)
}

async fn none(events: &mut mpsc::Receiver<Event>, within: Duration) -> bool {
    timeout(within, events.recv()).await.is_err()
}

#[tokio::test(start_paused = true)]
async fn without_a_start_what_comes_comes_as_changed_and_what_is_denied_keeps_none_from_coming() {
    let mut simulation = Simulation::new(vec![secret("db", "app/db"), secret("mail", "app/mail"), role("nightly")]);
    simulation.broker.world().denied.insert("app/mail".into());
    let (mut events, _nudge) = simulation.refresher().spawn();
    assert_eq!(events.recv().await.unwrap(), Event::Changed(vec![name("db"), name("nightly")]));
    assert!(!simulation.holdings.is_ready());
    simulation.broker.world().denied.clear();
    assert_eq!(events.recv().await.unwrap(), Event::Changed(vec![name("mail")]));
    assert!(simulation.holdings.is_ready());
}

#[tokio::test(start_paused = true)]
async fn without_a_start_the_splay_comes_first() {
    let settings = RefreshSettings { splay: HOUR, ..RefreshSettings::DEFAULT };
    let mut simulation = Simulation::with(vec![secret("db", "app/db")], settings, 7);
    let (mut events, _nudge) = simulation.refresher().spawn();
    events.recv().await.unwrap();
    assert!((SECOND..HOUR).contains(&simulation.broker.times()[0]));
}

#[tokio::test(start_paused = true)]
async fn after_a_start_that_failed_the_upkeep_asks_at_once() {
    let mut simulation = Simulation::new(vec![secret("db", "app/db")]);
    simulation.broker.set(Mood::Refuses);
    simulation.start(MINUTE).await.unwrap_err();
    simulation.broker.set(Mood::Gives);
    let (mut events, _nudge) = simulation.refresher().spawn();
    let began = Instant::now();
    assert_eq!(events.recv().await.unwrap(), Event::Changed(vec![name("db")]));
    assert!(began.elapsed() < SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_disappears_fails_alone_and_keeps_its_value() {
    let items = vec![member("password", "app/db", "password"), secret("db", "app/db")];
    let (simulation, mut events, nudge) = started(items).await;
    simulation.broker.world().secrets.insert("app/db".into(), (2, r#"{"user":"u"}"#.into()));
    sleep(MINUTE).await;
    nudge.and_wait(None).await;
    assert_eq!(events.recv().await.unwrap(), Event::Changed(vec![name("db")]));
    assert_eq!(simulation.lent("password").unwrap(), "app/db 1");
    assert_eq!(simulation.holdings.state(&name("password")).failures, 1);
    assert_eq!(simulation.holdings.state(&name("db")).failures, 0);
}

#[tokio::test(start_paused = true)]
async fn another_version_with_the_same_member_is_no_change_of_it() {
    let (simulation, mut events, nudge) = started(vec![member("user", "app/db", "user"), secret("db", "app/db")]).await;
    simulation.broker.rotate("app/db");
    sleep(MINUTE).await;
    nudge.and_wait(None).await;
    assert_eq!(events.recv().await.unwrap(), Event::Changed(vec![name("db")]));
    assert!(none(&mut events, HOUR).await);
}

#[tokio::test(start_paused = true)]
async fn a_nudge_asks_at_once_but_not_within_the_shortest_interval() {
    let (simulation, _events, nudge) = started(vec![secret("db", "app/db"), secret("mail", "app/mail")]).await;
    nudge.and_wait(None).await;
    assert_eq!(simulation.broker.requests(), 1, "it has just come");
    sleep(29 * SECOND).await;
    nudge.and_wait(Some(&name("db"))).await;
    assert_eq!(simulation.broker.requests(), 1);
    sleep(SECOND).await;
    let began = Instant::now();
    simulation.broker.rotate("app/db");
    nudge.and_wait(Some(&name("db"))).await;
    assert!(began.elapsed() < SECOND);
    assert_eq!(simulation.broker.requests(), 2);
    assert!(simulation.lent("db").unwrap().contains("app/db 2"), "what was waited for is there");
    for _ in 0..100 {
        nudge.now(None);
    }
    sleep(SECOND).await;
    assert!(simulation.broker.requests() <= 3);
}

#[tokio::test(start_paused = true)]
async fn a_nudge_cuts_the_pause_after_failures_short_but_not_a_wait_that_the_broker_asked_for() {
    let (simulation, mut events, nudge) = started(vec![secret("db", "app/db"), token()]).await;
    simulation.broker.set(Mood::Unavailable);
    sleep(HOUR).await;
    let requests = simulation.broker.requests();
    simulation.broker.set(Mood::Gives);
    if simulation.holdings.state(&name("db")).due_at > simulation.holdings.now() + 40 {
        sleep(31 * SECOND).await;
    }
    nudge.and_wait(None).await;
    assert!(simulation.holdings.is_ready() && simulation.broker.requests() > requests);
    while !none(&mut events, SECOND).await {}
    simulation.broker.set(Mood::Throttles(Some(HOUR / 2)));
    sleep(10 * MINUTE).await;
    let requests = simulation.broker.requests();
    simulation.broker.set(Mood::Gives);
    nudge.and_wait(None).await;
    assert_eq!(simulation.broker.requests(), requests);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_request_that_is_on_its_way_waits_for_its_end() {
    let (simulation, _events, nudge) = started(vec![secret("db", "app/db")]).await;
    sleep(MINUTE).await;
    simulation.broker.rotate("app/db");
    nudge.now(None);
    sleep(Duration::from_millis(10)).await;
    nudge.and_wait(None).await;
    assert!(simulation.lent("db").unwrap().contains("app/db 2"));
    assert_eq!(simulation.broker.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_slow_gets_of_each_item_the_last_thing_that_happened() {
    let (simulation, mut events, _nudge) = started(vec![secret("db", "app/db"), token()]).await;
    for _ in 0..50 {
        simulation.broker.rotate("app/db");
        sleep(10 * MINUTE).await;
    }
    simulation.broker.set(Mood::Unavailable);
    sleep(HOUR).await;
    let mut received = Vec::new();
    while let Ok(event) = timeout(SECOND, events.recv()).await {
        received.push(event.unwrap());
    }
    assert!(received.len() <= 6, "{received:?}");
    let speaks_of_the_token = |event: &&Event| match event {
        Event::Changed(names) | Event::Ended(names) => names.contains(&name("token")),
    };
    let last = received.iter().rev().find(speaks_of_the_token).unwrap();
    assert!(matches!(last, Event::Ended(_)), "{received:?}");
}

#[tokio::test(start_paused = true)]
async fn an_ended_value_is_wiped_and_its_end_is_told_though_a_request_hangs() {
    let (simulation, mut events, _nudge) = started(vec![token()]).await;
    let value = Arc::downgrade(&simulation.holdings.value(&name("token")).unwrap());
    simulation.broker.set(Mood::Hangs);
    let began = Instant::now();
    assert_eq!(events.recv().await.unwrap(), Event::Ended(vec![name("token")]));
    assert!((10 * MINUTE - SECOND..=10 * MINUTE + SECOND).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert!(value.upgrade().is_none(), "nobody holds it any more");
}

#[tokio::test(start_paused = true)]
async fn the_upkeep_ends_with_its_receiver() {
    let (simulation, events, nudge) = started(vec![secret("db", "app/db")]).await;
    drop(events);
    sleep(HOUR).await;
    assert_eq!(simulation.broker.requests(), 1);
    nudge.and_wait(None).await;
}

#[tokio::test(start_paused = true)]
async fn the_upkeep_goes_on_without_anyone_who_nudges() {
    let (simulation, _events, nudge) = started(vec![secret("db", "app/db")]).await;
    drop(nudge);
    sleep(HOUR).await;
    assert!(simulation.broker.requests() > 10);
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_is_counted() {
    let mut simulation = Simulation::new(vec![secret("db", "app/db")]);
    simulation.start(MINUTE).await.unwrap();
    let refresher = simulation.refresher();
    let counts = refresher.counts();
    let (_events, nudge) = refresher.spawn();
    for mood in [Mood::Unavailable, Mood::Gives, Mood::Throttles(None)] {
        simulation.broker.set(mood);
        sleep(MINUTE).await;
        nudge.and_wait(None).await;
    }
    assert!(counts.given() >= 2 && counts.failed() >= 1 && counts.throttled() >= 1);
    let all = counts.given() + counts.failed() + counts.throttled();
    assert_eq!(all, u64::try_from(simulation.broker.requests()).unwrap());
}
