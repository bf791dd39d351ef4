//! The few words by which protocols that begin in the clear lead to TLS.
//!
//! Answers are read octet by octet: what follows them is the handshake's, and nothing that was said in the clear is taken
//! for a part of it.

use std::fmt::{Display, Formatter};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use certwright_core::api::certificate::StartTlsProtocol;
use clap::ValueEnum;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::Unreached;

/// How long a server may take until TLS can begin.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much it may say until then, in bytes.
const MAX_SAID: usize = 16 << 10;

/// A protocol that begins in the clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StartTls {
    /// Mail between servers (RFC 3207)
    Smtp,
    /// Mailboxes (RFC 9051 section 6.2.1)
    Imap,
    /// PostgreSQL's SSLRequest
    Postgres,
    /// MySQL's and MariaDB's SSLRequest
    Mysql,
    /// Directories (RFC 4511 section 4.14)
    Ldap,
}

impl From<StartTlsProtocol> for StartTls {
    fn from(protocol: StartTlsProtocol) -> Self {
        match protocol {
            StartTlsProtocol::Smtp => Self::Smtp,
            StartTlsProtocol::Imap => Self::Imap,
            StartTlsProtocol::Postgres => Self::Postgres,
            StartTlsProtocol::Mysql => Self::Mysql,
            StartTlsProtocol::Ldap => Self::Ldap,
        }
    }
}

impl Display for StartTls {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Smtp => "smtp",
            Self::Imap => "imap",
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
            Self::Ldap => "ldap",
        })
    }
}

/// Leads to the point where TLS begins.
pub(super) async fn begin(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    at: &str,
    starttls: StartTls,
) -> Result<(), Unreached> {
    let mut talk = Talk { stream, said: 0 };
    let led = async {
        match starttls {
            StartTls::Smtp => talk.smtp().await,
            StartTls::Imap => talk.imap().await,
            StartTls::Postgres => talk.postgres().await,
            StartTls::Mysql => talk.mysql().await,
            StartTls::Ldap => talk.ldap().await,
        }
    };
    match tokio::time::timeout(PATIENCE, led).await {
        Ok(led) => led.map_err(|problem| Unreached::NotStarted {
            at: at.to_owned(),
            starttls,
            problem: format!("{problem:#}"),
        }),
        Err(_) => Err(Unreached::Slow {
            at: at.to_owned(),
            step: "lead to TLS",
            patience: PATIENCE,
        }),
    }
}

struct Talk<S> {
    stream: S,
    said: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    async fn smtp(&mut self) -> anyhow::Result<()> {
        self.reply("220").await.context("its greeting")?;
        // A client without a name of its own gives an address (RFC 5321 section 4.1.3).
        self.say(b"EHLO [127.0.0.1]\r\n").await?;
        let offers = self.reply("250").await.context("its answer to EHLO")?;
        let offered = offers
            .iter()
            .any(|offer| offer.eq_ignore_ascii_case("STARTTLS"));
        ensure!(offered, "it does not offer STARTTLS");
        self.say(b"STARTTLS\r\n").await?;
        self.reply("220").await.context("its answer to STARTTLS")?;
        Ok(())
    }

