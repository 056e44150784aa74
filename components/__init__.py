"""The stages, one a file: plain arguments and paths in, files or arrays out."""
