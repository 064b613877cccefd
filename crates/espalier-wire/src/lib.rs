//! Every device and app message, defined once; no_std.
