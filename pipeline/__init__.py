"""The order of the stages, the configuration and the command line; the only place that knows components and tuner."""
