"""Ray's own remote calls fail: requests that do not arrive, answers that get lost.

Ray injects the failures itself (`RAY_testing_rpc_failure`), in the process whose environment says
so. A seed fixes which calls fail, how many of them at most and how likely; Ray draws the rest.
"""

import json
import random
from collections import Counter
from pathlib import Path

VARIABLE = "RAY_testing_rpc_failure"
# By these a process of a node is asked for and given back: by a driver for a task that adds up
# gradients, by the control service for a worker.
_REQUEST_LEASE = "NodeManagerService.grpc_client.RequestWorkerLease"
_RETURN_LEASE = "NodeManagerService.grpc_client.ReturnWorkerLease"
_PUSH_TASK = "CoreWorkerService.grpc_client.PushTask"
# Calls that a driver makes while it trains, as Ray names them (those of its control service with a
# prefix); the last one is the look for drained nodes.
OF_DRIVERS = (
    _PUSH_TASK,
    _REQUEST_LEASE,
    _RETURN_LEASE,
    "ray::rpc::ActorInfoGcsService.grpc_client.RegisterActor",
    "ray::rpc::ActorInfoGcsService.grpc_client.CreateActor",
    "ray::rpc::ActorInfoGcsService.grpc_client.GetActorInfo",
    "ray::rpc::ActorInfoGcsService.grpc_client.KillActorViaGcs",
    "NodeManagerService.grpc_client.PinObjectIDs",
    "ray::rpc::NodeResourceInfoGcsService.grpc_client.GetDrainingNodes",
)
# Calls of a node and of the workers on it.
OF_NODES = (
    "ObjectManagerService.grpc_client.Pull",
    "ObjectManagerService.grpc_client.Push",
    "NodeManagerService.grpc_client.PinObjectIDs",
    "ray::rpc::WorkerInfoGcsService.grpc_client.AddWorkerInfo",
)
# Calls of the control service, which places workers.
OF_HEADS = (_PUSH_TASK, _REQUEST_LEASE, _RETURN_LEASE)
_MOST_CALLS, _MOST_FAILURES = 3, 3
_LIKELY_PERCENT = (10, 30)
_STEADILY_PERCENT = 5
_LOGGED = b"Inject RPC "


def failing(rng: random.Random, calls: tuple[str, ...]) -> dict[str, str]:
    """Environment of a process in which some of these calls fail."""
    plan = {
        call: {
            "num_failures": rng.randint(1, _MOST_FAILURES),
            "req_failure_prob": rng.randint(*_LIKELY_PERCENT),
            "resp_failure_prob": rng.randint(*_LIKELY_PERCENT),
            "in_flight_failure_prob": rng.randint(*_LIKELY_PERCENT),
        }
        for call in sorted(rng.sample(calls, rng.randint(1, _MOST_CALLS)))
    }
    return {VARIABLE: json.dumps(plan)}


def steadily_failing(calls: tuple[str, ...]) -> dict[str, str]:
    """Environment of a process in which each of these calls fails now and then, for good."""
    kinds = ("req_failure_prob", "resp_failure_prob", "in_flight_failure_prob")
    plan = {"num_failures": -1, **dict.fromkeys(kinds, _STEADILY_PERCENT)}
    return {VARIABLE: json.dumps(dict.fromkeys(calls, plan))}


def injected(folder: Path) -> Counter[str]:
    """Number of calls that have failed so far, by name, as Ray's logs in this RAY_TMPDIR say."""
    found: Counter[str] = Counter()
    for log in folder.glob("ray/session_[0-9]*/logs/*"):
        if not log.is_file():
            continue
        for line in log.read_bytes().splitlines():
            if _LOGGED in line:
                found[line.rpartition(b" ")[2].decode(errors="replace").rstrip(".")] += 1
    return found
