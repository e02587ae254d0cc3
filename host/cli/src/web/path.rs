//! A URL's path as a place below the root. Owns: percent coding and what a path may contain.
//! Must not know: what is at the place.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A place below the root: names with slashes between, none of them "." or "..".
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WebPath {
    relative: Vec<u8>,
    /// Whether the URL ended with a slash: a directory is meant.
    pub slash: bool,
}

/// What stands for itself in a path segment (RFC 3986 §3.3), less what HTML treats specially.
const SEGMENT: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

impl WebPath {
    /// From a URL's path, which starts with a slash. `None` when no file can be there: it climbs
    /// ("..", in any coding), has a coded slash or a NUL in a name, or is not well coded.
    pub fn parse(path: &str) -> Option<WebPath> {
        let rest = path.strip_prefix('/')?;
        let mut relative = Vec::with_capacity(rest.len());
        for segment in rest.split('/').filter(|segment| !segment.is_empty()) {
            if !relative.is_empty() {
                relative.push(b'/');
            }
            let start = relative.len();
            if !well_coded(segment.as_bytes()) {
                return None;
            }
            relative.extend(percent_decode(segment.as_bytes()));
            let name = &relative[start..];
            if matches!(name, b"." | b"..") || name.iter().any(|octet| matches!(octet, 0 | b'/')) {
                return None;
            }
        }
        Some(WebPath { slash: path.ends_with('/'), relative })
    }

    /// The place, relative to the root; "." is the root itself.
    pub fn relative(&self) -> &Path {
        let octets = if self.relative.is_empty() { b"." } else { self.relative.as_slice() };
        Path::new(OsStr::from_bytes(octets))
    }

    /// The names from the root down.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.relative.split(|octet| *octet == b'/').filter(|name| !name.is_empty())
    }

    /// The last name, and the place it is in. `None` for the root.
    pub fn split_last(&self) -> Option<(&Path, &OsStr)> {
        let name = self.names().last()?;
        let parent = self.relative.len() - name.len();
        let parent = match parent {
            0 => b".".as_slice(),
            end => &self.relative[..end - 1],
        };
        Some((Path::new(OsStr::from_bytes(parent)), OsStr::from_bytes(name)))
    }
}

/// Whether every percent sign has two hexadecimal digits.
fn well_coded(segment: &[u8]) -> bool {
    segment.iter().enumerate().filter(|(_, octet)| **octet == b'%').all(|(at, _)| {
        segment.get(at + 1..at + 3).is_some_and(|pair| pair.iter().all(u8::is_ascii_hexdigit))
    })
}

/// A file's name as a segment of a URL's path.
pub fn encode_name(name: &[u8]) -> String {
    percent_encode(name, &SEGMENT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn places_below_the_root() {
        for (path, relative, slash) in [
            ("/", ".", true),
            ("//", ".", true),
            ("/a", "a", false),
            ("/a/b/", "a/b", true),
            ("/a//b", "a/b", false),
            ("/a%20b%C3%A4", "a bä", false),
            ("/%2e%2e%2e", "...", false),
            ("/..a", "..a", false),
        ] {
            let parsed = WebPath::parse(path).unwrap();
            assert_eq!((parsed.relative(), parsed.slash), (Path::new(relative), slash), "{path}");
        }
    }

    #[test]
    fn nothing_else() {
        for path in [
            "",
            "a",
            "*",
            "/..",
            "/../etc",
            "/a/../../etc",
            "/%2e%2e/etc",
            "/.%2E/x",
            "/.",
            "/a/./b",
            "/a%2Fb",
            "/%00",
            "/a%",
            "/a%2",
            "/a%zz",
            "/%2e%2e%2fetc",
        ] {
            assert_eq!(WebPath::parse(path), None, "{path}");
        }
    }

    #[test]
    fn parents_and_names() {
        let split = |path| {
            let parsed = WebPath::parse(path)?;
            let (parent, name) = parsed.split_last()?;
            Some(format!("{} {}", parent.display(), name.display()))
        };
        assert_eq!(split("/a"), Some(". a".into()));
        assert_eq!(split("/a/b%20c"), Some("a b c".into()));
        assert_eq!(split("/a/b/c"), Some("a/b c".into()));
        assert_eq!(split("/"), None);
    }

    proptest! {
        #[test]
        fn any_name_comes_back(name in prop::collection::vec(1u8.., 1..40)) {
            prop_assume!(!name.contains(&b'/') && name != b"." && name != b"..");
            let parsed = WebPath::parse(&format!("/{}", encode_name(&name))).unwrap();
            prop_assert_eq!(parsed.relative().as_os_str().as_bytes(), &name[..]);
        }

        #[test]
        fn no_path_climbs(path in "/[a./%2eE]{0,20}") {
            if let Some(parsed) = WebPath::parse(&path) {
                prop_assert!(parsed.names().all(|name| name != b".." && name != b"."));
            }
        }
    }
}
