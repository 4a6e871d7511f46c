use aws_sdk_s3::{Client, error::SdkError, primitives::ByteStream, types::ServerSideEncryption};
use ports::{DeleteObject, ETag, Fault, ListObjects, Listed, Object, Precondition, ReadObject, WriteObject};
use protocol::Secret;

use crate::{Connection, connection::fault};

/// One S3 bucket.
#[derive(Clone, Debug)]
pub struct S3Bucket {
    client: Client,
    bucket: String,
}

impl S3Bucket {
    /// The bucket of this name.
    ///
    /// With a custom endpoint the bucket is addressed by path, since a name in front of it need not resolve.
    #[must_use]
    pub fn new(connection: &Connection, bucket: String) -> Self {
        let config = aws_sdk_s3::config::Builder::from(&connection.0)
            .force_path_style(connection.0.endpoint_url().is_some())
            .build();
        Self { client: Client::from_conf(config), bucket }
    }
}

impl ReadObject for S3Bucket {
    /// `s3:GetObject`. A missing object is [`Fault::Forbidden`] where the role may not list the bucket.
    async fn read(&self, key: &str, known: Option<&ETag>, limit: usize) -> Result<Option<Object>, Fault> {
        let get =
            self.client.get_object().bucket(&self.bucket).key(key).set_if_none_match(known.map(|tag| tag.0.clone()));
        let found = match get.send().await {
            Ok(found) => found,
            Err(SdkError::ServiceError(answer)) if answer.raw().status().as_u16() == 304 => return Ok(None),
            Err(error) => return Err(fault(&error)),
        };
        let length = usize::try_from(found.content_length().unwrap_or(i64::MAX)).unwrap_or(usize::MAX);
        if length > limit {
            return Err(Fault::Unusable("object is too large"));
        }
        let etag = ETag(found.e_tag.ok_or(Fault::Unusable("object without an entity tag"))?);
        Ok(Some(Object { bytes: bytes(found.body, length).await?, etag }))
    }
}

/// All of a body of at most `length` bytes, in one piece that never moves: a pool is secret, and larger than all else that a client holds.
async fn bytes(mut body: ByteStream, length: usize) -> Result<Secret<Vec<u8>>, Fault> {
    let mut bytes = Secret::new(Vec::with_capacity(length));
    while let Some(chunk) = body.try_next().await.map_err(|error| Fault::Unavailable(error.into()))? {
        if !bytes.append_within_capacity(&chunk) {
            return Err(Fault::Unusable("object is longer than it says"));
        }
    }
    Ok(bytes)
}

impl ListObjects for S3Bucket {
    /// `s3:ListBucket`.
    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, Fault> {
        let mut pages = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).into_paginator().send();
        let mut listed = Vec::new();
        while let Some(page) = pages.next().await {
            for object in page.map_err(|error| fault(&error))?.contents.unwrap_or_default() {
                if let (Some(key), Some(etag)) = (object.key, object.e_tag) {
                    listed.push(Listed { key, etag: ETag(etag) });
                }
            }
        }
        Ok(listed)
    }
}

impl WriteObject for S3Bucket {
    /// `s3:PutObject`.
    async fn write(
        &self,
        key: &str,
        bytes: Vec<u8>,
        content_type: &'static str,
        precondition: Precondition,
    ) -> Result<(), Fault> {
        let put = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .content_type(content_type)
            .server_side_encryption(ServerSideEncryption::Aes256)
            .body(ByteStream::from(bytes));
        let put = match precondition {
            Precondition::Absent => put.if_none_match("*"),
            Precondition::Unchanged(tag) => put.if_match(tag.0),
            Precondition::None => put,
        };
        put.send().await.map(|_| ()).map_err(|error| fault(&error))
    }
}

impl DeleteObject for S3Bucket {
    /// `s3:DeleteObject`. In a bucket with versions the object stays as a noncurrent version until its lifecycle ends it.
    async fn delete(&self, key: &str) -> Result<(), Fault> {
        let deleted = self.client.delete_object().bucket(&self.bucket).key(key).send().await;
        deleted.map(|_| ()).map_err(|error| fault(&error))
    }
}
