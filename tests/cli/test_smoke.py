"""smoke"""


async def test_smoke(api, application):
    source = await application.sources.create("m", "unix", {})
    task = api.post(f"/sources/{source.id}/load-accounts").json()["task"]
    assert api.wait_for(task["id"])["completionStatus"] == "SUCCESS"
