//! Fast Open cookies that scripts name. Owns: their values, for the addresses of each mode.
//! Must not know: how the stack makes them. These are Linux's, as its own tests have them.

use crate::options::Mode;
use std::borrow::Cow;

/// Name; value with IPv4, with IPv6. The first is of a key of zeros, the second of the key that
/// `defaults.sh` sets.
const NAMED: [(&str, &str, &str); 2] = [
    ("TFO_COOKIE_ZERO", "b7c12350a90dc8f5", "82af1a8f9a205c34"),
    ("TFO_COOKIE", "3021b9d889017eeb", "c1d1e9742a47a9bc"),
];

/// The text with the names of cookies replaced by their digits.
pub fn named(text: &str, mode: Mode) -> Cow<'_, str> {
    let mut out = Cow::Borrowed(text);
    for (name, v4, v6) in NAMED {
        if out.contains(name) {
            out = Cow::Owned(out.replace(name, if mode.v6 { v6 } else { v4 }));
        }
    }
    out
}
