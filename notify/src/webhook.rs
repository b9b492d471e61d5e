//! Webhooks, signed as [Standard Webhooks](https://www.standardwebhooks.com) has it: `webhook-signature` is the HMAC-SHA256
//! of `ID.TIMESTAMP.BODY` under the secret that both know, in base64 behind `v1,`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use plimsoll_schemas::Instant;
use reqwest::Url;
use sha2::Sha256;

use crate::message::Message;
use crate::receiver::{Http, NotifyError};

/// What a secret begins with, before its base64.
const PREFIX: &str = "whsec_";

/// A key, and how it is written: `whsec_` and base64 of 24 to 64 bytes.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// The key that a text has.
    pub fn read(text: &str) -> Option<Secret> {
        let key = STANDARD.decode(text.strip_prefix(PREFIX)?).ok()?;
        (24..=64).contains(&key.len()).then_some(Secret(key))
    }

    fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        // Any length is a key of HMAC.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return String::new() };
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// Sends a message; whoever gets it twice knows it by its id.
pub async fn post(
    http: &Http,
    address: &Url,
    secret: &Secret,
    message: &Message,
    now: Instant,
) -> Result<(), NotifyError> {
    let timestamp = now.0.div_euclid(1_000_000);
    let signature = secret.sign(&message.id, timestamp, &message.body);
    let headers = [
        ("webhook-id", message.id.clone()),
        ("webhook-timestamp", timestamp.to_string()),
        ("webhook-signature", signature),
    ];
    http.post(address, "application/json", message.body.clone(), &headers).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_specification() {
        // The example of the specification's reference implementations.
        let secret = Secret::read("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret");
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_has_a_prefix_and_enough_bytes() {
        for wrong in ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_c2hvcnQ=", "whsec_?"] {
            assert!(Secret::read(wrong).is_none(), "{wrong}");
        }
    }
}
