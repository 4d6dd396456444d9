"""Measures of how much an initialization helps on domains that it has never seen."""
