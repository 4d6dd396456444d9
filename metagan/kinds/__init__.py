"""Kinds of samples: one folder each."""
