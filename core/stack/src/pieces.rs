//! A vector in pieces.
//!
//! Owns: elements by number, in pieces that never move: growing asks for one more piece and copies
//! nothing but the list of pieces, shrinking gives pieces back.
//! Must not know: what the elements are.

use alloc::vec::Vec;

/// Elements of a piece, as a power of two.
const SHIFT: u32 = if cfg!(test) { 2 } else { 9 };
const PIECE: usize = 1 << SHIFT;

/// The vector.
#[derive(Debug)]
pub(crate) struct Pieces<T> {
    pieces: Vec<Vec<T>>,
}

impl<T> Pieces<T> {
    /// Without elements.
    pub(crate) const fn new() -> Pieces<T> {
        Pieces { pieces: Vec::new() }
    }

    /// Elements.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        match self.pieces.last() {
            Some(last) => (self.pieces.len() - 1) * PIECE + last.len(),
            None => 0,
        }
    }

    /// The element at `index`.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        self.pieces.get(index >> SHIFT)?.get(index & (PIECE - 1))
    }

    /// The same, to change.
    #[inline]
    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.pieces.get_mut(index >> SHIFT)?.get_mut(index & (PIECE - 1))
    }

    /// One more at the end. The first piece grows as a vector does, to stay small where few are needed.
    pub(crate) fn push(&mut self, element: T) {
        match self.pieces.last_mut() {
            Some(last) if last.len() < PIECE => last.push(element),
            last => {
                let mut piece = Vec::with_capacity(if last.is_none() { 1 } else { PIECE });
                piece.push(element);
                self.pieces.push(piece);
            }
        }
    }

    /// Takes the last one out.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let last = self.pieces.last_mut()?;
        let element = last.pop();
        if last.is_empty() {
            self.pieces.pop();
        }
        element
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_a_vector(steps in prop::collection::vec(prop::option::of(any::<u8>()), 0..80)) {
            let mut pieces = Pieces::new();
            let mut model = Vec::new();
            for step in steps {
                match step {
                    Some(element) => {
                        pieces.push(element);
                        model.push(element);
                    }
                    None => prop_assert_eq!(pieces.pop(), model.pop()),
                }
                prop_assert_eq!(pieces.len(), model.len());
                for index in 0..=model.len() {
                    prop_assert_eq!(pieces.get(index), model.get(index));
                    prop_assert_eq!(pieces.get_mut(index).copied(), model.get(index).copied());
                }
            }
        }
    }
}
