//! Commands over plain HTTP.
