//! A client of the ssh-agent, as far as tokens take it: which keys it has, and a signature by one of them.
//!
//! Source: draft-ietf-sshm-ssh-agent. By hand, since the crates that speak it link `rsa` below 0.10 (RUSTSEC-2023-0071), which
//! `deny.toml` bans.

use std::{env, io, path::PathBuf, time::Duration};

use access_token::SshKey;
use ssh_encoding::{Decode as _, Encode as _, Reader as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::timeout,
};

use crate::TokenError;

/// The largest answer that is read, in bytes: the most that OpenSSH's agent sends.
const MAX_ANSWER_BYTES: u32 = 256 * 1024;

/// How long the agent may take to take a request, and to list its keys, which may be on another machine.
const PATIENCE: Duration = Duration::from_secs(5);

/// Message numbers (section 6.1).
const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// Asks an RSA key for SHA-512 (section 6.3), where without flags it signs with SHA-1.
const RSA_SHA2_512: u32 = 4;

/// An ssh-agent. Each request has a connection of its own, so that one that is given up leaves nothing behind.
#[derive(Clone, Debug)]
pub struct Agent {
    socket: PathBuf,
}

/// A key of the agent, of a kind that can sign for a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentKey {
    key: SshKey,
    /// How the agent knows it (RFC 4253 section 6.6).
    blob: Vec<u8>,
}

impl AgentKey {
    /// The public key.
    #[must_use]
    pub const fn key(&self) -> &SshKey {
        &self.key
    }
}

impl Agent {
    /// The agent that listens on this socket.
    #[must_use]
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// The agent that `SSH_AUTH_SOCK` names.
    ///
    /// # Errors
    /// [`TokenError::NoAgent`].
    pub fn from_environment() -> Result<Self, TokenError> {
        let socket = env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty());
        socket.map(Self::new).ok_or(TokenError::NoAgent)
    }

    /// Its keys, in its order. Those that no token is given for are left out: certificates, and kinds that [`SshKey`]
    /// does not accept.
    ///
    /// # Errors
    /// [`TokenError::Agent`], [`TokenError::SilentAgent`], [`TokenError::ForeignAgent`], [`TokenError::AgentRefused`].
    pub async fn keys(&self) -> Result<Vec<AgentKey>, TokenError> {
        let answer = timeout(PATIENCE, self.ask(&[REQUEST_IDENTITIES], IDENTITIES_ANSWER)).await;
        let answer = answer.map_err(|_| TokenError::SilentAgent)??;
        read_keys(&answer).map_err(|_| TokenError::ForeignAgent)
    }

    /// A signature in the form of RFC 4253 section 6.6, which the key's public half has verified. RSA keys sign with SHA-512.
    ///
    /// There is no limit in time: the agent may wait for a confirmation, or for a security key to be touched.
    ///
    /// # Errors
    /// As [`Agent::keys`]; [`TokenError::AgentRefused`] where the user does not allow it; [`TokenError::AgentSignature`].
    pub async fn sign(&self, key: &AgentKey, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        let flags = if key.key.algorithm() == "ssh-rsa" { RSA_SHA2_512 } else { 0 };
        let mut request = vec![SIGN_REQUEST];
        for part in [&key.blob[..], message] {
            part.encode(&mut request).expect("a key and a nonce are shorter than 4 GiB");
        }
        request.extend_from_slice(&flags.to_be_bytes());
        let answer = self.ask(&request, SIGN_RESPONSE).await?;
        let signature = read_signature(&answer).map_err(|_| TokenError::ForeignAgent)?;
        key.key.verify(message, &signature).map_err(TokenError::AgentSignature)?;
        Ok(signature)
    }

    /// Sends a request, and receives what follows the message number of the answer.
    async fn ask(&self, request: &[u8], expected: u8) -> Result<Vec<u8>, TokenError> {
        let failed = |source: io::Error| TokenError::Agent { socket: self.socket.clone(), source };
        let mut message = Vec::new();
        request.encode(&mut message).expect("a request is shorter than 4 GiB");
        let send = async {
            let mut stream = UnixStream::connect(&self.socket).await?;
            stream.write_all(&message).await?;
            Ok(stream)
        };
        let mut stream = timeout(PATIENCE, send).await.map_err(|_| TokenError::SilentAgent)?.map_err(failed)?;
        let length = stream.read_u32().await.map_err(failed)?;
        if !(1..=MAX_ANSWER_BYTES).contains(&length) {
            return Err(TokenError::ForeignAgent);
        }
        let mut answer = Vec::new();
        let read = stream.take(length.into()).read_to_end(&mut answer).await.map_err(failed)?;
        match answer.first() {
            _ if read < length as usize => Err(TokenError::ForeignAgent),
            Some(&FAILURE) => Err(TokenError::AgentRefused),
            Some(&number) if number == expected => Ok(answer.split_off(1)),
            _ => Err(TokenError::ForeignAgent),
        }
    }
}

