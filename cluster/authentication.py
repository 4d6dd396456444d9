"""Ray's token authentication, set explicitly towards every Ray, ours or others'.

Ray 2.60 otherwise turns it on or off by what it finds in the user's home folder. A Ray of our own
gets a token that lives only in this process's environment and in that of its workers: its ports are
open to other users of the machine, and whoever may talk to them may run code.
"""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import ray
from ray import _raylet as raylet

from cluster.errors import ClusterError

AUTH_MODE, AUTH_TOKEN, AUTH_TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
# What RAY_AUTH_MODE may be; nothing is as if it were not set.
AUTH_MODES = ("", "token", "disabled")
HOW_TO_GIVE_A_TOKEN = (
    f"export {AUTH_MODE}=token (and {AUTH_TOKEN_PATH} if it is not in ~/.ray/auth_token)"
)


def private_auth() -> dict[str, str]:
    """Authentication of a Ray of our own: by a fresh token, unless the user chose otherwise."""
    chosen = _chosen_auth()
    if chosen == "disabled" or (chosen is not None and _token_exists()):
        return {}
    return {AUTH_MODE: "token", AUTH_TOKEN: secrets.token_hex(32)}


def joining_auth() -> dict[str, str]:
    """Authentication towards a cluster: with the user's token where there is one.

    Ray itself would leave the token out for an explicit address. A cluster without authentication
    ignores it.
    """
    chosen = _chosen_auth()
    if chosen == "disabled":
        return {}
    found = _token_exists()
    return {} if chosen else {AUTH_MODE: "token" if found else "disabled"}


def explain_refusal(error: BaseException) -> str | None:
    """Fix for a cluster that refuses because of the token; None for any other error."""
    if "InvalidAuthToken" not in f"{error} {error.__cause__}":
        return None
    if os.environ.get(AUTH_MODE) == "token":
        return (
            f"it refuses your token; with {AUTH_MODE}=token, set {AUTH_TOKEN_PATH} to a file with "
            f"the cluster's (or {AUTH_TOKEN} to it)"
        )
    return f"the cluster asks for a token: {HOW_TO_GIVE_A_TOKEN}"


def token_file(environment: Mapping[str, str]) -> Path:
    """File in which Ray looks for a token that is in no variable."""
    return Path(environment.get(AUTH_TOKEN_PATH) or "~/.ray/auth_token").expanduser()


def token_problem(environment: Mapping[str, str]) -> str | None:
    """Fault of the file that should hold the token; None if it is good, or if Ray reads no file.

    Ray would wait for ever for somebody to write into a pipe.
    """
    named = environment.get(AUTH_TOKEN_PATH)
    path = token_file(environment)
    if environment.get(AUTH_TOKEN) or not (named or path.exists()) or path.is_file():
        return None
    name = f"{AUTH_TOKEN_PATH} {named}" if named else str(path)
    return f"{name} is no file" if path.exists() else f"{name} cannot be read, or is empty"


def reread_environment() -> None:
    """Let Ray look at the environment again, which it reads once, at import."""
    raylet.Config.initialize("")  # type: ignore[attr-defined]
    _token_loader().reset_cache()


def _chosen_auth() -> str | None:
    """The user's setting of RAY_AUTH_MODE, None without one.

    Raises:
        ClusterError: For what is not a mode: Ray would take it for no authentication at all.
    """
    chosen = os.environ.get(AUTH_MODE, "")
    if chosen.lower() not in AUTH_MODES:
        raise ClusterError(f"{AUTH_MODE} is {chosen!r}; set it to token or disabled, or unset it")
    return chosen.lower() or None


def _token_exists() -> bool:
    """True if Ray finds a token in the environment or in the user's home folder.

    Raises:
        ClusterError: If the file that the user names cannot be read.
    """
    problem = token_problem(os.environ)
    try:
        if problem is None:
            return bool(_token_loader().has_token(ignore_auth_mode=True))
    except ray.exceptions.AuthenticationError:
        named = os.environ.get(AUTH_TOKEN_PATH)
        name = f"{AUTH_TOKEN_PATH} {named}" if named else "~/.ray/auth_token"
        problem = f"{name} cannot be read, or is empty"
    raise ClusterError(
        f"{problem}; set {AUTH_TOKEN_PATH} to a file with the cluster's token, or unset it"
    ) from None


def _token_loader() -> raylet.AuthenticationTokenLoader:  # type: ignore[name-defined]
    return raylet.AuthenticationTokenLoader.instance()  # type: ignore[attr-defined]
