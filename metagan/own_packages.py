"""Import of our own packages by their names, whatever else has one of those names.

`cluster` and `tune` are names that users give to files of their own, and `python -m` looks into
the working folder first, as Ray's workers and jobs do. So every process of ours first takes its
packages from where this file is. What runs before that imports nothing that Python has not
imported by then.
"""

import os
import sys

NAMES = ("metagan", "cluster", "tune")
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class ForeignPackageError(RuntimeError):
    """Another package has one of our names, and was imported first.

    Attributes:
        exit_code: What the command line exits with.
    """

    exit_code = 2


def take_ours() -> None:
    """Import our packages from beside this file, and let the working folder hide no other module.

    Raises:
        ForeignPackageError: If another package has one of the names and is in use already.
    """
    import importlib

    # An archive holds no files; what it is started with comes before all others.
    if os.path.isdir(ROOT):
        claim(ROOT)
    hide_nothing()
    for name in NAMES:
        # A folder without __init__.py has no file, but a path.
        module = importlib.import_module(name)
        found = getattr(module, "__file__", None) or str(next(iter(module.__path__), "?"))
        if os.path.realpath(os.path.dirname(found)) != os.path.realpath(os.path.join(ROOT, name)):
            raise ForeignPackageError(
                f"{found} was imported as {name!r}, which is also the name of a package of metagan "
                f"({os.path.join(ROOT, name)}); rename it, or start metagan where it is not found"
            )


def claim(root: str) -> None:
    """Import our packages from a folder; those that are imported already stay.

    Ray's workers get this function by value, so it needs nothing of this project.

    Args:
        root: Holds them; where it does not, the first folder of `sys.path` that holds all does.
    """
    import importlib.util
    import os
    import sys

    names = ("metagan", "cluster", "tune")
    for folder in (root, *sys.path):
        files = {name: os.path.join(folder, name, "__init__.py") for name in names}
        if all(map(os.path.isfile, files.values())):
            break
    else:
        return
    for name, file in files.items():
        if name in sys.modules:
            continue
        spec = importlib.util.spec_from_file_location(
            name, file, submodule_search_locations=[os.path.dirname(file)]
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise


def hide_nothing() -> None:
    """Search the working folder for modules after all others, if at all, so that it hides none.

    Ray's workers get this function by value, so it needs nothing of this project.
    """
    import os
    import sys

    try:
        here = os.path.realpath(os.getcwd())
    except OSError:
        return  # The folder is gone.
    kept = [entry for entry in sys.path if os.path.realpath(entry or ".") != here]
    sys.path[:] = [*kept, *[here] * (len(kept) < len(sys.path))]


def module_command(name: str, *words: str) -> list[str]:
    """A command line that runs one of our modules in a process of its own, `python -m` of ours."""
    start = (
        "import runpy, sys; own = runpy.run_path(sys.argv[1]); name = sys.argv[2]; "
        "sys.argv[:] = sys.argv[2:]; own['take_ours'](); "
        "runpy.run_module(name, run_name='__main__', alter_sys=True)"
    )
    # -P: without the working folder on the path.
    return [sys.executable, "-P", "-c", start, os.path.abspath(__file__), name, *words]
