//! The participant protocol: commands, replies, envelopes, signatures.
