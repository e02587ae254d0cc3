//! What a compiler cannot know: which way is gone seldom.
//!
//! Owns: [`seldom`], [`expect_all`](crate::expect_all). Must not know: what is decided.

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

/// Goes on where all of these hold, and else returns [`seldom`].
///
/// Each is asked by itself. What `&&` combines is often computed to one truth value first, with more steps than the
/// questions have.
#[macro_export]
macro_rules! expect_all {
    ($($condition:expr),+ $(,)?) => {
        $(if !$condition {
            return $crate::seldom();
        })+
    };
}
