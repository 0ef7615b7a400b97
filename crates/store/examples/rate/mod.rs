//! What the sagas of both rates write.

/// The facts of one write: about 600 bytes, as a call's answer and the next intent are.
pub(crate) const FACTS: &str = r#"[{"at":1767225600000000,"event":{"call_answered":{"step":1,"op":"action","attempt":1,"answer":{"outcome":"succeeded","sent":true,"output":{"reservation":"0b5f7c1e-54d1-7a61-b9a5-3d1f6a1c9a11","warehouse":"north-3","lines":[{"sku":"sku-4711","quantity":2,"price":"19.90"},{"sku":"sku-0815","quantity":1,"price":"7.50"}],"expires":"2026-11-22T13:06:00Z"}}}}},{"at":1767225600000100,"event":{"call_started":{"step":2,"op":"action","attempt":1}}}]"#;
