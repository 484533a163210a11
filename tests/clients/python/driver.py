"""Drives the official Python SDK for the tests: each line in is an operation, each line out what came of it.

    python driver.py VERSION    beta, v2024, v2025 or v2026 of sailpoint 1; v1 of sailpoint 2

Its environment has one release of the SDK and need have nothing of Windlass. What the SDK is told it is told the
documented way, and what it answers is shown as its models read it. `clients.py` beside it says what goes in and out.
"""

import importlib
import json
import os
import sys
import traceback
from typing import get_args

VERSION = sys.argv[1]
IS_SECOND = VERSION == "v1"

sdk = importlib.import_module("sailpoint" if IS_SECOND else f"sailpoint.{VERSION}")
models = importlib.import_module("sailpoint.task_management.models" if IS_SECOND else f"sailpoint.{VERSION}.models")
exceptions = importlib.import_module("sailpoint.exceptions" if IS_SECOND else f"sailpoint.{VERSION}.exceptions")
Configuration = importlib.import_module("sailpoint.configuration").Configuration
Paginator = importlib.import_module("sailpoint.paginator").Paginator

# Which API has the operation, and under which name; the second SDK says the version in the name again.
METHODS = {
    "list": ("TaskManagementApi", "get_task_status_list"),
    "get": ("TaskManagementApi", "get_task_status"),
    "update": ("TaskManagementApi", "update_task_status"),
    "pending": ("TaskManagementApi", "get_pending_tasks"),
    "pending headers": ("TaskManagementApi", "get_pending_task_headers"),
    "load accounts": ("SourcesApi", "import_accounts"),
    "load entitlements": ("SourcesApi", "import_entitlements"),
    "aggregate entitlements": ("EntitlementsApi", "import_entitlements_by_source"),
}
# How the SDK calls what the wire calls otherwise.
NAMES = {"disableOptimization": "disable_optimization", "csvFile": "csv_file"}


def method(client, operation, suffix=""):
    """The SDK's own method; with the suffix `_with_http_info` it answers headers, too."""
    api, name = METHODS[operation]
    return getattr(getattr(sdk, api)(client), f"{name}{'_v1' if IS_SECOND else ''}{suffix}")


def connect(arguments):
    """A client that knows the server from the SAIL_* variables alone."""
    os.environ.update(arguments["environment"])
    configuration = Configuration()
    configuration.experimental = True
    configuration.suppress_experimental_warnings = True
    client = sdk.ApiClient(configuration)
    if arguments["is_experimental"]:
        client.set_default_header("X-SailPoint-Experimental", "true")
    return client


def patch_of(operations):
    """The SDK's own patch: a value is wrapped in a class whose name differs from version to version."""
    (wrapper, _) = get_args(models.JsonPatchOperation.model_fields["value"].annotation)
    return [
        models.JsonPatchOperation(
            op=each["op"], path=each["path"], value=None if each.get("value") is None else wrapper(each["value"])
        )
        for each in operations
    ]


def spelled(arguments):
    """The keyword arguments as the SDK takes them."""
    given = {NAMES.get(name, name): value for name, value in arguments.items()}
    for name in given.keys() & {"file", "csv_file"}:
        given[name] = (given[name]["name"], given[name]["text"].encode())
    return given


def plain(data):
    """What the SDK's models hold, under the wire's names."""
    if isinstance(data, list):
        return [plain(each) for each in data]
    return data.to_dict() if hasattr(data, "to_dict") else data


def call(client, operation, arguments):
    """What the SDK answers, or what it raised for the server's refusal."""
    if operation == "paginate":
        paged = method(client, arguments.pop("operation"))
        return {"status": 200, "headers": {}, "body": plain(Paginator.paginate(paged, 1000, **spelled(arguments)))}
    positional = [arguments.pop("id")] if "id" in arguments else []
    if "patch" in arguments:
        positional.append(patch_of(arguments.pop("patch")))
    try:
        answer = method(client, operation, "_with_http_info")(*positional, **spelled(arguments))
    except exceptions.ApiException as refusal:
        body = json.loads(refusal.body) if refusal.body else None
        return {"status": refusal.status, "headers": dict(refusal.headers), "body": body, "is_refused": True}
    return {"status": answer.status_code, "headers": dict(answer.headers), "body": plain(answer.data)}


def main():
    """Answer every line until there is none."""
    out, sys.stdout = sys.stdout, sys.stderr  # The paginator of the first SDK prints.
    client = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["operation"] == "connect":
                client, answer = connect(request["arguments"]), {}
            else:
                answer = call(client, request["operation"], request["arguments"])
        except Exception:
            answer = {"fault": traceback.format_exc()}
        print(json.dumps(answer, default=lambda moment: moment.isoformat()), file=out, flush=True)


main()
