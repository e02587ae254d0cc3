//! Placeholder until this crate is filled.
#![no_std]
