use std::io::{self, Read as _};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA512, digest};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use protocol::{Group, MAX_POOL_BYTES, Manifest, Pool, Secret};
use semver::Version;
use tar::{Archive, Builder, EntryType, Header};

use crate::{Error, PackageName, document::PackageJson};

/// The largest package that is fetched, as it comes.
pub(crate) const MAX_PACKED_BYTES: usize = 2 * MAX_POOL_BYTES;

/// The most that is unpacked of one: the largest pool, and room for the rest.
const MAX_UNPACKED_BYTES: u64 = (MAX_POOL_BYTES + 4 * 1024 * 1024) as u64;

/// The folder that everything in a package is in.
const FOLDER: &str = "package";

const POOL: &str = "build/info2048.bin";
const PUBLIC_KEY: &str = "build/public.pem";

/// The time that npm gives to every file, so that equal contents make equal packages.
const MTIME: u64 = 499_162_500;

/// A package as it goes to a registry.
pub(crate) struct Packed {
    pub(crate) json: PackageJson,
    pub(crate) tarball: Secret<Vec<u8>>,
}

impl Packed {
    /// Packs a group's material.
    ///
    /// # Errors
    /// [`Error::Malformed`] where the manifest's server key is none.
    ///
    /// # Panics
    /// Never: nothing is written but memory.
    pub(crate) fn new(name: &PackageName, version: Version, manifest: &Manifest, pool: &Pool) -> Result<Self, Error> {
        let pem =
            manifest.server_key.to_pem().map_err(|_| Error::Malformed("the manifest's server key is not valid"))?;
        let json = PackageJson::new(name, version, manifest);
        let files = [
            ("package.json", serde_json::to_vec_pretty(&json).expect("a description serializes")),
            (&Manifest::key(&manifest.group), manifest.to_json()),
            (PUBLIC_KEY, pem.into_bytes()),
        ];
        let mut archive = Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
        let files = files.iter().map(|(path, bytes)| (*path, bytes.as_slice()));
        for (path, bytes) in files.chain([(POOL, pool.expose())]) {
            let mut header = Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_mtime(MTIME);
            archive.append_data(&mut header, format!("{FOLDER}/{path}"), bytes).expect("memory takes what is written");
        }
        let tarball = archive.into_inner().and_then(GzEncoder::finish).expect("memory takes what is written");
        Ok(Self { json, tarball: Secret::new(tarball) })
    }
}

/// A group's manifest and pool out of a package; whatever else it holds is passed over.
///
/// Nothing is written to disk, links are not followed, and no more than a few pools' size is unpacked.
///
/// # Errors
/// [`Error::Malformed`] where it is no gzipped tar, or lacks one of the two, or one is too large.
pub(crate) fn unpack(tarball: &[u8], group: &Group) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let wanted = [(Manifest::key(group), Manifest::MAX_BYTES), (POOL.to_owned(), MAX_POOL_BYTES)];
    let mut found = [None, None];
    let mut archive = Archive::new(GzDecoder::new(tarball).take(MAX_UNPACKED_BYTES));
    let read = || -> io::Result<()> {
        for entry in archive.entries()? {
            let mut entry = entry?;
            let path = entry.path_bytes();
            let name = path.strip_prefix(FOLDER.as_bytes()).and_then(|path| path.strip_prefix(b"/"));
            let place = wanted.iter().position(|(wanted, _)| name == Some(wanted.as_bytes()));
            let Some(place) = place.filter(|_| entry.header().entry_type() == EntryType::Regular) else { continue };
            let limit = wanted[place].1;
            if entry.size() > limit as u64 || found[place].is_some() {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let mut bytes = Vec::with_capacity(limit.min(usize::try_from(entry.size()).unwrap_or(limit)));
            entry.read_to_end(&mut bytes)?;
            found[place] = Some(bytes);
        }
        Ok(())
    };
    let ended = { read }();
    let [manifest, pool] = found;
    ended.map_err(|_| Error::Malformed("not a package"))?;
    manifest.zip(pool).ok_or(Error::Malformed("a package without this group's material"))
}

