"""How rows are read from files and become classes of vectors."""
