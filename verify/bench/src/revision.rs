//! Which commit the sources are of, for the build script: a program tells what it was built from, wherever it is run.
//!
//! Owns: what git says of a checkout, and which files say that it would say something else. Must not know: cargo.
//!
//! Git is asked and its files are not read: only it knows every form in which references are kept.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What is compiled into the bench, from the checkout's root on. Nothing else makes it differ from its commit.
pub const SOURCES: [&str; 6] =
    ["Cargo.toml", "Cargo.lock", "core", "devices", "host/usertcp", "verify/bench"];

/// What is known of a checkout.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Revision {
    /// The short name of the commit; with `+changes` where sources differ from it, files that git does not know included.
    pub name: String,
    /// Files, or directories, that change when another commit is checked out or made. All exist.
    pub watched: Vec<PathBuf>,
}

/// Of the checkout whose root this is; none where it is not one (an unpacked archive, in another checkout too), or
/// git is not there.
pub fn of(root: &Path) -> Option<Revision> {
    let top = PathBuf::from(git(root, &["rev-parse", "--show-toplevel"])?);
    if top.canonicalize().ok()? != root.canonicalize().ok()? {
        return None;
    }
    let commit = git(root, &["rev-parse", "--short", "HEAD"])?;
    let status = ["--no-optional-locks", "status", "--porcelain", "--"];
    let changed = !git(root, &[&status[..], &SOURCES].concat())?.is_empty();
    let name = commit + if changed { "+changes" } else { "" };
    Some(Revision { name, watched: watched(root) })
}

/// HEAD, and the branch it names: a file of its own or a line of `packed-refs`. The next commit makes a file of it in
/// a directory that is there.
fn watched(root: &Path) -> Vec<PathBuf> {
    let path = |name: &str| {
        let path = git(root, &["rev-parse", "--git-path", name])?;
        Some(root.join(path)).filter(|path| path.exists())
    };
    let branch = git(root, &["symbolic-ref", "--quiet", "HEAD"]);
    let places = branch.iter().flat_map(|branch| Path::new(branch).ancestors());
    let place = places.filter_map(|place| place.to_str()).find_map(path);
    ["HEAD", "packed-refs"].into_iter().filter_map(path).chain(place).collect()
}

/// What git prints, without what a hook or a rebase tells of another checkout.
fn git(root: &Path, words: &[&str]) -> Option<String> {
    let mut git = Command::new("git");
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX"] {
        git.env_remove(name);
    }
    let output = git.arg("-C").arg(root).args(words).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A directory that is gone with the value.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Place {
            let place = format!("usertcp-bench-{name}-{}", std::process::id());
            let place = std::env::temp_dir().join(place);
            let _ = fs::remove_dir_all(&place);
            fs::create_dir_all(&place).unwrap();
            Place(place)
        }
        /// A checkout of one commit in it.
        fn checkout(&self) -> PathBuf {
            let root = self.0.join("checkout");
            fs::create_dir_all(root.join("core")).unwrap();
            fs::write(root.join("core/a.rs"), "a").unwrap();
            run(&root, "init -q -b trunk");
            commit(&root);
            root
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn there_is_no_git() -> bool {
        Command::new("git").arg("--version").output().is_err()
    }

    fn run(root: &Path, words: &str) -> String {
        let words: Vec<&str> = words.split(' ').collect();
        git(root, &words).unwrap_or_else(|| panic!("git {words:?} in {}", root.display()))
    }

    fn commit(root: &Path) {
        run(root, "add -A");
        run(root, "-c user.name=a -c user.email=a@b commit -q --allow-empty -m a");
    }

    fn watched_of(root: &Path) -> Vec<(PathBuf, String)> {
        let read = |path: PathBuf| {
            let text = fs::read_to_string(&path).unwrap_or_default();
            (path, text)
        };
        of(root).unwrap().watched.into_iter().map(read).collect()
    }

    #[test]
    fn it_is_the_commit_and_whether_sources_differ() {
        if there_is_no_git() {
            return assert_eq!(of(Path::new(".")), None);
        }
        let place = Place::new("changes");
        let root = place.checkout();
        let name = || of(&root).unwrap().name;
        let clean = run(&root, "rev-parse --short HEAD");
        assert_eq!(name(), clean);
        fs::write(root.join("notes"), "not compiled").unwrap();
        assert_eq!(name(), clean);
        fs::write(root.join("core/b.rs"), "b").unwrap();
        assert_eq!(name(), format!("{clean}+changes"));
        fs::remove_file(root.join("core/b.rs")).unwrap();
        fs::write(root.join("core/a.rs"), "b").unwrap();
        assert_eq!(name(), format!("{clean}+changes"));
        commit(&root);
        assert_eq!(name(), run(&root, "rev-parse --short HEAD"));
        assert_ne!(name(), clean);
    }

    // Of a clone, a worktree, one without a branch, and one whose references were packed.
    #[test]
    fn another_commit_changes_what_is_watched() {
        if there_is_no_git() {
            return;
        }
        let place = Place::new("watched");
        let origin = place.checkout();
        run(&place.0, "clone -q checkout clone");
        run(&origin, "worktree add -q -b side ../worktree");
        run(&origin, "worktree add -q --detach ../detached");
        run(&place.0, "clone -q checkout packed");
        run(&place.0.join("packed"), "pack-refs --all");
        for name in ["checkout", "clone", "worktree", "detached", "packed"] {
            let root = place.0.join(name);
            let (revision, before) = (of(&root).unwrap().name, watched_of(&root));
            commit(&root);
            // Of the same second as the first one it may be the same commit but for its parent.
            assert_ne!(of(&root).unwrap().name, revision, "{name}");
            assert_ne!(watched_of(&root), before, "{name}");
        }
    }

    #[test]
    fn an_archive_in_a_checkout_is_of_no_commit() {
        let place = Place::new("archive");
        assert_eq!(of(&place.0), None);
        if !there_is_no_git() {
            let inner = place.checkout().join("core");
            assert_eq!(of(&inner), None);
        }
    }

    // The program's own, whatever the directory that it runs in is a checkout of.
    #[test]
    fn the_programs_own_is_compiled_in() {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let now = of(root).map_or("unknown".to_owned(), |revision| revision.name);
        let commit = |name: &str| name.trim_end_matches("+changes").to_owned();
        assert_eq!(commit(crate::machine::revision()), commit(&now));
    }
}
