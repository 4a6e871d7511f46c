use std::time::Duration;

use tokio::time::Instant;

use super::simulation::{HOUR, MINUTE, Mood, SECOND, Simulation, member, name, role, secret, token};
use crate::{Error, config::RefreshSettings, refresh::NotTheItem};

fn items() -> Vec<crate::config::Item> {
    vec![secret("db", "app/db"), member("password", "app/db", "password"), role("nightly"), token()]
}

fn nothing_is_held(simulation: &Simulation) -> bool {
    simulation.holdings.items().iter().all(|item| simulation.holdings.state(&item.name).value.is_none())
}

#[tokio::test(start_paused = true)]
async fn everything_comes_in_one_exchange_and_each_want_is_asked_for_once() {
    let mut simulation = Simulation::new(items());
    simulation.start(2 * MINUTE).await.unwrap();
    assert!(simulation.holdings.is_ready());
    assert_eq!(simulation.lent("password").unwrap(), "app/db 1");
    let world = simulation.broker.world();
    assert_eq!((world.seen.len(), world.seen[0].wants.len()), (1, 3));
    assert_eq!(simulation.refresher.as_ref().unwrap().counts().given(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_denied_ends_the_start_at_once_and_nothing_comes() {
    let mut simulation = Simulation::new(items());
    simulation.broker.world().denied.insert("nightly".into());
    let ended = simulation.start(2 * MINUTE).await;
    assert!(matches!(ended, Err(Error::Denied { .. })), "{ended:?}");
    assert!(nothing_is_held(&simulation) && simulation.broker.requests() == 1);
}

#[tokio::test(start_paused = true)]
async fn an_item_that_is_not_in_what_was_given_ends_the_start_and_nothing_comes() {
    let mut items = items();
    items.push(member("port", "app/db", "port"));
    let mut simulation = Simulation::new(items);
    let ended = simulation.start(2 * MINUTE).await.unwrap_err();
    assert_eq!(ended.exit_code(), 6);
    let Error::NotTheItem { item, source } = ended else { panic!("{ended:?}") };
    assert_eq!((item, source), (name("port"), NotTheItem::NoMember));
    assert!(nothing_is_held(&simulation) && simulation.broker.requests() == 1);
}

#[tokio::test(start_paused = true)]
async fn what_has_ended_by_this_machines_clock_does_not_come() {
    let mut simulation = Simulation::new(items());
    simulation.clock.set_wrong_by(7200);
    let ended = simulation.start(2 * MINUTE).await;
    assert!(matches!(ended, Err(Error::NotTheItem { source: NotTheItem::Ended, .. })), "{ended:?}");
    assert!(nothing_is_held(&simulation));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_not_tried_again() {
    let mut simulation = Simulation::new(items());
    simulation.broker.set(Mood::Refuses);
    let ended = simulation.start(2 * MINUTE).await;
    assert!(matches!(ended, Err(Error::Refused { .. })), "{ended:?}");
    assert_eq!(simulation.broker.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_outage_within_the_time_is_waited_out() {
    for mood in [Mood::Unavailable, Mood::Throttles(None), Mood::Throttles(Some(7 * SECOND))] {
        let mut simulation = Simulation::new(items());
        simulation.broker.set(mood);
        let broker = simulation.broker.clone();
        tokio::spawn(async move {
            tokio::time::sleep(MINUTE).await;
            broker.set(Mood::Gives);
        });
        simulation.start(2 * MINUTE).await.unwrap();
        assert!(simulation.holdings.is_ready());
        assert!((4..=12).contains(&simulation.broker.requests()), "{mood:?} {}", simulation.broker.requests());
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_broker_asks_to_wait_is_waited() {
    let mut simulation = Simulation::new(items());
    simulation.broker.set(Mood::Throttles(Some(50 * SECOND)));
    let ended = simulation.start(2 * MINUTE).await;
    assert!(matches!(ended, Err(Error::AskedToWait { seconds: 50 })), "{ended:?}");
    let times = simulation.broker.times();
    assert_eq!(times.len(), 3);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 50 * SECOND), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_ends_past_the_deadline_is_not_begun() {
    let mut simulation = Simulation::new(items());
    simulation.broker.set(Mood::Throttles(Some(HOUR)));
    let began = Instant::now();
    let ended = simulation.start(2 * MINUTE).await.unwrap_err();
    assert!(matches!(ended, Error::AskedToWait { seconds: 3600 }) && ended.exit_code() == 7, "{ended:?}");
    assert!(began.elapsed() < SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_stays_away_ends_the_start_by_its_deadline_with_what_it_said_last() {
    for seed in 1..20 {
        let mut simulation = Simulation::with(items(), RefreshSettings::DEFAULT, seed);
        simulation.broker.set(Mood::Unavailable);
        let began = Instant::now();
        let ended = simulation.start(2 * MINUTE).await;
        let tries = u32::try_from(simulation.broker.requests()).unwrap();
        assert!(matches!(ended, Err(Error::Unavailable { status: 503, tries: told }) if told == tries), "{ended:?}");
        assert!(began.elapsed() <= 2 * MINUTE && (6..30).contains(&tries), "{tries} tries");
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_hangs_ends_the_start_at_its_deadline() {
    let mut simulation = Simulation::new(items());
    simulation.broker.set(Mood::Hangs);
    let began = Instant::now();
    assert!(matches!(simulation.start(2 * MINUTE).await, Err(Error::TimedOut)));
    assert_eq!(began.elapsed().as_secs(), 120);
}

#[tokio::test(start_paused = true)]
async fn the_splay_comes_before_the_first_request_and_does_not_count() {
    let settings = RefreshSettings { splay: HOUR, ..RefreshSettings::DEFAULT };
    let mut times: Vec<Duration> = Vec::new();
    for seed in 0..40 {
        let mut simulation = Simulation::with(items(), settings, seed);
        simulation.start(SECOND).await.unwrap();
        times.push(simulation.broker.times()[0]);
    }
    assert!(times.iter().all(|time| *time < HOUR + SECOND));
    for quarter in 0..4_u32 {
        let within = |time: &&Duration| (quarter * HOUR / 4..(quarter + 1) * HOUR / 4).contains(*time);
        assert!(times.iter().filter(within).count() >= 3, "{times:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_there_is_nothing_to_obtain_nothing_is_asked() {
    let mut simulation = Simulation::new(Vec::new());
    simulation.start(SECOND).await.unwrap();
    assert_eq!(simulation.broker.requests(), 0);
    assert!(simulation.holdings.is_ready());
}
