"""The command line: parsing, messages, exit codes; what commands do lives elsewhere."""
