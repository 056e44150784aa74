"""Building blocks of the stages: plain arguments and paths in, files or arrays out."""
