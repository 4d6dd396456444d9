"""What the commands do, as functions: prepare, train, adapt, generate, evaluate, export, demo."""
