"""Mistakes that a type checker reports: the lines that say so, and no other."""

from windlass import AsyncClient, Client, F, Filter, TaskStatus, track

client = Client()
client.get_task_status(1)  # wrong
client.get_task_status()  # wrong
client.get_task_status(task="1")  # wrong
client.get_task_status_list(limit="3")  # wrong
client.get_task_status_list(0, 250)  # wrong
client.iterate(limit=3)  # wrong
client.iterate(filters=F.type)  # wrong
client.wait("1", timeout=3)  # wrong
client.run("Sweep", execution_type="MAIL")  # wrong
client.launch_and_wait("1", kind="people")  # wrong
client.load_accounts("1", 3)  # wrong
client.update_task_status("1", {"op": "remove"})  # wrong
client.get_status("1")  # wrong
client.watch(1)  # wrong
Client(timeout=3)  # wrong
Client.wait("1")  # wrong

task: TaskStatus = client.get_task_status("1")
text: str = task.completion_status  # wrong
task.percent_complete = 3  # wrong
task.raw["id"] = "2"  # wrong
task.name  # wrong # noqa: B018
task.target.id  # wrong # noqa: B018
task.messages.append(task.messages[0])  # wrong
client.get_task_status_list().total  # wrong # noqa: B018

condition: Filter = F.status == "ERROR"  # wrong
condition = F.type == None  # wrong # noqa: E711
condition = F.type & F.id  # wrong
condition = (F.type == "QPOC") & F.id  # wrong
condition = "QPOC" & F.id  # wrong
condition = (F.type == "QPOC") | "id eq 1"  # wrong
condition = ~F.type  # wrong
condition = F.id.in_("1", "2")  # wrong

track("sweep", total="3")  # wrong
with track("sweep", total=3) as tracker:
    tracker.say("Odd.", "GRAVE")  # wrong
    tracker.advance("1")  # wrong
for number in track("numbers", [1]):
    number.upper()  # wrong
list(track("numbers", 3))  # wrong


async def script(client: AsyncClient) -> None:
    client.get_task_status("1").id  # wrong # noqa: B018
    for task in client.iterate():  # wrong
        print(task)
    await client.iterate()  # wrong
    await client.wait(3)  # wrong
    with client.track("sweep"):  # wrong
        pass
