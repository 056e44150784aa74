"""The stages of the pipeline; each says what it reads (inputs), what it writes (outputs), and does its work (run)."""
