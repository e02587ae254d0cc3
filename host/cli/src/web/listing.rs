//! A directory as a page. Owns: reading names, and the HTML.
//! Must not know: how the directory was found or when the page is still good.

use super::path::{WebPath, encode_name};
use super::upload;
use crate::units;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Dir, FileType};
use std::cmp::Ordering;
use std::fmt::Write;
use std::io;

const STYLE: &str = include_str!("listing.css");
/// A drawing instead of a request for /favicon.ico.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 \
    32'%3E%3Crect width='32' height='32' rx='7' fill='%233056d3'/%3E%3Cpath d='M7 12h13l-4-4m9 \
    12H12l4 4' fill='none' stroke='%23fff' stroke-width='3' stroke-linecap='round' \
    stroke-linejoin='round'/%3E%3C/svg%3E";

struct Item {
    name: Vec<u8>,
    /// `None`: a symlink that leads nowhere, or something that is gone by now.
    state: Option<State>,
}

struct State {
    directory: bool,
    length: u64,
    modified: i64,
}

/// The page for `directory`, which is at `place`.
pub fn page(directory: OwnedFd, place: &WebPath) -> io::Result<String> {
    let mut items = read(directory)?;
    items.sort_by(order);
    let title = title(place);
    let mut page = page_start(&format!("Files in {title}"));
    page.push_str("<header><h1>");
    breadcrumbs(&mut page, place);
    page.push_str("</h1></header>\n");
    page.push_str(
        "<table><thead><tr><th>Name<th class=n>Size<th class=n>Modified (UTC)</thead>\n<tbody>\n",
    );
    if place.names().next().is_some() {
        page.push_str("<tr class=d><td><a href=\"../\">Parent directory</a><td><td>\n");
    }
    for item in &items {
        row(&mut page, item);
    }
    page.push_str("</tbody></table>\n");
    footer(&mut page, &items);
    Ok(page)
}

/// A page up to the start of its content, in the style all our plain pages share.
pub fn page_start(title: &str) -> String {
    let mut page = String::with_capacity(4096);
    page.push_str("<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n<title>");
    escape(&mut page, title);
    let _ = write!(
        page,
        "</title>\n<meta name=viewport content=\"width=device-width, initial-scale=1\">\n\
         <meta name=color-scheme content=\"light dark\">\n\
         <link rel=icon href=\"{ICON}\">\n<style>\n{STYLE}</style>\n<main>\n"
    );
    page
}

/// Appends text so that HTML reads it as text.
pub fn escape(page: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            '\'' => page.push_str("&#39;"),
            // Names may hold anything; control characters would garble the page.
            control if control.is_control() => page.push('\u{fffd}'),
            other => page.push(other),
        }
    }
}

fn read(directory: OwnedFd) -> io::Result<Vec<Item>> {
    let mut items = Vec::new();
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." || upload::is_unfinished(name) {
            continue;
        }
        let stat = rustix::fs::statat(&directory, entry.file_name(), AtFlags::empty());
        #[allow(clippy::unnecessary_cast, reason = "the types differ between architectures")]
        let state = stat.ok().map(|stat| State {
            directory: FileType::from_raw_mode(stat.st_mode) == FileType::Directory,
            length: u64::try_from(stat.st_size).unwrap_or(0),
            modified: stat.st_mtime as i64,
        });
        items.push(Item { name: name.to_vec(), state });
    }
    Ok(items)
}

/// Directories first; then by name, as a person orders them.
fn order(a: &Item, b: &Item) -> Ordering {
    b.is_directory().cmp(&a.is_directory()).then_with(|| {
        let lower = |item: &Item| item.name.to_ascii_lowercase();
        lower(a).cmp(&lower(b)).then_with(|| a.name.cmp(&b.name))
    })
}

impl Item {
    fn is_directory(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.directory)
    }
}

fn title(place: &WebPath) -> String {
    let names = place.names().map(|name| format!("/{}", String::from_utf8_lossy(name)));
    let title: String = names.collect();
    if title.is_empty() { "/".into() } else { title }
}