/// The digest by which a registry names a package's content (W3C Subresource Integrity).
pub(crate) fn integrity(tarball: &[u8]) -> String {
    format!("sha512-{}", BASE64_STANDARD.encode(digest(&SHA512, tarball)))
}

/// The digest that registries asked for before; nothing relies on it.
pub(crate) fn shasum(tarball: &[u8]) -> String {
    hex::encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, tarball))
}

#[cfg(test)]
mod tests {
    use protocol::{KeySize, MIN_POOL_BYTES, PoolEntry, ServerKey};

    use super::*;

    fn material() -> (Manifest, Pool) {
        let group: Group = "web".parse().unwrap();
        let pool = Pool::new(vec![b'x'; MIN_POOL_BYTES]).unwrap();
        let key = ServerKey::from_pem(ServerKey::generate(KeySize::Rsa2048).expose()).unwrap();
        let entry = PoolEntry::of(&group, &pool);
        (Manifest::first(group, "a".into(), "https://broker.example".into(), key.public().clone(), entry), pool)
    }

    fn tarball(files: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
        let mut archive = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (path, kind, bytes) in files {
            let mut header = Header::new_ustar();
            header.set_entry_type(*kind);
            header.set_size(bytes.len() as u64);
            // Not by `set_path`, which refuses what must be refused here.
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            if *kind != EntryType::Regular {
                header.set_link_name("/etc/passwd").unwrap();
            }
            header.set_cksum();
            archive.append(&header, *bytes).unwrap();
        }
        archive.into_inner().unwrap().finish().unwrap()
    }

    #[test]
    fn what_was_packed_unpacks_and_equal_material_makes_equal_packages() {
        let (manifest, pool) = material();
        let name = "@acme/keys".parse().unwrap();
        let pack = || Packed::new(&name, Version::new(1, 0, 0), &manifest, &pool).unwrap().tarball.take();
        assert_eq!(pack(), pack());
        let (json, bytes) = unpack(&pack(), &manifest.group).unwrap();
        assert_eq!((Manifest::from_json(&json).unwrap(), bytes.as_slice()), (manifest.clone(), pool.expose()));
        assert!(matches!(unpack(&pack(), &"batch".parse().unwrap()), Err(Error::Malformed(_))), "another group's");
    }

    #[test]
    fn what_is_no_package_of_ours_is_refused() {
        let group = "web".parse().unwrap();
        let (manifest, pool) = ("package/groups/web/manifest.json", "package/build/info2048.bin");
        let file = EntryType::Regular;
        assert!(
            unpack(&tarball(&[(manifest, file, b"{}"), (pool, file, b"x"), ("package/a", file, b"")]), &group).is_ok()
        );
        let bomb = vec![0; usize::try_from(MAX_UNPACKED_BYTES).unwrap() + 1];
        for (name, bytes) in [
            ("nothing", Vec::new()),
            ("not_gzip", b"not gzip".to_vec()),
            ("no_pool", tarball(&[(manifest, file, b"{}")])),
            ("no_manifest", tarball(&[(pool, file, b"x")])),
            ("outside", tarball(&[("package/../package/build/info2048.bin", file, b"x"), (manifest, file, b"{}")])),
            ("absolute", tarball(&[("/package/build/info2048.bin", file, b"x"), (manifest, file, b"{}")])),
            ("a_link", tarball(&[(pool, EntryType::Symlink, b""), (manifest, file, b"{}")])),
            ("a_hard_link", tarball(&[(pool, EntryType::Link, b""), (manifest, file, b"{}")])),
            ("twice", tarball(&[(pool, file, b"x"), (pool, file, b"y"), (manifest, file, b"{}")])),
            ("a_large_manifest", tarball(&[(pool, file, b"x"), (manifest, file, &[b' '; Manifest::MAX_BYTES + 1])])),
            ("a_large_pool", tarball(&[(manifest, file, b"{}"), (pool, file, &bomb[..MAX_POOL_BYTES + 1])])),
            ("a_bomb", tarball(&[("package/bomb", file, &bomb), (manifest, file, b"{}"), (pool, file, b"x")])),
        ] {
            assert!(matches!(unpack(&bytes, &group), Err(Error::Malformed(_))), "{name}");
        }
    }
}
