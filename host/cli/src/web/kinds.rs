//! Media types by file name. Owns: one table. Must not know: files' contents.

/// The media type for a file's name; what is unknown is octets, which browsers save.
pub fn kind_of(name: &[u8]) -> &'static str {
    const UNKNOWN: &str = "application/octet-stream";
    let Some(dot) = name.iter().rposition(|octet| *octet == b'.') else {
        return by_whole_name(name).unwrap_or(UNKNOWN);
    };
    let mut extension = [0; 12];
    let given = &name[dot + 1..];
    let Some(lower) = extension.get_mut(..given.len()) else { return UNKNOWN };
    lower.copy_from_slice(given);
    lower.make_ascii_lowercase();
    by_extension(lower).unwrap_or(UNKNOWN)
}

fn by_whole_name(name: &[u8]) -> Option<&'static str> {
    const TEXTS: [&[u8]; 6] =
        [b"README", b"LICENSE", b"COPYING", b"Makefile", b"Dockerfile", b"NOTICE"];
    TEXTS.contains(&name).then_some(TEXT)
}

const TEXT: &str = "text/plain; charset=utf-8";

fn by_extension(extension: &[u8]) -> Option<&'static str> {
    Some(match extension {
        b"html" | b"htm" => "text/html; charset=utf-8",
        b"css" => "text/css; charset=utf-8",
        b"js" | b"mjs" => "text/javascript; charset=utf-8",
        b"json" | b"map" => "application/json",
        b"jsonl" | b"ndjson" => "application/x-ndjson",
        b"wasm" => "application/wasm",
        b"xml" => "application/xml",
        b"svg" => "image/svg+xml",
        b"png" => "image/png",
        b"jpg" | b"jpeg" => "image/jpeg",
        b"gif" => "image/gif",
        b"webp" => "image/webp",
        b"avif" => "image/avif",
        b"ico" => "image/x-icon",
        b"bmp" => "image/bmp",
        b"woff" => "font/woff",
        b"woff2" => "font/woff2",
        b"ttf" => "font/ttf",
        b"otf" => "font/otf",
        b"mp3" => "audio/mpeg",
        b"ogg" | b"oga" => "audio/ogg",
        b"opus" => "audio/opus",
        b"flac" => "audio/flac",
        b"wav" => "audio/wav",
        b"mp4" | b"m4v" => "video/mp4",
        b"webm" => "video/webm",
        b"mkv" => "video/x-matroska",
        b"mov" => "video/quicktime",
        b"pdf" => "application/pdf",
        b"zip" => "application/zip",
        b"gz" | b"tgz" => "application/gzip",
        b"bz2" => "application/x-bzip2",
        b"xz" => "application/x-xz",
        b"zst" => "application/zstd",
        b"tar" => "application/x-tar",
        b"7z" => "application/x-7z-compressed",
        b"csv" => "text/csv; charset=utf-8",
        b"txt" | b"log" | b"md" | b"rst" | b"toml" | b"yaml" | b"yml" | b"ini" | b"conf"
        | b"rs" | b"c" | b"h" | b"cc" | b"cpp" | b"hpp" | b"py" | b"go" | b"ts" | b"sh"
        | b"lock" | b"diff" | b"patch" => TEXT,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::kind_of;

    #[test]
    fn names_tell_kinds() {
        for (name, kind) in [
            ("index.html", "text/html; charset=utf-8"),
            ("A.JPG", "image/jpeg"),
            ("archive.tar.gz", "application/gzip"),
            ("README", "text/plain; charset=utf-8"),
            ("noidea", "application/octet-stream"),
            (".hidden", "application/octet-stream"),
            ("trailing.", "application/octet-stream"),
            ("x.averyveryverylongextension", "application/octet-stream"),
        ] {
            assert_eq!(kind_of(name.as_bytes()), kind, "{name}");
        }
    }
}
