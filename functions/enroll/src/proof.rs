use access_token::VerifiedToken;
use axum::http::HeaderMap;
use policy::{BearerPrincipal, Principal};
use ports::{Clock as _, ReadRow as _};
use protocol::{Secret, SubjectName};

use crate::{
    Ports, Service, bearer,
    channel::Channel,
    code::{Code, OpenCode, compare_with_nothing},
    limits::count_try,
    order::Order,
    record::Record,
    stop::Stop,
};

/// What a request brings to prove who sends it.
#[derive(Debug)]
pub(crate) enum Credential<'a> {
    /// An access token.
    Bearer(&'a str),
    /// A code that was sent to the subject.
    Code { subject: SubjectName, code: Code },
}

/// An order by somebody who proved who it is. [`prove`] alone makes one.
pub(crate) struct Proven {
    order: Order,
    holder: Holder,
}

/// Who gets the one-time token.
pub(crate) enum Holder {
    Bearer {
        token: VerifiedToken,
        /// Its scope, as text.
        scope: String,
    },
    Subject {
        subject: SubjectName,
        open: OpenCode,
    },
}

impl<'a> Credential<'a> {
    /// The one credential of a request. `code` is that for the subject, where there is one.
    pub(crate) fn read(headers: &'a HeaderMap, code: Option<(SubjectName, Secret<String>)>) -> Result<Self, Stop> {
        match (bearer::shown(headers), code) {
            (None, None) => Err(Stop::refused("no_proof")),
            (Some(_), Some(_)) => Err(Stop::malformed("two_proofs")),
            (Some(token), None) => Ok(Self::Bearer(token?)),
            (None, Some((subject, code))) => {
                let code = Code::parse(code).ok_or(Stop::malformed("malformed_code"))?;
                Ok(Self::Code { subject, code })
            }
        }
    }
}

/// Verifies what was brought. A code is not spent by this.
pub(crate) async fn prove<P: Ports>(
    service: &Service<P>,
    record: &mut Record<'_>,
    order: Order,
    credential: Credential<'_>,
) -> Result<Proven, Stop> {
    let holder = match credential {
        Credential::Bearer(token) => {
            let token = bearer::verify(service, record, token).await?;
            let scope = token.claims().scope.to_string();
            Holder::Bearer { token, scope }
        }
        Credential::Code { subject, code } => {
            if !order.is_of(&subject) {
                return Err(Stop::refused("wrong_certificate"));
            }
            let open = open_code(service, record, &subject, &code).await?;
            record.channel = open.channel;
            Holder::Subject { subject, open }
        }
    };
    Ok(Proven { order, holder })
}

/// The subject's open code, where this is it. Whatever there is, the work is the same: a row is read, a try is counted, an HMAC is
/// compared.
async fn open_code<P: Ports>(
    service: &Service<P>,
    record: &Record<'_>,
    subject: &SubjectName,
    code: &Code,
) -> Result<OpenCode, Stop> {
    let caller = record.caller;
    let key = service.code_key.get(&service.clock).await.map_err(|fault| Stop::fault("code_key", &fault, caller))?;
    let now = service.clock.unix_seconds();
    let found = service.ledger.row(&OpenCode::key(subject)).await;
    let found = found.map_err(|fault| Stop::fault("ledger", &fault, caller))?.and_then(OpenCode::from_record);
    // Before it is compared: of tries that come at once no more are compared than may be.
    let may_try = count_try(service, subject, found.as_ref(), caller, now).await?;
    let Some(open) = found else {
        compare_with_nothing(code, subject, &key.key);
        return Err(Stop::refused("no_code"));
    };
    let is_right = open.is(code, subject, &key.key);
    if open.is_over(now) {
        Err(Stop::refused("ended_code"))
    } else if !may_try {
        Err(Stop::refused("tries"))
    } else if !is_right {
        Err(Stop::refused("wrong_code"))
    } else {
        Ok(open)
    }
}

impl Proven {
    /// Ends the custody, for policy alone.
    pub(crate) fn into_parts(self) -> (Order, Holder) {
        (self.order, self.holder)
    }
}

impl Holder {
    /// As policy sees it.
    pub(crate) fn principal(&self) -> Principal<'_> {
        match self {
            Self::Bearer { token, scope } => {
                Principal::Bearer(BearerPrincipal { subject: &token.claims().subject, scope })
            }
            Self::Subject { subject, .. } => Principal::Subject(subject.as_str()),
        }
    }

    /// By which its code went.
    pub(crate) fn channel(&self) -> Option<Channel> {
        match self {
            Self::Bearer { .. } => None,
            Self::Subject { open, .. } => open.channel,
        }
    }

    /// Its name, for the record.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Bearer { token, .. } => &token.claims().subject,
            Self::Subject { subject, .. } => subject.as_str(),
        }
    }
}