/// The path, each directory above a link to itself.
fn breadcrumbs(page: &mut String, place: &WebPath) {
    let names: Vec<&[u8]> = place.names().collect();
    let link = |page: &mut String, depth: usize, text: &str| {
        if depth == names.len() {
            page.push_str("<b>");
            escape(page, text);
            page.push_str("</b>");
        } else {
            let _ = write!(page, "<a href=\"{}\">", "../".repeat(names.len() - depth));
            escape(page, text);
            page.push_str("</a>");
        }
    };
    link(page, 0, "Files");
    for (index, name) in names.iter().enumerate() {
        page.push_str("<i>/</i>");
        link(page, index + 1, &String::from_utf8_lossy(name));
    }
}

fn row(page: &mut String, item: &Item) {
    let slash = if item.is_directory() { "/" } else { "" };
    let class = if item.is_directory() { " class=d" } else { "" };
    // "./" in front, or a name with a colon would read as a scheme.
    let _ = write!(page, "<tr{class}><td><a href=\"./{}{slash}\">", encode_name(&item.name));
    escape(page, &String::from_utf8_lossy(&item.name));
    let _ = write!(page, "{slash}</a>");
    match &item.state {
        None => page.push_str("<td class=n>&ndash;<td class=n>&ndash;\n"),
        Some(state) => {
            if state.directory {
                page.push_str("<td>");
            } else {
                let (exact, short) = (units::count(state.length), units::octets(state.length));
                let _ = write!(page, "<td class=n title=\"{exact}\">{short}");
            }
            let _ = writeln!(page, "<td class=n>{}", minute(state.modified));
        }
    }
}

fn footer(page: &mut String, items: &[Item]) {
    let directories = items.iter().filter(|item| item.is_directory()).count();
    let files = items.len() - directories;
    let directories = match directories {
        0 => String::new(),
        1 => "1 directory, ".into(),
        many => format!("{} directories, ", units::count(many as u64)),
    };
    let octets = items.iter().filter_map(|item| item.state.as_ref());
    let octets: u64 = octets.filter(|state| !state.directory).map(|state| state.length).sum();
    let _ = writeln!(
        page,
        "<footer><span>{directories}{}, {}</span><span>served by \
         <a href=\"/_usertcp/\">usertcp</a>, a TCP stack in user space</span></footer></main>",
        units::counted(files as u64, "file"),
        units::octets(octets),
    );
}

/// "2026-11-22 13:05" from seconds since 1970, in UTC.
fn minute(seconds: i64) -> String {
    let (days, time) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days to a date by eras of 400 years that start in March, so that the leap day is the last.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}", time / 3600, time / 60 % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00"),
            (-1, "1969-12-31 23:59"),
            (951_782_400, "2000-02-29 00:00"),
            (1_709_210_096, "2024-02-29 12:34"),
            (1_709_251_200, "2024-03-01 00:00"),
            (4_107_542_399, "2100-02-28 23:59"),
        ] {
            assert_eq!(minute(seconds), text);
        }
    }

    #[test]
    fn names_cannot_break_out() {
        let mut text = String::new();
        escape(&mut text, "<a href=\"x\">&'\n");
        assert_eq!(text, "&lt;a href=&quot;x&quot;&gt;&amp;&#39;\u{fffd}");
        let mut page = String::new();
        let item = Item { name: b"\"><script>:".to_vec(), state: None };
        row(&mut page, &item);
        assert!(page.contains("<a href=\"./%22%3E%3Cscript%3E:\">&quot;&gt;&lt;script&gt;:</a>"));
    }

    #[test]
    fn directories_come_first() {
        let item = |name: &str, directory| Item {
            name: name.into(),
            state: Some(State { directory, length: 0, modified: 0 }),
        };
        let mut items =
            [item("b", false), item("Z", true), item("a", true), item("A", false), item("c", true)];
        items.sort_by(order);
        let names: Vec<_> = items.iter().map(|item| String::from_utf8_lossy(&item.name)).collect();
        assert_eq!(names, ["a", "c", "Z", "A", "b"]);
    }
}
