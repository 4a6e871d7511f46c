//! Servers that are no broker.
#![allow(dead_code, unreachable_pub, clippy::panic, clippy::unwrap_used, reason = "each test file uses its part")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, UNIX_EPOCH},
};

use tempfile::TempDir;

/// A server that gives one answer to everything, as long as the process lives.
pub struct Stub {
    /// Where it is.
    pub url: String,
}

impl Stub {
    /// An empty answer of this status.
    pub fn of(status: u16) -> Self {
        Self::answering(format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"))
    }

    /// A broker's health, at this Unix time in seconds.
    pub fn healthy_at(time: u64) -> Self {
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(time));
        Self::healthy(&format!("date: {date}\r\n"))
    }

    /// A broker's health, without a date.
    pub fn timeless() -> Self {
        Self::healthy("")
    }

    fn healthy(header: &str) -> Self {
        let body = r#"{"status":"ok"}"#;
        let length = body.len();
        Self::answering(format!(
            "HTTP/1.1 200 OK\r\nconnection: close\r\n{header}content-length: {length}\r\n\r\n{body}"
        ))
    }

    fn answering(answer: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that leaves is no trouble.
                let _ = give(stream, &answer);
            }
        });
        Self { url }
    }
}

fn give(mut stream: TcpStream, answer: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    let (mut head, mut part) = (Vec::new(), [0; 1024]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut part)? {
            0 => return Ok(()),
            // No HTTP: answered all the same.
            _ if !part[0].is_ascii() || part[0] < b' ' => break,
            read => head.extend_from_slice(&part[..read]),
        }
    }
    stream.write_all(answer.as_bytes())
}

/// OpenSSL's server with a certificate that it signed itself, until it is dropped.
pub struct TlsServer {
    /// Where it is.
    pub url: String,
    /// Its certificate, in PEM.
    pub certificate: PathBuf,
    process: Child,
    _folder: TempDir,
}

impl TlsServer {
    /// A server of pages about the connection.
    pub fn self_signed() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
            .args(["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut process = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-www", "-cert"])
            .arg(&certificate)
            .arg("-key")
            .arg(&key)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = lines.find_map(|line| line.unwrap().strip_prefix("ACCEPT ").map(str::to_owned)).unwrap();
        // What it says afterwards is read, so that it can go on.
        thread::spawn(move || lines.for_each(drop));
        Self { url: format!("https://{address}"), certificate, process, _folder: folder }
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
