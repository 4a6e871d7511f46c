//! A FIDO authenticator in software, so that tests use OpenSSH's `sk-` keys where there is no device.
//!
//! It is a middleware library as OpenSSH's sk-api.h defines it: ssh-keygen and ssh-add name it (`-w`, `-S`,
//! `SSH_SK_PROVIDER`), ssh-sk-helper loads it. What it proves is what a device would prove to whoever verifies, but no
//! person is asked: whoever has the key's file has the key.
//!
//! The flags of a key say what a signature claims. User presence (0x01) is there unless the key was made with
//! `-O no-touch-required`; user verification (0x04) where it was made with `-O verify-required`. No PIN is asked for.
//!
//! The interface has had this layout since its version 9 (OpenSSH 8.9). OpenSSH loads a library of its own version
//! alone: the environment variable `AUTHENTICATOR_API` names the one to claim (unset: `0x000a0000`, that of OpenSSH 9.2
//! to 10.0). Version 11 adds a timeout as the last argument, which Linux's calling conventions let a callee ignore.

use std::env;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{copy_nonoverlapping, null_mut};
use std::slice;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::credential::{Credential, Failure};

#[forbid(unsafe_code)]
mod credential;

const USER_PRESENCE: u8 = 0x01;
const USER_VERIFICATION: u8 = 0x04;
const RESIDENT_KEY: u8 = 0x20;

unsafe extern "C" {
    fn calloc(count: usize, size: usize) -> *mut c_void;
}

/// A pointer and a length, as sk-api.h has them side by side. OpenSSH frees them.
#[derive(Clone, Copy)]
#[repr(C)]
struct Bytes {
    start: *mut u8,
    length: usize,
}

impl Bytes {
    const NONE: Self = Self { start: null_mut(), length: 0 };

    fn copy(bytes: &[u8]) -> Self {
        Self { start: give(bytes), length: bytes.len() }
    }
}

/// `struct sk_enroll_response`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct EnrollResponse {
    flags: u8,
    public_key: Bytes,
    key_handle: Bytes,
    signature: Bytes,
    attestation_cert: Bytes,
    authdata: Bytes,
}

/// `struct sk_sign_response`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct SignResponse {
    flags: u8,
    counter: u32,
    r: Bytes,
    s: Bytes,
}

/// The version of the interface.
#[unsafe(no_mangle)]
pub extern "C" fn sk_api_version() -> u32 {
    let named = env::var("AUTHENTICATOR_API").ok();
    named.and_then(|hex| u32::from_str_radix(hex.trim_start_matches("0x"), 16).ok()).unwrap_or(0x000a_0000)
}

/// Makes a key. Nothing attests to it, and none stays here (`-O resident`).
///
/// # Safety
/// `response` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sk_enroll(
    algorithm: u32,
    _challenge: *const u8,
    _challenge_length: usize,
    _application: *const c_char,
    flags: u8,
    _pin: *const c_char,
    _options: *const c_void,
    response: *mut *mut EnrollResponse,
) -> c_int {
    let made = || {
        if flags & RESIDENT_KEY != 0 {
            return Err(Failure::Unsupported);
        }
        let credential = Credential::generate(algorithm)?;
        Ok(EnrollResponse {
            flags,
            public_key: Bytes::copy(&credential.public_key()?),
            key_handle: Bytes::copy(&credential.handle()?),
            signature: Bytes::NONE,
            attestation_cert: Bytes::NONE,
            authdata: Bytes::NONE,
        })
    };
    // SAFETY: the caller's promise.
    unsafe { answer(made(), response) }
}

/// Signs. `data` is the message, not its hash.
///
/// # Safety
/// `data` and `key_handle` have the lengths given, `application` ends in a NUL, and `response` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sk_sign(
    algorithm: u32,
    data: *const u8,
    data_length: usize,
    application: *const c_char,
    key_handle: *const u8,
    key_handle_length: usize,
    flags: u8,
    _pin: *const c_char,
    _options: *const c_void,
    response: *mut *mut SignResponse,
) -> c_int {
    // SAFETY: the caller's promise.
    let (message, application, handle) = unsafe {
        (
            slice::from_raw_parts(data, data_length),
            CStr::from_ptr(application).to_bytes(),
            slice::from_raw_parts(key_handle, key_handle_length),
        )
    };
    let made = || {
        let flags = flags & (USER_PRESENCE | USER_VERIFICATION);
        let counter = counter();
        let credential = Credential::from_handle(algorithm, handle)?;
        let signature = credential.sign(application, flags, counter, message)?;
        let (r, s) = match credential {
            Credential::Ecdsa(_) => {
                let (r, s) = signature.as_ref().split_at(32);
                (Bytes::copy(r), Bytes::copy(s))
            }
            Credential::Ed25519(_) => (Bytes::copy(signature.as_ref()), Bytes::NONE),
        };
        Ok(SignResponse { flags, counter, r, s })
    };
    // SAFETY: the caller's promise.
    unsafe { answer(made(), response) }
}

/// Refuses: no key is resident.
#[unsafe(no_mangle)]
pub extern "C" fn sk_load_resident_keys(
    _pin: *const c_char,
    _options: *const c_void,
    _keys: *mut c_void,
    _count: *mut usize,
) -> c_int {
    Failure::Unsupported as c_int
}

/// The time, in seconds: ssh-sk-helper lives for one signature, so no number of this process goes up.
fn counter() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}

/// # Safety
/// `response` can be written to.
unsafe fn answer<T: Copy>(made: Result<T, Failure>, response: *mut *mut T) -> c_int {
    match made {
        Ok(made) => {
            // SAFETY: the caller's promise.
            unsafe { response.write(give(&[made])) };
            0
        }
        Err(failure) => failure as c_int,
    }
}

/// A copy of these values, of at least one, that C's `free` frees.
fn give<T: Copy>(values: &[T]) -> *mut T {
    // SAFETY: calloc answers with null or with new room for the values, aligned for every type of C's.
    unsafe {
        let room = calloc(values.len(), size_of::<T>()).cast::<T>();
        assert!(!room.is_null(), "out of memory");
        copy_nonoverlapping(values.as_ptr(), room, values.len());
        room
    }
}
