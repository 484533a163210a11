"""One side of the benchmark, in a process of its own: imports, lists and gets, and says what that took.

    python side.py NAME TASK_ID GETS    the server is told by the SAIL_* variables; the task is one that it has

Runs in environments that have one SDK each, so each side does what its users' programs do, and no more.
Prints {"import_s", "import_mb", "list_s", "listed", "gets_s", "peak_mb"}; MB of resident memory.
"""

import contextlib
import json
import os
import sys
import time
from pathlib import Path


def windlass():
    """The SDK of Windlass."""
    from windlass import Client

    def connect():
        client = Client(version="beta")
        return lambda: list(client.iterate()), client.get_task_status

    return connect


def sailpoint_1():
    """The official SDK, in the namespace and with the paginator of its documents."""
    from sailpoint.beta import ApiClient, TaskManagementApi
    from sailpoint.configuration import Configuration
    from sailpoint.paginator import Paginator

    def connect():
        api = TaskManagementApi(ApiClient(Configuration()))
        return lambda: Paginator.paginate(api.get_task_status_list, 10**9, limit=250), api.get_task_status

    return connect


def sailpoint_2():
    """The official SDK of the second generation."""
    from sailpoint import ApiClient, TaskManagementApi
    from sailpoint.configuration import Configuration
    from sailpoint.paginator import Paginator

    def connect():
        api = TaskManagementApi(ApiClient(Configuration()))
        return lambda: Paginator.paginate(api.get_task_status_list_v1, 10**9, limit=250), api.get_task_status_v1

    return connect


SIDES = {side.__name__: side for side in (windlass, sailpoint_1, sailpoint_2)}


def memory_mb(name):
    """One of the kernel's figures. (That of getrusage would begin with the process that started this one.)"""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 2**10


def measure(side, task_id, gets):
    """What the side took for each."""
    started = time.perf_counter()
    connect = side()
    import_s = time.perf_counter() - started
    import_mb = memory_mb("VmRSS")

    list_all, get = connect()
    get(task_id)  # Fetches the token, too.
    started = time.perf_counter()
    tasks = list_all()
    assert all(task.id and task.created for task in tasks)
    assert sum(task.completion_status is not None for task in tasks) > len(tasks) / 2
    list_s = time.perf_counter() - started

    ids = [task.id for task in tasks[:gets]]
    started = time.perf_counter()
    for each in ids:
        assert get(each).id == each
    return {
        "import_s": import_s,
        "import_mb": import_mb,
        "list_s": list_s,
        "listed": len(tasks),
        "gets_s": time.perf_counter() - started,
        "peak_mb": memory_mb("VmHWM"),
    }


if __name__ == "__main__":
    name, task_id, gets = sys.argv[1:]
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):  # A paginator prints.
        told = measure(SIDES[name], task_id, int(gets))
    print(json.dumps(told))