fn read_keys(mut answer: &[u8]) -> Result<Vec<AgentKey>, ssh_encoding::Error> {
    let reader = &mut answer;
    let mut keys = Vec::new();
    for _ in 0..u32::decode(reader)? {
        let blob = Vec::<u8>::decode(reader)?;
        let comment = Vec::<u8>::decode(reader)?;
        if let Ok(key) = SshKey::from_blob(&blob, &String::from_utf8_lossy(&comment)) {
            keys.push(AgentKey { key, blob });
        }
    }
    answer.finish(keys)
}

fn read_signature(mut answer: &[u8]) -> Result<Vec<u8>, ssh_encoding::Error> {
    let signature = Vec::<u8>::decode(&mut answer)?;
    answer.finish(signature)
}

#[cfg(test)]
pub(crate) mod tests {
    use access_token::SignatureRefusal;
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
    use tokio::{net::UnixListener, task::JoinHandle};

    use super::*;

    /// Keys by their blobs' parts after the type.
    pub(crate) const ALICE: (&str, &[&[u8]]) = ("ssh-ed25519", &[&[1; 32]]);
    pub(crate) const BOB: (&str, &[&[u8]]) = ("ssh-ed25519", &[&[2; 32]]);
    pub(crate) const SECURITY_KEY: (&str, &[&[u8]]) = ("sk-ssh-ed25519@openssh.com", &[&[3; 32], b"ssh:"]);

    pub(crate) fn agent_key((kind, parts): (&str, &[&[u8]])) -> AgentKey {
        let blob = blob(kind, parts);
        AgentKey { key: SshKey::from_blob(&blob, kind).unwrap(), blob }
    }

    fn blob(kind: &str, parts: &[&[u8]]) -> Vec<u8> {
        let mut blob = Vec::new();
        kind.encode(&mut blob).unwrap();
        parts.iter().for_each(|part| part.encode(&mut blob).unwrap());
        blob
    }

    /// A message with its length.
    fn framed(message: &[u8]) -> Vec<u8> {
        let mut framed = Vec::new();
        message.encode(&mut framed).unwrap();
        framed
    }

    fn identities(keys: &[&[u8]]) -> Vec<u8> {
        let mut answer = vec![IDENTITIES_ANSWER];
        keys.len().encode(&mut answer).unwrap();
        for key in keys {
            key.encode(&mut answer).unwrap();
            "comment".encode(&mut answer).unwrap();
        }
        framed(&answer)
    }

