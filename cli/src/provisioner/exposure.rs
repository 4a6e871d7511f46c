use crate::{
    Error,
    step_ca::{ListedProvisioner, StepCa},
};

/// How a CA gives out the encrypted private key of a provisioner. Who guesses its password signs tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// It does not.
    None,
    /// In its list of provisioners.
    Listed,
    /// To whoever asks for it by its id.
    Served,
}

/// A provisioner as the CA shows it to everybody.
#[derive(Clone, Debug)]
pub struct Shown {
    /// What it lists.
    pub provisioner: ListedProvisioner,
    /// Whether it gives out its key.
    pub exposure: Exposure,
}

impl Exposure {
    /// In words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::None => "not given out",
            Self::Listed => "listed",
            Self::Served => "given to who asks",
        }
    }
}

/// Every provisioner that the CA shows. Without any proof, as anybody would ask.
///
/// # Errors
/// As [`StepCa::provisioners`] and [`StepCa::encrypted_key`].
pub async fn shown(ca: &StepCa) -> Result<Vec<Shown>, Error> {
    let mut shown = Vec::new();
    for provisioner in ca.provisioners().await? {
        let exposure = if provisioner.lists_encrypted_key() {
            Exposure::Listed
        } else {
            match provisioner.kid() {
                Some(kid) if ca.encrypted_key(kid).await?.is_some() => Exposure::Served,
                Some(_) | None => Exposure::None,
            }
        };
        shown.push(Shown { provisioner, exposure });
    }
    Ok(shown)
}
