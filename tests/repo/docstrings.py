"""Check that docstrings begin with a verb or a noun, none with a question word.

    python -m tests.repo.docstrings FOLDER ...

It prints a line for every docstring that does not; its exit status is 1 if there is any.
"""

import ast
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

_OPENS_BADLY = re.compile(r"(What|Who|Where|Whether)\b")
_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def bad_docstrings(file: Path) -> Iterator[tuple[int, str]]:
    """Line and first word of each docstring in a file that opens with a question word."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, _Documented):
            continue
        found = _OPENS_BADLY.match(ast.get_docstring(node) or "")
        if found:
            yield node.body[0].lineno, found[1]


def main(folders: Sequence[str]) -> int:
    """Print a line for each bad docstring under the folders; return the exit status."""
    status = 0
    for folder in folders:
        for file in sorted(Path(folder).rglob("*.py")):
            for line, word in sorted(bad_docstrings(file)):
                print(f'{file}:{line}: docstring opens with "{word}"; begin with a verb or a noun')
                status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