    /// The lines of a reply, without its code (RFC 5321 section 4.2.1).
    async fn reply(&mut self, code: &str) -> anyhow::Result<Vec<String>> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().await?;
            let Some(rest) = line.strip_prefix(code) else {
                bail!("it says {}", told(&line));
            };
            match rest.chars().next() {
                None => lines.push(String::new()),
                Some(' ' | '-') => lines.push(rest[1..].trim().to_owned()),
                Some(_) => bail!("it says {}", told(&line)),
            }
            if !rest.starts_with('-') {
                return Ok(lines);
            }
        }
    }

    async fn imap(&mut self) -> anyhow::Result<()> {
        let greeting = self.line().await?;
        // Who is known already can't begin TLS any more.
        let greeted = greeting.to_ascii_uppercase().starts_with("* OK");
        ensure!(greeted, "it greets with {}", told(&greeting));
        self.say(b"a STARTTLS\r\n").await?;
        loop {
            let line = self.line().await?;
            if line.starts_with("* ") {
                continue;
            }
            let taken = line.to_ascii_uppercase().starts_with("A OK");
            ensure!(taken, "it says {}", told(&line));
            return Ok(());
        }
    }

    /// Source: PostgreSQL's documentation, "SSL Session Encryption".
    async fn postgres(&mut self) -> anyhow::Result<()> {
        const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
        self.say(&SSL_REQUEST).await?;
        match self.octet().await? {
            b'S' => Ok(()),
            b'N' => bail!("it is set up without TLS"),
            _ => bail!("it answers otherwise than PostgreSQL does"),
        }
    }

    /// Source: MySQL's documentation, "Protocol::HandshakeV10" and "Protocol::SSLRequest".
    async fn mysql(&mut self) -> anyhow::Result<()> {
        const PROTOCOL_41: u16 = 1 << 9;
        const SSL: u16 = 1 << 11;
        const SECURE_CONNECTION: u16 = 1 << 15;
        const UTF8_MB4: u8 = 45;
        let [low, middle, high, number] = self.octets().await?;
        let length = usize::from(low) | usize::from(middle) << 8 | usize::from(high) << 16;
        let greeting = self.several(length).await?;
        let Some((&version, rest)) = greeting.split_first() else {
            bail!("it greets with nothing");
        };
        ensure!(version != 0xff, "it refuses connections from here");
        ensure!(version == 10, "it greets otherwise than MySQL does");
        // The version's text and its end, the thread, 8 octets of a nonce, and a filler.
        let text = rest.iter().position(|octet| *octet == 0);
        let abilities = text.and_then(|text| rest.get(text + 1 + 4 + 8 + 1..)?.first_chunk());
        let abilities = u16::from_le_bytes(*abilities.context("its greeting breaks off")?);
        ensure!(abilities & SSL != 0, "it is set up without TLS");
        let mut request = vec![32, 0, 0, number.wrapping_add(1)];
        let wishes = u32::from(PROTOCOL_41 | SSL | SECURE_CONNECTION);
        request.extend(wishes.to_le_bytes());
        request.extend((1u32 << 24).to_le_bytes());
        request.push(UTF8_MB4);
        request.extend([0; 23]);
        self.say(&request).await
    }

    async fn ldap(&mut self) -> anyhow::Result<()> {
        // LDAPMessage 1: an ExtendedRequest of 1.3.6.1.4.1.1466.20037.
        const REQUEST: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";
        const SEQUENCE: u8 = 0x30;
        const INTEGER: u8 = 0x02;
        const EXTENDED_RESPONSE: u8 = 0x78;
        const ENUMERATED: u8 = 0x0a;
        self.say(REQUEST).await?;
        let length = self.header(SEQUENCE).await?;
        let end = self.said + length;
        let length = self.header(INTEGER).await?;
        let message = self.several(length).await?;
        self.header(EXTENDED_RESPONSE).await?;
        let length = self.header(ENUMERATED).await?;
        let result = self.several(length).await?;
        let rest = end
            .checked_sub(self.said)
            .context("its answer breaks off")?;
        self.several(rest).await?;
        ensure!(message == [1], "it answers something else");
        ensure!(result == [0], "it refuses, with result code {result:?}");
        Ok(())
    }

    /// The length of the next element, which must have this tag (RFC 4511 section 5.1, X.690 section 8.1).
    async fn header(&mut self, tag: u8) -> anyhow::Result<usize> {
        let [found, first] = self.octets().await?;
        ensure!(found == tag, "it answers otherwise than LDAP does");
        if first < 0x80 {
            return Ok(usize::from(first));
        }
        let octets = self.several(usize::from(first & 0x7f)).await?;
        ensure!((1..=4).contains(&octets.len()), "its answer has no length");
        let length = octets.iter();
        Ok(length.fold(0, |length, octet| length << 8 | usize::from(*octet)))
    }

    /// A line without its end.
    async fn line(&mut self) -> anyhow::Result<String> {
        let mut line = Vec::new();
        loop {
            match self.octet().await? {
                b'\n' => break,
                octet => line.push(octet),
            }
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    async fn octet(&mut self) -> anyhow::Result<u8> {
        let [octet] = self.octets().await?;
        Ok(octet)
    }

    async fn octets<const N: usize>(&mut self) -> anyhow::Result<[u8; N]> {
        let mut octets = [0; N];
        self.fill(&mut octets).await?;
        Ok(octets)
    }

    async fn several(&mut self, count: usize) -> anyhow::Result<Vec<u8>> {
        ensure!(count <= MAX_SAID, TOO_MUCH);
        let mut octets = vec![0; count];
        self.fill(&mut octets).await?;
        Ok(octets)
    }

    async fn fill(&mut self, octets: &mut [u8]) -> anyhow::Result<()> {
        self.said += octets.len();
        ensure!(self.said <= MAX_SAID, TOO_MUCH);
        self.stream.read_exact(octets).await.context("it hung up")?;
        Ok(())
    }

    async fn say(&mut self, octets: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(octets).await.context("it hung up")
    }
}

const TOO_MUCH: &str = "it says too much";

/// The beginning of what was said, with nothing in it that would move the cursor.
fn told(line: &str) -> String {
    const TOLD: usize = 200;
    let start: String = line.chars().take(TOLD).collect();
    format!("{start:?}")
}
