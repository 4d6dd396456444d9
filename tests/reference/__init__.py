"""Slow, obvious oracles: plain modules, `.backward()`, loops over samples, no vectorising."""
