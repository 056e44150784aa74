"""The version of Pilah: pyproject.toml reads it, and every command prints it."""

VERSION = "0.2.0"
