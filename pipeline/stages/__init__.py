"""The stages of the pipeline, a file each: what it reads (inputs), what it leaves (outputs), and its work (run)."""
