"""Runs as they lie on a disk: their folders, checkpoints and copies."""
