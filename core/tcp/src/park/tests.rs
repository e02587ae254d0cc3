//! Tests of parking.
