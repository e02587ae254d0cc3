//! acknowledging
