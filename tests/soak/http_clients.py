"""A process whose threads talk to lamDB's servers: `python -m tests.soak.http_clients NAME LOG PORT…`.

Acknowledged means: status 200 and no errors.
"""

import contextlib
import http.client
import json
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

from . import model
from .history import Log
from .process import Stop, repeating, run_all

_WRITERS = 8
_READERS = 2

_CREATE = "createOneEntry(data: { client: $client, number: $number, padding: $padding }) { id }"
_WRITE = f"""
mutation ($client: String!, $number: Int!, $padding: String!, $one: Int!, $other: Int!) {{
  {_CREATE}
  updateOneTotal(where: {{ id: 1 }}, data: {{ entries: {{ increment: 1 }} }}) {{ entries }}
  from: updateOneAccount(where: {{ id: $one }}, data: {{ balance: {{ decrement: 1 }} }}) {{ id }}
  to: updateOneAccount(where: {{ id: $other }}, data: {{ balance: {{ increment: 1 }} }}) {{ id }}
}}
"""
_REFUSED = f"""
mutation ($client: String!, $number: Int!, $padding: String!) {{
  {_CREATE}
  again: {_CREATE}
}}
"""
_READ = """
{
  findManyEntry(orderBy: { id: desc }, take: 20) { id client number padding }
  findUniqueTotal(where: { id: 1 }) { entries }
  aggregateAccount { _sum { balance } }
}
"""

_NOT_KEPT = {"FENCED", "OVERLOADED", "P2002", "STORE_REFUSED", "STORE_UNAVAILABLE"}


class _Broken(Exception):
    """There is no answer."""


class Servers:
    """One client's connections, each used for a while."""

    def __init__(self, ports: list[int]) -> None:
        self._ports = ports
        self._connection: http.client.HTTPConnection | None = None

    def ask(
        self, source: Random, body: dict[str, Any], headers: dict[str, str]
    ) -> tuple[dict[str, Any], int]:
        """The answer's JSON and the TXID beside it. Raises `_Broken`."""
        if self._connection is None or source.random() < 0.1:
            self._connection = http.client.HTTPConnection("127.0.0.1", source.choice(self._ports), timeout=30)
        try:
            self._connection.request(
                "POST", "/graphql", json.dumps(body), {"content-type": "application/json", **headers}
            )
            response = self._connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            with contextlib.suppress(OSError):
                self._connection.close()
            self._connection = None
            raise _Broken from error
        if response.status == 200 and "errors" not in answer:
            return answer["data"], int(response.headers["x-lamdb-txid"])
        return {"code": answer["errors"][0]["extensions"]["code"], "answer": answer}, 0


class Clients:
    def __init__(self, name: str, log: Log, ports: list[int]) -> None:
        self._name = name
        self._log = log
        self._acknowledged = (0, 0)
        self._writers = [Servers(ports) for _ in range(_WRITERS)]
        self._readers = [Servers(ports) for _ in range(_READERS)]
        self._numbers = [0] * _WRITERS
        self._tokens = [0] * _READERS

    def run(self) -> None:
        stop = Stop()
        writers = [
            repeating(
                stop, f"{self._name}.w{number}", lambda source, number=number: self._write(source, number)
            )
            for number in range(_WRITERS)
        ]
        readers = [
            repeating(
                stop, f"{self._name}.r{number}", lambda source, number=number: self._read(source, number)
            )
            for number in range(_READERS)
        ]
        run_all(writers + readers)

    def _write(self, source: Random, thread: int) -> None:
        client = f"{self._name}.w{thread}"
        number = self._numbers[thread] = self._numbers[thread] + 1
        variables: dict[str, Any] = {
            "client": client,
            "number": number,
            "padding": model.padding(client, number),
        }
        refused = source.random() < 0.1
        if not refused:
            (one, _), (other, _) = model.accounts(source.randrange(10**6))
            variables |= {"one": one, "other": other}
        self._log.invoke(client, number)
        try:
            body = {"query": _REFUSED if refused else _WRITE, "variables": variables}
            data, txid = self._writers[thread].ask(source, body, {})
        except _Broken:
            self._log.complete(client, number, "unknown")
            time.sleep(0.1)
            return
        if "code" in data:
            self._log.complete(client, number, "failed" if data["code"] in _NOT_KEPT else "unknown")
            if data["code"] == "INTERNAL":
                raise AssertionError(data)
            return
        id = data["createOneEntry"]["id"]
        self._log.complete(client, number, "ok", id, txid)
        if data["updateOneTotal"]["entries"] != id:
            self._log.read(client, time.monotonic(), id, txid, wrong=f"within one mutation: {data}")
        self._acknowledged = max(self._acknowledged, (id, txid))

    def _read(self, source: Random, thread: int) -> None:
        client = f"{self._name}.r{thread}"
        strong, session = source.random() < 0.3, source.random() < 0.5
        token, txid = self._acknowledged if session else (0, 0)
        txid = self._tokens[thread] = max(self._tokens[thread], txid)
        headers = {"x-lamdb-txid": str(txid)} | ({"x-lamdb-consistency": "strong"} if strong else {})
        invoked = time.monotonic()
        try:
            data, answered = self._readers[thread].ask(source, {"query": _READ}, headers)
        except _Broken:
            time.sleep(0.1)
            return
        if data.get("code") == "INTERNAL":
            raise AssertionError(data)
        if "code" not in data:
            seen, wrong = _look(data)
            self._tokens[thread] = max(txid, answered)
            self._log.read(client, invoked, seen, answered, strong=strong, token=token, wrong=wrong)
        time.sleep(source.uniform(0, 0.03))


def _look(data: dict[str, Any]) -> tuple[int, str]:
    recent = data["findManyEntry"]
    newest = recent[0]["id"] if recent else 0
    total, balance = data["findUniqueTotal"]["entries"], data["aggregateAccount"]["_sum"]["balance"]
    wrong = []
    if total != newest:
        wrong.append(f"{total} entries counted, the newest is {newest}")
    if [entry["id"] for entry in recent] != list(range(newest, max(0, newest - 20), -1)):
        wrong.append("there is a gap among the last entries")
    if any(entry["padding"] != model.padding(entry["client"], entry["number"]) for entry in recent):
        wrong.append("an entry has another's content")
    if balance != model.ACCOUNTS * model.BALANCE:
        wrong.append(f"the accounts add up to {balance}")
    return newest, "; ".join(wrong)


if __name__ == "__main__":
    name, log, *ports = sys.argv[1:]
    Clients(name, Log(Path(log)), [int(port) for port in ports]).run()
