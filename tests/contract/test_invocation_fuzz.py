"""Whatever stands in a task invocation: it is run or refused, and never a fault. Contract §6."""

import json

from hypothesis import given
from hypothesis import strategies as st

from windlass.server.model.definition import BUILT_IN

WORDS = st.sampled_from(
    ["HIGH", "low", "REST", "event", "MESSAGE", "GET", "Post", "SWEEP", "OTHER", "/a", "/a/../b", ""]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | WORDS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)
ARGUMENTS = st.dictionaries(
    st.sampled_from(["sourceId", "identityId", "disableOptimization"]) | st.text(max_size=4), VALUES, max_size=4
)
MOMENTS = st.datetimes(timezones=st.timezones()).map(lambda moment: moment.isoformat())
FIELDS = {
    "taskDefinitionId": VALUES,
    "taskDefinitionName": st.sampled_from(["Sweep", *BUILT_IN]) | VALUES,
    "arguments": ARGUMENTS | VALUES,
    "queryParameters": ARGUMENTS | VALUES,
    "startAt": MOMENTS | VALUES,
    **dict.fromkeys(
        ("priority", "executionType", "executionService", "executionPath", "restMethod", "messageScope", "payloadType"),
        WORDS | VALUES,
    ),
}


@given(st.fixed_dictionaries({}, optional=FIELDS))
def test_any_invocation_is_run_or_refused(admin, fields):
    answer = admin.post("/task-execution/run", content=json.dumps(fields), headers={"Content-Type": "application/json"})

    assert answer.status_code in (200, 400), answer.text
    if answer.status_code == 400:
        assert answer.json()["causes"][0]["text"]
    else:
        assert answer.content == admin.get(f"/task-status/{answer.json()['id']}").content


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]),
                "path": st.sampled_from(
                    ["/description", "/parentName", "/executor", "/arguments", "/arguments/a", "/id"]
                ),
                "from": st.sampled_from(["/description", "/arguments", "/uniqueName"]),
                "value": VALUES,
            }
        ),
        max_size=4,
    )
)
def test_any_patch_of_a_definition_is_applied_or_refused(admin, patches):
    made = admin.post("/task-execution/run", json={"taskDefinitionName": "Patched", "executionType": "EVENT"})
    url = f"/task-definitions/{made.json()['taskDefinitionSummary']['id']}"
    before = admin.get(url).content

    answer = admin.patch(url, content=json.dumps(patches), headers={"Content-Type": "application/json-patch+json"})

    assert answer.status_code in (200, 400), answer.text
    assert admin.get(url).content == (answer.content if answer.status_code == 200 else before)
