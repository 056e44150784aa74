"""The stages of the pipeline; each declares its inputs and outputs, and does its work in `run`."""
