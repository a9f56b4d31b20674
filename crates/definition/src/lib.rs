//! The definition file: parsed, checked, compiled for the machine.
