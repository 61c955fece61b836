//! Bytes in JSON: as text where they are text, else in base64.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Form {
    Text(String),
    Binary { base64: String },
}

/// Writes the bytes.
pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    let form = match std::str::from_utf8(bytes) {
        Ok(text) => Form::Text(text.to_owned()),
        Err(_) => Form::Binary { base64: STANDARD.encode(bytes) },
    };
    form.serialize(serializer)
}

/// Reads the bytes.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    match Form::deserialize(deserializer)? {
        Form::Text(text) => Ok(text.into_bytes()),
        Form::Binary { base64 } => STANDARD.decode(base64).map_err(serde::de::Error::custom),
    }
}

#[cfg(test)]
mod tests {
    use crate::recipe::plan::Content;

    #[test]
    fn text_stays_readable_and_every_byte_comes_back() {
        for (bytes, json) in [
            (&b"Port 22\n"[..], r#"{"regular":"Port 22\n"}"#),
            (&b""[..], r#"{"regular":""}"#),
            (&[0xff, 0, 1][..], r#"{"regular":{"base64":"/wAB"}}"#),
        ] {
            let content = Content::Regular(bytes.to_vec());
            assert_eq!(serde_json::to_string(&content).unwrap(), json);
            assert_eq!(serde_json::from_str::<Content>(json).unwrap(), content);
        }
    }
}
