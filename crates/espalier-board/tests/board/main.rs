//! The driver on a host: real sockets, plain and in TLS, against a server of a few hundred lines and against certificates that lie.

mod believed;
mod certificates;
mod clock;
mod lines;
mod pictures;
mod server;
mod silence;
mod story;
mod world;
