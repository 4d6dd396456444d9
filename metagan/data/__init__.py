"""Data sets, tasks and episodes of any kind of sample, prepared and cached."""
