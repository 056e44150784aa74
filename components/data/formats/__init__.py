"""Walks through files of photos: what their pixels need, and nothing that takes a decoder more than linear time."""
