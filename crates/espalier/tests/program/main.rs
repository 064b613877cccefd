//! The program as a person runs it: real processes, real signals, real files.

mod backup;
mod commands;
mod crash;
mod firmware;
mod kits;
mod process;
mod rollout;
