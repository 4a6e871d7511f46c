use futures_util::future::try_join_all;
use ports::{Fault, ListObjects, Listed, ReadObject, Source, chain};

use crate::Policies;

/// The largest policy file, in bytes.
const MAX_FILE_BYTES: usize = 256 * 1024;

/// The policies under a prefix of a bucket: every object whose key ends in `.cedar`.
#[derive(Clone, Debug)]
pub struct PolicySource<O> {
    objects: O,
    prefix: String,
    reserved: String,
}

/// Policies with the files that they were loaded from.
#[derive(Debug)]
pub struct LoadedPolicies {
    files: Vec<(Listed, String)>,
    /// The policies.
    pub policies: Policies,
}

impl<O> PolicySource<O> {
    /// Policies under `prefix`; for `reserved` see [`Policies::load`].
    pub const fn new(objects: O, prefix: String, reserved: String) -> Self {
        Self { objects, prefix, reserved }
    }
}

impl<O: ReadObject + ListObjects> Source for PolicySource<O> {
    type Value = LoadedPolicies;

    /// Lists, and where anything was added, changed or removed, reads what was added or changed, all at once.
    ///
    /// Files that are not valid leave the known set in force, for as long as they are so. Without a known set they
    /// are [`Fault::Unusable`].
    async fn load(&self, known: Option<&LoadedPolicies>) -> Result<Option<LoadedPolicies>, Fault> {
        let mut files = self.objects.list(&self.prefix).await?;
        files.retain(|file| file.key.ends_with(".cedar"));
        let known_files = known.map(|known| known.files.as_slice()).unwrap_or_default();
        if known.is_some() && known_files.iter().map(|(file, _)| file).eq(&files) {
            return Ok(None);
        }
        let files = files.iter().map(async |file| match known_files.iter().find(|(known, _)| known == file) {
            Some(known) => Ok(known.clone()),
            None => {
                let object = self.objects.read(&file.key, None, MAX_FILE_BYTES).await?;
                let mut object = object.ok_or(Fault::Missing)?;
                let text = String::from_utf8(object.bytes.take()).unwrap_or_else(|_| "not UTF-8".into());
                // Under the tag that was read: by now it may be another than the listed one.
                Ok((Listed { key: file.key.clone(), etag: object.etag }, text))
            }
        });
        let files = try_join_all(files).await?;
        let named = files.iter().map(|(file, text)| {
            let name = file.key.strip_prefix(&self.prefix).unwrap_or(&file.key);
            (name, text.as_str())
        });
        match Policies::load(named, &self.reserved) {
            Ok(policies) => {
                tracing::info!(files = files.len(), policies = policies.len(), "policies loaded");
                Ok(Some(LoadedPolicies { files, policies }))
            }
            Err(error) => {
                let keeping = known.is_some();
                tracing::error!(error = chain(&error), keeping_last_good_set = keeping, "policies are not valid");
                known.map_or(Err(Fault::Unusable("policies are not valid")), |_| Ok(None))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ports::memory::{Failing, MemoryObjects};

    use super::*;

    const PERMIT: &str = r#"permit (principal == Group::"web", action, resource);"#;

    fn source(objects: &MemoryObjects) -> PolicySource<MemoryObjects> {
        PolicySource::new(objects.clone(), "policies/".into(), "countersign".into())
    }

    #[tokio::test]
    async fn files_are_loaded_and_reloaded_only_when_one_changes() {
        let objects = MemoryObjects::default();
        objects.put("policies/web.cedar", PERMIT);
        objects.put("policies/README.md", "not a policy");
        let first = source(&objects).load(None).await.unwrap().unwrap();
        assert_eq!(first.policies.len(), 1);
        assert!(source(&objects).load(Some(&first)).await.unwrap().is_none());

        objects.put("policies/batch.cedar", PERMIT);
        let second = source(&objects).load(Some(&first)).await.unwrap().unwrap();
        assert_eq!(second.policies.len(), 2);
        objects.remove("policies/web.cedar");
        assert_eq!(source(&objects).load(Some(&second)).await.unwrap().unwrap().policies.len(), 1);
    }

    #[tokio::test]
    async fn files_are_read_at_once_and_those_that_did_not_change_not_again() {
        let objects = MemoryObjects::default();
        for file in 0..200 {
            objects.put(&format!("policies/{file}.cedar"), PERMIT);
        }
        objects.switch.set(Failing::Slow(Duration::from_millis(20)));
        let source = source(&objects);
        let load = source.load(None);
        let first = tokio::time::timeout(Duration::from_secs(2), load).await.expect("not one after another");
        let first = first.unwrap().unwrap();
        assert_eq!(first.policies.len(), 200);
        let reads = objects.reads();
        objects.put("policies/0.cedar", PERMIT);
        assert!(source.load(Some(&first)).await.unwrap().is_some());
        assert_eq!(objects.reads() - reads, 1);
    }

    #[tokio::test]
    async fn a_file_that_is_not_valid_keeps_the_last_good_set() {
        let objects = MemoryObjects::default();
        objects.put("policies/web.cedar", PERMIT);
        let good = source(&objects).load(None).await.unwrap().unwrap();
        objects.put("policies/broken.cedar", "permit");
        assert!(source(&objects).load(Some(&good)).await.unwrap().is_none());
        assert!(matches!(source(&objects).load(None).await, Err(Fault::Unusable(_))));
    }
}
