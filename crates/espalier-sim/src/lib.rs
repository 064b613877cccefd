//! Simulated boards that run the device core over real sockets.
