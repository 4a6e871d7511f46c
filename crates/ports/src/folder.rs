use std::{error::Error, str};

use futures_util::future::try_join_all;

use crate::{Fault, ListObjects, Listed, ReadObject, Source, chain};

/// The largest file, in bytes.
const MAX_FILE_BYTES: usize = 256 * 1024;

/// Makes one value of all files of a folder.
pub trait ParseFiles: Send + Sync + 'static {
    /// What is made of them.
    type Value: Send + Sync + 'static;
    /// What can be wrong with them.
    type Error: Error + 'static;

    /// What the log calls what they hold, in the plural.
    const NOUN: &'static str;
    /// How the keys of the files end; other objects are passed over.
    const SUFFIX: &'static str;

    /// Parses files, given in the order of their names by name, without the folder's prefix, and text.
    ///
    /// # Errors
    /// What is wrong with a file; then none is used.
    fn parse(&self, files: &[(&str, &str)]) -> Result<Self::Value, Self::Error>;
}

/// The files under a prefix of a bucket, parsed together.
#[derive(Clone, Debug)]
pub struct FolderSource<O, P> {
    objects: O,
    prefix: String,
    parser: P,
}

/// A value with the files that it was made of.
#[derive(Debug)]
pub struct Folder<V> {
    files: Vec<(Listed, Vec<u8>)>,
    /// The value.
    pub value: V,
}

#[derive(Debug, thiserror::Error)]
enum Invalid<E: Error + 'static> {
    #[error("file is not UTF-8: {0}")]
    NotText(String),
    #[error(transparent)]
    Parser(E),
}

impl<O, P> FolderSource<O, P> {
    /// The files under `prefix`.
    pub const fn new(objects: O, prefix: String, parser: P) -> Self {
        Self { objects, prefix, parser }
    }
}

impl<O, P: ParseFiles> FolderSource<O, P> {
    fn parse(&self, files: &[(Listed, Vec<u8>)]) -> Result<P::Value, Invalid<P::Error>> {
        let named = files.iter().map(|(file, bytes)| {
            let name = file.key.strip_prefix(&self.prefix).unwrap_or(&file.key);
            str::from_utf8(bytes).map(|text| (name, text)).map_err(|_| Invalid::NotText(name.to_owned()))
        });
        self.parser.parse(&named.collect::<Result<Vec<_>, _>>()?).map_err(Invalid::Parser)
    }
}

impl<O: ReadObject + ListObjects, P: ParseFiles> Source for FolderSource<O, P> {
    type Value = Folder<P::Value>;

