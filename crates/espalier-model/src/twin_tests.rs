//! Any interleaving of setting, handing over, reporting and restarting.
