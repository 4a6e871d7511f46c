use countersign::{KeyKind, SubjectFields};

/// Whose certificate it is.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Subject")]
pub(crate) struct SubjectArgs {
    /// CN of the subject.
    #[arg(long, value_name = "NAME")]
    common_name: Option<String>,
    /// O of the subject.
    #[arg(long, value_name = "NAME")]
    organization: Option<String>,
    /// OU of the subject.
    #[arg(long, value_name = "NAME")]
    organizational_unit: Option<String>,
    /// L of the subject.
    #[arg(long, value_name = "NAME")]
    locality: Option<String>,
    /// ST of the subject.
    #[arg(long, value_name = "NAME")]
    state_name: Option<String>,
    /// C of the subject: two capital letters.
    #[arg(long, value_name = "CC")]
    country: Option<String>,
    /// emailAddress of the subject.
    #[arg(long, value_name = "ADDRESS")]
    email_address: Option<String>,
}

impl SubjectArgs {
    pub(crate) fn fields(&self) -> SubjectFields {
        SubjectFields {
            common_name: self.common_name.clone(),
            organization: self.organization.clone(),
            organizational_unit: self.organizational_unit.clone(),
            locality: self.locality.clone(),
            state_name: self.state_name.clone(),
            country: self.country.clone(),
            email_address: self.email_address.clone(),
        }
    }
}

pub(crate) fn key_kind(text: &str) -> Result<KeyKind, String> {
    match text {
        "ec-p256" => Ok(KeyKind::EcdsaP256),
        "rsa-2048" => Ok(KeyKind::Rsa2048),
        _ => Err("ec-p256 or rsa-2048".into()),
    }
}

pub(crate) fn days(text: &str) -> Result<u32, String> {
    text.parse().ok().filter(|days| *days > 0).ok_or_else(|| "not a number of days".into())
}
