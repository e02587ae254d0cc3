//! Settings, shared: most connections have the same, and a copy in each would be a tenth of it.
//! Owns: `SettingsShelf`. Must not know: who uses what it hands out.

use crate::settings::Settings;
use alloc::rc::Rc;
use alloc::vec::Vec;

/// How many different settings are looked through for equal ones. Beyond it a connection has its
/// own, which is right too.
const PLACES: usize = 64;

/// Settings that are in use.
#[derive(Debug, Default)]
pub struct SettingsShelf {
    shelf: Vec<Rc<Settings>>,
}

impl SettingsShelf {
    /// An empty shelf.
    pub const fn new() -> SettingsShelf {
        SettingsShelf { shelf: Vec::new() }
    }

    /// `settings`, shared with whoever has equal ones.
    pub fn share(&mut self, settings: &Settings) -> Rc<Settings> {
        // The first ones are those that were asked for last.
        match self.shelf.first() {
            Some(first) if are_equal(first, settings) => Rc::clone(first),
            _ => self.find_or_add(settings),
        }
    }

    fn find_or_add(&mut self, settings: &Settings) -> Rc<Settings> {
        if let Some(place) = self.shelf.iter().position(|other| are_equal(other, settings)) {
            self.shelf.swap(0, place);
            return self.shelf.first().map_or_else(|| Rc::new(*settings), Rc::clone);
        }
        if self.shelf.len() >= PLACES {
            self.shelf.retain(|other| Rc::strong_count(other) > 1);
        }
        let fresh = Rc::new(*settings);
        if self.shelf.len() < PLACES {
            self.shelf.push(Rc::clone(&fresh));
        }
        fresh
    }
}

/// Apart from the search: in a loop all fields would be fetched in advance, to be compared later.
#[inline(never)]
fn are_equal(one: &Settings, other: &Settings) -> bool {
    one == other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_settings_are_one_and_unused_ones_make_room() {
        let mut shelf = SettingsShelf::new();
        let default = shelf.share(&Settings::default());
        assert!(Rc::ptr_eq(&default, &shelf.share(&Settings::default())));
        let numbered = |dscp| Settings { dscp, ..Settings::default() };
        for dscp in 1..=63 {
            let _ = shelf.share(&numbered(dscp));
        }
        let kept = shelf.share(&Settings { no_delay: true, ..Settings::default() });
        assert!(Rc::ptr_eq(&kept, &shelf.share(&kept)));
        assert!(Rc::ptr_eq(&default, &shelf.share(&Settings::default())));
        assert!(shelf.shelf.len() <= 2, "{}", shelf.shelf.len());
    }

    #[test]
    fn a_full_shelf_still_gives_the_right_settings() {
        let mut shelf = SettingsShelf::new();
        let all: Vec<_> =
            (0..100).map(|dscp| shelf.share(&Settings { dscp, ..Settings::default() })).collect();
        assert!(all.iter().enumerate().all(|(dscp, settings)| usize::from(settings.dscp) == dscp));
        assert_eq!(shelf.shelf.len(), PLACES);
    }
}
