"""The commands as functions: prepare, train, adapt, generate, evaluate, export, demo."""
