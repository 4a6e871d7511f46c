use protocol::Secret;

use crate::Fault;

/// An entity tag, quotes included, as the store writes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ETag(pub String);

/// An object with its entity tag.
#[derive(Clone, Debug)]
pub struct Object {
    /// The content, which may be a pool.
    pub bytes: Secret<Vec<u8>>,
    /// Names this content.
    pub etag: ETag,
}

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Names its content.
    pub etag: ETag,
}

/// What must hold for a write to happen.
#[derive(Clone, Debug)]
pub enum Precondition {
    /// There is no object under the key.
    Absent,
    /// The object under the key still has this entity tag.
    Unchanged(ETag),
    /// Whatever there is.
    None,
}

/// Reads objects (Amazon S3 `GetObject`).
pub trait ReadObject: Send + Sync + 'static {
    /// Reads an object unless it still has the tag that the caller knows: then `None`.
    ///
    /// An object of more than `limit` bytes is [`Fault::Unusable`], and is not read.
    fn read(
        &self,
        key: &str,
        known: Option<&ETag>,
        limit: usize,
    ) -> impl Future<Output = Result<Option<Object>, Fault>> + Send;
}

/// Lists objects (Amazon S3 `ListObjectsV2`).
pub trait ListObjects: Send + Sync + 'static {
    /// Every object whose key starts with the prefix, in the order of keys.
    fn list(&self, prefix: &str) -> impl Future<Output = Result<Vec<Listed>, Fault>> + Send;
}

/// Writes objects (Amazon S3 `PutObject`, conditionally).
pub trait WriteObject: Send + Sync + 'static {
    /// Writes an object where the precondition holds; else [`Fault::Conflict`].
    fn write(
        &self,
        key: &str,
        bytes: Vec<u8>,
        content_type: &'static str,
        precondition: Precondition,
    ) -> impl Future<Output = Result<(), Fault>> + Send;
}

/// Deletes objects (Amazon S3 `DeleteObject`).
pub trait DeleteObject: Send + Sync + 'static {
    /// Deletes an object. That there is none is a success.
    fn delete(&self, key: &str) -> impl Future<Output = Result<(), Fault>> + Send;
}
