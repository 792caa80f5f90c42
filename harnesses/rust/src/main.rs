//! Asks one verifier of AWS Nitro attestation documents about every case of the conformance suite:
//! reads one JSON object per line from standard input and writes one answer per line.
//!
//! This file is complete. Replace `verify` in verifier.rs with a call to the verifier under test.

mod verifier;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{stderr, stdin, stdout, BufRead, Write};
use std::os::unix::io::AsFd;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::process::exit;

use base64::{engine::general_purpose::STANDARD, Engine};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The requirements of the caller. Values of PCRs, and the three expected values, are hexadecimal,
/// in lower case; `None` means: not checked.
#[derive(Deserialize, Debug)]
pub struct Policy {
    /// `enclave` or `nitrotpm`.
    pub kind: String,
    /// The document matches one of them; empty: any.
    pub pcrs: Vec<BTreeMap<u32, String>>,
    pub nonce: Option<String>,
    pub user_data: Option<String>,
    pub public_key: Option<String>,
    pub max_age_ms: Option<i64>,
    pub allow_debug: bool,
    /// How far the verifier's clock may be behind.
    pub clock_skew_ms: i64,
}

/// The result of one verification.
#[derive(Serialize)]
#[serde(tag = "result", rename_all = "lowercase")]
pub enum Answer {
    /// A valid document that meets the policy.
    Accept,
    /// Any other document. Both members are for people.
    Reject { code: String, message: String },
    /// The verifier lacks a feature that the case needs.
    Unsupported { message: String },
}

#[derive(Deserialize)]
struct Request {
    protocol: u32,
    id: String,
    time: Option<String>,
    document: Option<String>,
    root: Option<String>,
    policy: Option<Policy>,
    policy_file: Option<Value>,
    revocation: Option<Value>,
}

#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    #[serde(flatten)]
    answer: Answer,
}

fn unsupported(feature: &str) -> Answer {
    Answer::Unsupported {
        message: feature.to_owned(),
    }
}

fn answer(asked: &Request) -> Answer {
    if asked.policy_file.is_some() {
        return unsupported("policy files");
    }
    if asked.revocation.is_some() {
        return unsupported("revocation lists");
    }
    let (document, root, time, policy) =
        match (&asked.document, &asked.root, &asked.time, &asked.policy) {
            (Some(document), Some(root), Some(time), Some(policy)) => {
                (document, root, time, policy)
            }
            _ => return unsupported("images"),
        };
    let document = STANDARD.decode(document).expect("base64");
    // None: the document's own time.
    let time = if time == "document" {
        None
    } else {
        Some(milliseconds(time).expect("a time"))
    };
    // A panic ends the process, which the suite counts as a crash in this case.
    let call = AssertUnwindSafe(|| verifier::verify(&document, root, time, policy));
    catch_unwind(call).unwrap_or_else(|_| {
        eprintln!("{}: the verifier panicked", asked.id);
        exit(70)
    })
}

/// Milliseconds since 1970 of a time such as `2026-03-01T12:00:00.250Z`.
fn milliseconds(time: &str) -> Option<i64> {
    let number = |from: usize, to: usize| time.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    // A year that begins in March ends with the leap day.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days = 365 * year + leap_days + (153 * month + 2) / 5 + day - 719_469;
    let minutes = (days * 24 + number(11, 13)?) * 60 + number(14, 16)?;
    Some((minutes * 60 + number(17, 19)?) * 1000 + number(20, 23)?)
}

fn main() {
    // What the verifier prints is not an answer: it goes to standard error.
    let answers = stdout()
        .as_fd()
        .try_clone_to_owned()
        .expect("standard output");
    rustix::stdio::dup2_stdout(stderr()).expect("standard error");
    let mut output = File::from(answers);
    for line in stdin().lock().lines() {
        let asked: Request = serde_json::from_str(&line.expect("input")).expect("a request");
        assert_eq!(asked.protocol, 1, "unknown protocol");
        let answer = Line {
            id: &asked.id,
            answer: answer(&asked),
        };
        let text = serde_json::to_string(&answer).expect("an answer") + "\n";
        output.write_all(text.as_bytes()).expect("output");
    }
}
