use protocol::{Grant, Secret};

use crate::{
    config::{ItemName, VariableName},
    deliver::DeliveryError,
    refresh::ItemValue,
};

/// How the names of a role's three variables end: those of AWS's own follow the prefix `AWS`.
const ACCESS_KEY_ID: &str = "_ACCESS_KEY_ID";
const SECRET_ACCESS_KEY: &str = "_SECRET_ACCESS_KEY";
const SESSION_TOKEN: &str = "_SESSION_TOKEN";

/// The variables that an item goes to: one, or the three of a role's credentials.
///
/// # Errors
/// [`DeliveryError::NoVariable`] where a value is not text, or holds a NUL.
pub(crate) fn variables(
    item: &ItemName,
    name: &VariableName,
    value: &ItemValue,
) -> Result<Vec<(String, Secret<String>)>, DeliveryError> {
    let variable = |ending: &str, value: &[u8]| {
        let no_variable = |reason| DeliveryError::NoVariable { item: item.clone(), reason };
        let text = str::from_utf8(value).map_err(|_| no_variable("it is not UTF-8"))?;
        if text.contains('\0') {
            return Err(no_variable("it holds a NUL"));
        }
        Ok((format!("{name}{ending}"), Secret::new(text.to_owned())))
    };
    match value.grant() {
        Grant::Aws(credentials) => Ok(vec![
            variable(ACCESS_KEY_ID, credentials.access_key_id.as_bytes())?,
            variable(SECRET_ACCESS_KEY, credentials.secret_access_key.expose().as_bytes())?,
            variable(SESSION_TOKEN, credentials.session_token.expose().as_bytes())?,
        ]),
        Grant::Secret(_) | Grant::AccessToken(_) => Ok(vec![variable("", value.expose())?]),
    }
}
