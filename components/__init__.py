"""The parts that stages are made of: plain arguments and paths in, files or arrays out."""
