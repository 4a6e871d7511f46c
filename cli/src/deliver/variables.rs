use protocol::{Grant, Secret};

use crate::{
    config::{ItemName, VariableName},
    deliver::DeliveryError,
    refresh::ItemValue,
};

/// The variables that an item goes to: one, or the three of a role's credentials.
///
/// # Errors
/// [`DeliveryError::NoVariable`] where a value is not text, or holds a NUL.
pub(crate) fn variables(
    item: &ItemName,
    name: &VariableName,
    value: &ItemValue,
) -> Result<Vec<(String, Secret<String>)>, DeliveryError> {
    let variable = |name: String, value: &[u8]| {
        let no_variable = |reason| DeliveryError::NoVariable { item: item.clone(), reason };
        let text = str::from_utf8(value).map_err(|_| no_variable("it is not UTF-8"))?;
        if text.contains('\0') {
            return Err(no_variable("it holds a NUL"));
        }
        Ok((name, Secret::new(text.to_owned())))
    };
    match value.grant() {
        Grant::Aws(credentials) => {
            let [id, key, token] = name.of_role();
            Ok(vec![
                variable(id, credentials.access_key_id.as_bytes())?,
                variable(key, credentials.secret_access_key.expose().as_bytes())?,
                variable(token, credentials.session_token.expose().as_bytes())?,
            ])
        }
        Grant::Secret(_) | Grant::AccessToken(_) | Grant::EnrollmentToken(_) => {
            Ok(vec![variable(name.to_string(), value.expose())?])
        }
    }
}
