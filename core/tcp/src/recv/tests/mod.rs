//! Filled by its helper.
