use std::sync::{Arc, Mutex};

use ports::{
    Fault,
    memory::{Failing, FaultSwitch},
};

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is not done.
    Failing(Failing),
    /// The service refuses it.
    Invalid,
    /// Somebody else was first.
    Conflict,
    /// There is no such thing.
    Missing,
    /// It is done, and the answer is lost.
    Lost,
}

/// Which calls fail, by name or by their place among all; clones share it, and the log of what was called.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<Plan>>);

#[derive(Default)]
struct Plan {
    calls: Vec<&'static str>,
    named: Vec<(&'static str, Trouble)>,
    nth: Option<(usize, Trouble)>,
}

impl Faults {
    /// From now on every call of this name meets this.
    pub fn fail(&self, call: &'static str, trouble: Trouble) {
        self.0.lock().unwrap().named.push((call, trouble));
    }

    /// The call of this place, counted from 0 and from now on, meets this.
    pub fn fail_nth(&self, place: usize, trouble: Trouble) {
        let mut plan = self.0.lock().unwrap();
        plan.calls.clear();
        plan.nth = Some((place, trouble));
    }

    /// From now on nothing fails, and nothing was called.
    pub fn clear(&self) {
        *self.0.lock().unwrap() = Plan::default();
    }

    /// The names of the calls, in their order.
    pub fn calls(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().calls.clone()
    }

    /// Whether this was called.
    pub fn called(&self, call: &str) -> bool {
        self.calls().contains(&call)
    }

    /// A call: notes it, and does it unless it is to fail.
    pub async fn call<T>(
        &self,
        call: &'static str,
        act: impl Future<Output = Result<T, Fault>> + Send,
    ) -> Result<T, Fault> {
        let trouble = {
            let mut plan = self.0.lock().unwrap();
            plan.calls.push(call);
            let by_place = plan.nth.filter(|(place, _)| *place + 1 == plan.calls.len()).map(|(_, trouble)| trouble);
            let by_name = || plan.named.iter().rfind(|(name, _)| *name == call).map(|(_, trouble)| *trouble);
            by_place.or_else(by_name)
        };
        match trouble {
            None => act.await,
            Some(Trouble::Failing(failing)) => {
                let switch = FaultSwitch::default();
                switch.set(failing);
                switch.pass().await?;
                act.await
            }
            Some(Trouble::Invalid) => Err(Fault::Invalid("it is not to be".into())),
            Some(Trouble::Conflict) => Err(Fault::Conflict),
            Some(Trouble::Missing) => Err(Fault::Missing),
            Some(Trouble::Lost) => act.await.and(Err(Fault::Unavailable("the answer is lost".into()))),
        }
    }
}
