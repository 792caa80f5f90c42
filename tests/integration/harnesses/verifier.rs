use serde_json::json;

use crate::{unsupported, Answer, Policy};

/// Follows a fixed rule: test_harnesses.py describes it.
pub fn verify(document: &[u8], root: &str, time: Option<i64>, policy: &Policy) -> Answer {
    println!("noise");
    match document {
        b"accept" => return Answer::Accept,
        b"unsupported" => return unsupported("this"),
        b"crash" => panic!("as the test wants it"),
        _ => {}
    }
    let hex: String = document.iter().map(|byte| format!("{byte:02x}")).collect();
    let time = time.map_or("document".to_owned(), |time| time.to_string());
    let requirements = json!({
        "kind": policy.kind,
        "pcrs": policy.pcrs,
        "nonce": policy.nonce,
        "user_data": policy.user_data,
        "public_key": policy.public_key,
        "max_age_ms": policy.max_age_ms,
        "allow_debug": policy.allow_debug,
        "clock_skew_ms": policy.clock_skew_ms,
    });
    let message = format!("{hex} {} {time} {requirements}", root.len());
    Answer::Reject { code: "probe".to_owned(), message }
}
