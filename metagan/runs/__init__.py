"""Runs on a disk: their folders, checkpoints and copies."""
