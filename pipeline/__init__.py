"""The command line, the configuration and the order of the stages; the only folder that imports all others."""
