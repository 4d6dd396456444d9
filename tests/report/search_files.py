"""Folders as `metagan tune` leaves them behind, without searching anything."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from metagan.config.settings import RunConfig
from metagan.files import finite_or_null, write_json

SPACE = [
    {"key": "inner.lr", "kind": "loguniform", "values": [1e-4, 3e-3], "when": {}, "given": 3e-4},
    {"key": "inner.steps", "kind": "randint", "values": [2, 12], "when": {}, "given": 5},
    {
        "key": "outer.optimizer",
        "kind": "choice",
        "values": ["adam", "nesterov", "sgd"],
        "when": {},
        "given": "adam",
    },
    {
        "key": "outer.momentum",
        "kind": "uniform",
        "values": [0.5, 0.99],
        "when": {"outer.optimizer": ["nesterov"]},
        "given": 0.9,
    },
    {"key": "gan.r1", "kind": "loguniform", "values": [0.05, 5], "when": {}, "given": 0.5},
]


def one_key(key: str, kind: str, values: list, when: dict | None = None) -> dict:
    """An entry of the space."""
    return {"key": key, "kind": kind, "values": values, "when": when or {}, "given": None}


def trial(number: int, value: float | None, **changes: Any) -> dict[str, Any]:
    """One trial that was trained for 100 outer steps, measured at 25, 50, 75 and 100."""
    step = changes.pop("step", 0 if value is None else 100)
    seconds = changes.pop("seconds", None if value is None else 2.0 * step)
    curve = [
        {
            "step": at,
            "metrics": {"gain": (value or 0.0) * at / step, "kid": 0.1 - 0.0001 * at},
            "seconds": (seconds or 0.0) * at / step,
        }
        for at in range(25, step + 1, 25)
    ]
    return {
        "id": f"ab1cd_{number:05d}",
        "order": number,
        "sample": {"inner.lr": 1e-3, "inner.steps": 4},
        "status": "failed" if value is None else "done" if step == 100 else "stopped",
        "step": step,
        "metrics": {} if value is None else {"gain": value, "kid": 0.1 - 0.0001 * step},
        "seconds": seconds,
        "error": "DivergedError: no meta-gradient was finite" if value is None else "",
        "curve": curve,
        "retries": [],
        **changes,
    }


def search_data(
    trials: list[dict[str, Any]] | None = None,
    *,
    best: tuple[float | None, ...] = (0.021, 0.034, 0.027),
    given: tuple[float | None, ...] = (0.011, 0.019, 0.016),
    **changes: Any,
) -> dict[str, Any]:
    """Contents of `search.json`; trials are ranked as they are given."""
    trials = many_trials(24) if trials is None else trials
    measured = [t for t in trials if t["metrics"]]
    return {
        "schema_version": 1,
        "objective": "gain",
        "direction": "max",
        "settings": {
            "searcher": "random",
            "scheduler": "asha",
            "reduction": 3,
            "grace_steps": 25,
            "report_every": 25,
            "repetitions": 2,
            "num_trials": len(trials),
            "confirm_seeds": len(best),
            "workers_per_trial": 0,
        },
        "space": SPACE,
        "given": RunConfig.model_validate({"inner": {"lr": 3e-4}}).model_dump(mode="json"),
        "trials": trials,
        "best": measured[0]["sample"] if measured else {},
        "confirmation": {"best": list(best), "given": list(given)},
        "fresh_seeds": [1000 + i for i in range(len(best))],
        "seconds": {"trials": 5230.0, "confirm": 1210.0},
        "resumed": False,
        **changes,
    }


def many_trials(count: int) -> list[dict[str, Any]]:
    """Random settings, a third at each rung, every eleventh failed; ranked as a search would."""
    rng = np.random.default_rng(3)
    found = []
    for number in range(1, count + 1):
        lr = float(10 ** rng.uniform(-4, math.log10(3e-3)))
        sample: dict[str, Any] = {
            "inner.lr": lr,
            "inner.steps": int(rng.integers(2, 13)),
            "outer.optimizer": str(rng.choice(["adam", "nesterov", "sgd"])),
            "gan.r1": float(10 ** rng.uniform(math.log10(0.05), math.log10(5))),
        }
        if sample["outer.optimizer"] == "nesterov":
            sample["outer.momentum"] = float(rng.uniform(0.5, 0.99))
        value = 0.03 - 0.02 * abs(math.log10(lr / 1e-3)) + 0.008 * float(rng.standard_normal())
        step = (100, 25, 25, 50, 25, 100)[number % 6]
        changes = {"sample": sample, "seconds": step * float(rng.uniform(1.5, 4.5))}
        if number % 11 == 0:
            found.append(trial(number, None, sample=sample))
        else:
            found.append(trial(number, value, step=step, **changes))
    return sorted(found, key=lambda t: (not t["metrics"], -t["step"], -t["metrics"].get("gain", 0)))


def write_search(path: Path, data: dict[str, Any] | None = None) -> Path:
    """A search's folder."""
    path.mkdir(parents=True, exist_ok=True)
    write_json(path / "search.json", finite_or_null(search_data() if data is None else data))
    return path
