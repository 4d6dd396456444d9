"""The layouts of files that vectors are read from."""
