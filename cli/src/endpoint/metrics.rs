use std::fmt;

use axum::http::StatusCode;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _, MetricEncoder, prometheus_text},
    metrics::{
        MetricType,
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::ConstGauge,
    },
    registry::Registry,
};

use crate::{
    config::ItemName,
    endpoint::route::Route,
    refresh::{Holdings, ItemState},
};

pub(crate) use prometheus_text::CONTENT_TYPE;

/// What the agent counts, in the text form that Prometheus reads. Names of items, times and numbers: nothing secret.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Answered, Counter>,
}

/// How often the broker was asked, and how it went.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) given: u64,
    pub(crate) failed: u64,
    pub(crate) throttled: u64,
    pub(crate) pulls: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    route: &'static str,
    status: u32,
}

/// What is read when it is asked for.
struct Read<A> {
    holdings: Holdings,
    asked: A,
}

/// What is told of each item.
struct OfItems<'a> {
    name: &'static str,
    help: &'static str,
    /// Of an item's state, and whether it may be used.
    number: &'a dyn Fn(&ItemState) -> Option<u64>,
}

impl Metrics {
    pub(crate) fn new(holdings: Holdings, asked: impl Fn() -> Asked + Send + Sync + 'static) -> Self {
        let mut registry = Registry::default();
        let requests = Family::<Answered, Counter>::default();
        let help = "Requests to the endpoint, by what was asked for and the status of the answer";
        registry.register("countersign_endpoint_requests", help, requests.clone());
        registry.register_collector(Box::new(Read { holdings, asked }));
        Self { registry, requests }
    }

    pub(crate) fn count(&self, route: Route, status: StatusCode) {
        self.requests.get_or_create(&Answered { route: route.label(), status: status.as_u16().into() }).inc();
    }

    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl<A> fmt::Debug for Read<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Read")
    }
}

impl<A: Fn() -> Asked + Send + Sync + 'static> Collector for Read<A> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let now = self.holdings.now();
        for of_items in [
            OfItems {
                name: "countersign_item_usable",
                help: "Whether the item is there and not past its use-by.",
                number: &|state| Some(state.is_usable(now).into()),
            },
            OfItems {
                name: "countersign_item_use_by_seconds",
                help: "From when on the item may not be used, Unix time.",
                number: &|state| state.use_by,
            },
            OfItems {
                name: "countersign_item_obtained_seconds",
                help: "When the broker last gave the item, Unix time.",
                number: &|state| state.obtained_at,
            },
            OfItems {
                name: "countersign_item_failures",
                help: "How often the item failed since the broker last gave it.",
                number: &|state| Some(state.failures.into()),
            },
        ] {
            of_items.encode(&self.holdings, &mut encoder)?;
        }
        let Asked { given, failed, throttled, pulls } = (self.asked)();
        let help = "Exchanges with the broker, by how they ended.";
        let mut family = encoder.encode_descriptor("countersign_exchanges", help, None, MetricType::Counter)?;
        for (outcome, number) in [("given", given), ("failed", failed), ("throttled", throttled)] {
            ConstCounter::new(number).encode(family.encode_family(&[("outcome", outcome)])?)?;
        }
        let help = "How often material was pulled.";
        let pulled = encoder.encode_descriptor("countersign_pulls", help, None, MetricType::Counter)?;
        ConstCounter::new(pulls).encode(pulled)
    }
}

impl OfItems<'_> {
    fn encode(&self, holdings: &Holdings, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut family = encoder.encode_descriptor(self.name, self.help, None, MetricType::Gauge)?;
        for item in holdings.items() {
            if let Some(number) = (self.number)(&holdings.state(&item.name)) {
                gauge(&mut family, &item.name, number)?;
            }
        }
        Ok(())
    }
}

fn gauge(family: &mut MetricEncoder<'_>, item: &ItemName, number: u64) -> fmt::Result {
    ConstGauge::new(number).encode(family.encode_family(&[("item", item.as_str())])?)
}