    /// Lists, and where anything was added, changed or removed, reads what was added or changed, all at once.
    ///
    /// Files that are not valid leave the known value in force, for as long as they are so. Without a known value they
    /// are [`Fault::Unusable`].
    async fn load(&self, known: Option<&Self::Value>) -> Result<Option<Self::Value>, Fault> {
        let mut files = self.objects.list(&self.prefix).await?;
        files.retain(|file| file.key.ends_with(P::SUFFIX));
        let known_files = known.map(|known| known.files.as_slice()).unwrap_or_default();
        if known.is_some() && known_files.iter().map(|(file, _)| file).eq(&files) {
            return Ok(None);
        }
        let files = files.iter().map(async |file| match known_files.iter().find(|(known, _)| known == file) {
            Some(known) => Ok(known.clone()),
            None => {
                let object = self.objects.read(&file.key, None, MAX_FILE_BYTES).await?;
                let mut object = object.ok_or(Fault::Missing)?;
                // Under the tag that was read: by now it may be another than the listed one.
                Ok((Listed { key: file.key.clone(), etag: object.etag }, object.bytes.take()))
            }
        });
        let files = try_join_all(files).await?;
        match self.parse(&files) {
            Ok(value) => {
                tracing::info!(files = files.len(), "{} loaded", P::NOUN);
                Ok(Some(Folder { files, value }))
            }
            Err(error) => {
                let keeping = known.is_some();
                tracing::error!(error = chain(&error), keeping_last_good_set = keeping, "{} are not valid", P::NOUN);
                known.map_or(Err(Fault::Unusable("files are not valid")), |_| Ok(None))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::memory::{Failing, MemoryObjects};

    /// The numbers in the files, by file.
    #[derive(Clone, Debug)]
    struct Numbers;

    impl ParseFiles for Numbers {
        type Value = Vec<(String, u32)>;
        type Error = std::num::ParseIntError;

        const NOUN: &'static str = "numbers";
        const SUFFIX: &'static str = ".txt";

        fn parse(&self, files: &[(&str, &str)]) -> Result<Self::Value, Self::Error> {
            files.iter().map(|(name, text)| Ok(((*name).to_owned(), text.parse()?))).collect()
        }
    }

    fn source(objects: &MemoryObjects) -> FolderSource<MemoryObjects, Numbers> {
        FolderSource::new(objects.clone(), "numbers/".into(), Numbers)
    }

    fn of(files: &[(&str, u32)]) -> Vec<(String, u32)> {
        files.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect()
    }

    #[tokio::test]
    async fn files_are_loaded_and_reloaded_only_when_one_changes() {
        let objects = MemoryObjects::default();
        let source = source(&objects);
        assert!(source.load(None).await.unwrap().unwrap().value.is_empty());
        objects.put("numbers/b.txt", "2");
        objects.put("numbers/README.md", "not a number");
        objects.put("others/c.txt", "not a number");
        let first = source.load(None).await.unwrap().unwrap();
        assert_eq!(first.value, of(&[("b.txt", 2)]));
        assert!(source.load(Some(&first)).await.unwrap().is_none());

        objects.put("numbers/a.txt", "1");
        let second = source.load(Some(&first)).await.unwrap().unwrap();
        assert_eq!(second.value, of(&[("a.txt", 1), ("b.txt", 2)]));
        objects.put("numbers/b.txt", "3");
        let third = source.load(Some(&second)).await.unwrap().unwrap();
        assert_eq!(third.value, of(&[("a.txt", 1), ("b.txt", 3)]));
        objects.remove("numbers/b.txt");
        assert_eq!(source.load(Some(&third)).await.unwrap().unwrap().value, of(&[("a.txt", 1)]));
    }

    #[tokio::test]
    async fn files_are_read_at_once_and_those_that_did_not_change_not_again() {
        let objects = MemoryObjects::default();
        for file in 0..200 {
            objects.put(&format!("numbers/{file}.txt"), "1");
        }
        objects.switch.set(Failing::Slow(Duration::from_millis(20)));
        let source = source(&objects);
        let load = source.load(None);
        let first = tokio::time::timeout(Duration::from_secs(2), load).await.expect("not one after another");
        let first = first.unwrap().unwrap();
        assert_eq!(first.value.len(), 200);
        let reads = objects.reads();
        objects.put("numbers/0.txt", "2");
        assert!(source.load(Some(&first)).await.unwrap().is_some());
        assert_eq!(objects.reads() - reads, 1);
    }

    #[tokio::test]
    async fn a_file_that_is_not_valid_keeps_the_last_good_set() {
        let objects = MemoryObjects::default();
        let source = source(&objects);
        objects.put("numbers/a.txt", "1");
        let good = source.load(None).await.unwrap().unwrap();
        for bad in [b"one".as_slice(), b"\xff"] {
            objects.put("numbers/b.txt", bad);
            assert!(source.load(Some(&good)).await.unwrap().is_none());
            assert!(matches!(source.load(None).await, Err(Fault::Unusable(_))));
        }
        objects.put("numbers/b.txt", "2");
        assert_eq!(source.load(Some(&good)).await.unwrap().unwrap().value, of(&[("a.txt", 1), ("b.txt", 2)]));
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_fails_the_load() {
        let objects = MemoryObjects::default();
        let source = source(&objects);
        objects.put("numbers/a.txt", "1");
        objects.put("numbers/large.txt", vec![b'0'; MAX_FILE_BYTES + 1]);
        assert!(matches!(source.load(None).await, Err(Fault::Unusable(_))));
        objects.switch.set(Failing::Unavailable);
        assert!(matches!(source.load(None).await, Err(Fault::Unavailable(_))));
    }
}