    /// An agent that gives one answer, to be awaited for the request that it got, without its length.
    fn agent(answer: Vec<u8>) -> (tempfile::TempDir, Agent, JoinHandle<Vec<u8>>) {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent");
        let listener = UnixListener::bind(&socket).unwrap();
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; stream.read_u32().await.unwrap() as usize];
            stream.read_exact(&mut request).await.unwrap();
            // Who does not like the answer hangs up.
            let _ = stream.write_all(&answer).await;
            request
        });
        (folder, Agent::new(socket), task)
    }

    #[tokio::test]
    async fn keys_that_no_token_is_given_for_are_left_out() {
        let [alice, hardware] = [ALICE, SECURITY_KEY].map(agent_key);
        let certificate = blob("ssh-ed25519-cert-v01@openssh.com", &[&[0; 32], &[1; 32]]);
        let dsa = blob("ssh-dss", &[&[1; 128]]);
        let answer = identities(&[&certificate, &hardware.blob, &dsa, b"", &alice.blob]);
        let (_folder, agent, request) = agent(answer);
        let keys = agent.keys().await.unwrap();
        assert_eq!(keys.iter().map(|key| &key.blob).collect::<Vec<_>>(), [&hardware.blob, &alice.blob]);
        assert_eq!(keys[1].key.comment(), "comment");
        assert_eq!(request.await.unwrap(), [REQUEST_IDENTITIES]);
    }

    #[tokio::test]
    async fn a_signature_holds_before_it_is_used() {
        let pair = Ed25519KeyPair::generate().unwrap();
        let key = agent_key(("ssh-ed25519", &[pair.public_key().as_ref()]));
        for (signed, holds) in [(&b"message"[..], true), (b"another", false)] {
            let signature = blob("ssh-ed25519", &[pair.sign(signed).as_ref()]);
            let mut answer = vec![SIGN_RESPONSE];
            signature.encode(&mut answer).unwrap();
            let (_folder, agent, request) = agent(framed(&answer));
            match agent.sign(&key, b"message").await {
                Ok(found) => assert!(holds && found == signature),
                Err(error) => {
                    assert!(!holds && matches!(error, TokenError::AgentSignature(SignatureRefusal::WrongSignature)));
                }
            }
            let mut expected = vec![SIGN_REQUEST];
            [&key.blob[..], b"message"].iter().for_each(|part| part.encode(&mut expected).unwrap());
            expected.extend_from_slice(&[0; 4]);
            assert_eq!(request.await.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn rsa_signs_with_sha_512_and_never_with_sha_1() {
        let mut modulus = [0xff; 257];
        modulus[0] = 0;
        let key = agent_key(("ssh-rsa", &[&[1, 0, 1], &modulus]));
        let sha1 = blob("ssh-rsa", &[&[1; 256]]);
        let mut answer = vec![SIGN_RESPONSE];
        sha1.encode(&mut answer).unwrap();
        let (_folder, agent, request) = agent(framed(&answer));
        let refused = agent.sign(&key, b"message").await;
        assert!(matches!(refused, Err(TokenError::AgentSignature(SignatureRefusal::Sha1))));
        assert!(request.await.unwrap().ends_with(&[0, 0, 0, 4]));
    }

    #[tokio::test]
    async fn a_failure_is_told_from_garbage() {
        let (_folder, refusing, _request) = agent(framed(&[FAILURE]));
        assert!(matches!(refusing.keys().await, Err(TokenError::AgentRefused)));
        let oversized = (MAX_ANSWER_BYTES + 1).to_be_bytes().to_vec();
        let largest_number = [&[IDENTITIES_ANSWER][..], &[0xff; 4]].concat();
        let with_more = [&[IDENTITIES_ANSWER][..], &[0; 5]].concat();
        for garbage in [
            oversized,
            framed(b""),
            framed(&[SIGN_RESPONSE]),
            framed(&[IDENTITIES_ANSWER]),
            framed(&largest_number),
            framed(&with_more),
            vec![0, 0, 0, 5, IDENTITIES_ANSWER],
            b"HTTP/1.1 400 Bad Request".to_vec(),
        ] {
            let (_folder, agent, _request) = agent(garbage.clone());
            assert!(matches!(agent.keys().await, Err(TokenError::ForeignAgent)), "{garbage:?}");
        }
        let (_folder, hanging_up, _request) = agent(Vec::new());
        assert!(matches!(hanging_up.keys().await, Err(TokenError::Agent { .. })));
        assert!(matches!(Agent::new("/nonexistent").keys().await, Err(TokenError::Agent { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_agent_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent");
        let _listener = UnixListener::bind(&socket).unwrap();
        assert!(matches!(Agent::new(socket).keys().await, Err(TokenError::SilentAgent)));
    }
}
