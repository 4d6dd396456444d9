"""Exit codes of the commands; argparse and Python itself use 2 and 1 in the same sense."""

EXIT_DONE = 0
EXIT_USAGE = 2
EXIT_DIVERGED = 3
EXIT_RESOURCES = 4
EXIT_INTERRUPTED = 130
EXIT_CLOSED_PIPE = 141
