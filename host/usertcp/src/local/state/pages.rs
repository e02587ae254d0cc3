//! Records by slot, which few of all slots have.
//!
//! Owns: [`Pages`]. Must not know: what records say.

/// Records by slot: where nobody has one, a slot costs half an octet.
#[derive(Debug)]
pub(crate) struct Pages<T> {
    pages: Vec<Option<Box<Page<T>>>>,
    /// The page that was emptied last: who comes and goes alone allocates nothing.
    spare: Option<Box<Page<T>>>,
}

#[derive(Debug)]
struct Page<T> {
    records: [Option<T>; PAGE],
    used: usize,
}

const PAGE: usize = 16;

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Pages { pages: Vec::new(), spare: None }
    }
}

impl<T> Pages<T> {
    /// Puts a record at `slot`; the one it had.
    pub(crate) fn put(&mut self, slot: u32, record: T) -> Option<T> {
        let (index, at) = (slot as usize / PAGE, slot as usize % PAGE);
        if self.pages.len() <= index {
            self.pages.resize_with(index + 1, || None);
        }
        let Pages { pages, spare } = self;
        let page = pages.get_mut(index)?.get_or_insert_with(|| {
            spare.take().unwrap_or_else(|| Box::new(Page { records: Default::default(), used: 0 }))
        });
        let old = page.records.get_mut(at)?.replace(record);
        page.used += usize::from(old.is_none());
        old
    }

    /// The record at `slot`.
    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        let page = self.pages.get_mut(slot as usize / PAGE)?.as_mut()?;
        page.records.get_mut(slot as usize % PAGE)?.as_mut()
    }

    /// Takes it out.
    pub(crate) fn take(&mut self, slot: u32) -> Option<T> {
        let place = self.pages.get_mut(slot as usize / PAGE)?;
        let page = place.as_mut()?;
        let record = page.records.get_mut(slot as usize % PAGE)?.take()?;
        page.used -= 1;
        if page.used == 0 {
            self.spare = place.take();
        }
        Some(record)
    }

    /// All records.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let pages = self.pages.iter_mut().flatten();
        pages.flat_map(|page| page.records.iter_mut().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_without_records_are_given_back() {
        let mut pages = Pages::default();
        for slot in (0..1000).chain([100_000]) {
            assert_eq!(pages.put(slot, slot), None);
        }
        assert_eq!(pages.put(7, 70), Some(7));
        assert_eq!(pages.iter_mut().map(|record| u64::from(*record)).sum::<u64>(), 599_563);
        assert_eq!(pages.get_mut(100_001), None);
        assert_eq!(pages.get_mut(200_000), None);
        for slot in 0..1000 {
            assert_eq!(pages.take(slot), Some(if slot == 7 { 70 } else { slot }));
            assert_eq!(pages.take(slot), None);
        }
        assert_eq!(pages.pages.iter().flatten().count(), 1);
        assert_eq!(pages.put(17, 1), None);
        assert!(pages.spare.is_none());
        assert_eq!(pages.iter_mut().map(|record| *record).collect::<Vec<_>>(), [1, 100_000]);
    }
}
