//! Tests of loss recovery, by behaviour.
