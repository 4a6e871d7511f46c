use ports::{Fault, Folder, FolderSource, ListObjects, ParseFiles, ReadObject, Source};

use crate::{Policies, PolicyError};

/// The policies under a prefix of a bucket: every object whose key ends in `.cedar`.
#[derive(Clone, Debug)]
pub struct PolicySource<O>(FolderSource<O, PolicyFiles>);

#[derive(Clone, Debug)]
struct PolicyFiles {
    reserved: String,
}

impl<O> PolicySource<O> {
    /// Policies under `prefix`; for `reserved` see [`Policies::load`].
    pub const fn new(objects: O, prefix: String, reserved: String) -> Self {
        Self(FolderSource::new(objects, prefix, PolicyFiles { reserved }))
    }
}

impl ParseFiles for PolicyFiles {
    type Value = Policies;
    type Error = PolicyError;

    const NOUN: &'static str = "policies";
    const SUFFIX: &'static str = ".cedar";

    fn parse(&self, files: &[(&str, &str)]) -> Result<Policies, PolicyError> {
        Policies::load(files.iter().copied(), &self.reserved)
    }
}

impl<O: ReadObject + ListObjects> Source for PolicySource<O> {
    type Value = Folder<Policies>;

    async fn load(&self, known: Option<&Folder<Policies>>) -> Result<Option<Folder<Policies>>, Fault> {
        self.0.load(known).await
    }
}

#[cfg(test)]
mod tests {
    use ports::memory::MemoryObjects;

    use super::*;

    const PERMIT: &str = r#"permit (principal == Group::"web", action, resource);"#;

    #[tokio::test]
    async fn policies_are_the_cedar_files_and_a_bad_one_keeps_the_last_good_set() {
        let objects = MemoryObjects::default();
        let source = PolicySource::new(objects.clone(), "policies/".into(), "countersign".into());
        objects.put("policies/web.cedar", PERMIT);
        objects.put("policies/README.md", "not a policy");
        let good = source.load(None).await.unwrap().unwrap();
        assert_eq!(good.value.len(), 1);
        objects.put("policies/broken.cedar", "permit");
        assert!(source.load(Some(&good)).await.unwrap().is_none());
        assert!(matches!(source.load(None).await, Err(Fault::Unusable(_))));
        objects.put("policies/broken.cedar", PERMIT);
        assert_eq!(source.load(Some(&good)).await.unwrap().unwrap().value.len(), 2);
    }
}
