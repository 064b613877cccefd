//! TestApp, builders, clocks and fake devices for tests; never a normal dependency.
