//! Runs a child, as PID 1 where it must.
