"""Vectors: samples of a fixed number of floats."""
