//! The usertcp command.
fn main() {}
