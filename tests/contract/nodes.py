"""Servers that share a database, and what is asked of each about tokens."""

import time

import httpx2

WITHIN_S = 5
"""How soon what is revoked on one server is refused by the others."""


class Node:
    """One of the servers. Ends its connections at the end."""

    def __init__(self, url):
        self.http = httpx2.Client(base_url=url, timeout=30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.close()

    def token(self, credentials):
        form = {"grant_type": "client_credentials", "client_id": credentials[0], "client_secret": credentials[1]}
        return self.http.post("/oauth/token", data=form).raise_for_status().json()["access_token"]

    def revoke(self, credentials, token, **others):
        form = {"client_id": credentials[0], "client_secret": credentials[1], "token": token} | others
        return self.http.post("/oauth/revoke", data=form)

    def ask(self, token, path="/beta/task-status?limit=0", **options):
        return self.http.get(path, headers={"Authorization": f"Bearer {token}"} | options.pop("headers", {}), **options)

    def refuses_soon(self, token):
        """Asks until it is refused; whether that was in time."""
        deadline = time.monotonic() + WITHIN_S
        while time.monotonic() < deadline:
            if self.ask(token).status_code == 401:
                return True
            time.sleep(0.05)
        return False
