//! retransmitting
