//! What a compiler cannot know: which way is gone seldom.
//!
//! Owns: [`seldom`]. Must not know: what is decided.

/// `None`, where that is seldom the answer.
///
/// A function that goes straight on after a dozen such questions is taken for one that hardly ever gets
/// to its end, and its last steps are compiled for size, unless each way out says that it is the rare
/// one.
#[cold]
#[inline]
pub const fn seldom<T>() -> Option<T> {
    None
}
