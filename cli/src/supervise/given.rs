use std::os::fd::OwnedFd;

use crate::{Error, deliver::Delivery, supervise::Environment};

/// What a process is given at its start.
#[derive(Debug)]
pub struct Given {
    /// Its variables.
    pub environment: Environment,
    /// Where it reads from.
    pub stdin: Stdin,
}

/// Where a process reads from.
#[derive(Debug)]
pub enum Stdin {
    /// Where this process reads from.
    Inherited,
    /// Nowhere.
    Nothing,
    /// This file.
    File(OwnedFd),
}

impl Given {
    /// These variables, and the items that a delivery has for variables and for standard input.
    ///
    /// # Errors
    /// As [`Delivery::environment`] and [`Delivery::stdin`].
    pub fn new(environment: &Environment, delivery: &Delivery) -> Result<Self, Error> {
        let stdin = delivery.stdin()?.map_or(Stdin::Inherited, Stdin::File);
        Ok(Self { environment: environment.with_items(delivery.environment()?), stdin })
    }
}
