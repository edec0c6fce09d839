"""`python -m tests.lambda.clients`: clients of the API, in a process of their own, and what they were told.

They speak HTTP with connections that stay open, one each, and think between requests. There are four kinds:

- *readers* ask for the newest items, by POST or GET, in one of the three consistencies;
- *writers* create items, and read some of them back;
- *checkers* create an item and read it back, always;
- *retriers* have idempotency keys of their own and no patience: they hang up, send the same again, and at the
  end once more, to be told the same.

Half of each kind keep their session in a cookie as browsers do, half send the token as a header.

Each notes what it sees that should not be. Whether every item is there exactly once is for `checker` to say.
"""

import argparse
import asyncio
import json
import random
import ssl
import sys
import time
import uuid
from dataclasses import asdict, dataclass, field
from typing import Any

import httpx

from .cluster import COUNT, CREATE

NEWEST = "query newest { findManyItem(orderBy: {id: desc}, take: 5) { id name } }"
PATIENCE = 35.0
IN_TIME = 31.0
"""Seconds in which every request has an answer: the API gives up after 29, the rest is for a busy machine."""

MIX = ["reader"] * 8 + ["writer"] * 5 + ["checker"] * 5 + ["retrier"] * 2


@dataclass
class Write:
    """An item that a client wanted. `outcome` is `ok`, `refused` (a 503 said so) or `unknown`."""

    name: str
    key: str | None
    outcome: str
    id: int | None = None


@dataclass
class Request:
    kind: str
    seconds: float
    status: int
    code: str = ""


@dataclass
class Record:
    """The actions and observations of all clients of a process."""

    writes: list[Write] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    replayed: int = 0
    own_writes_read: int = 0
    strong_reads: int = 0
    newest_acknowledged: int = 0


class HungUp(Exception):
    """No answer came that could be read, or the client did not wait for it."""


class Client:
    """A session: it sends what it was told last, as a cookie or as a header."""

    def __init__(self, number: int, url: str, think: float, record: Record, context: ssl.SSLContext) -> None:
        self.name = f"{MIX[number % len(MIX)]}-{number}"
        self._kind = MIX[number % len(MIX)]
        self._url = url
        self._think = think
        self._record = record
        self._chance = random.Random(number)
        self._has_cookie = number // len(MIX) % 2 == 0
        self._token = 0
        self._seen = 0
        self._http = httpx.AsyncClient(verify=context, timeout=PATIENCE, trust_env=False)

    async def run(self, seconds: float) -> None:
        turn = getattr(self, f"_{self._kind}")
        ends = time.monotonic() + seconds
        await asyncio.sleep(self._chance.uniform(0, min(1.0, seconds / 4)))
        try:
            while time.monotonic() < ends:
                await turn()
                await asyncio.sleep(self._chance.expovariate(1 / self._think) if self._think else 0)
        except Exception as error:  # noqa: BLE001 - It is reported, and the run fails on it.
            self._fault(repr(error))
        await self._http.aclose()

    # Kinds

    async def _reader(self) -> None:
        how = self._chance.choice(["session", "session", "strong", "eventual"])
        acknowledged = self._record.newest_acknowledged
        found = await self._read(NEWEST, {}, how, get=self._chance.random() < 0.3)
        if found is None:
            return
        newest = max((item["id"] for item in found), default=0)
        if how == "strong":
            self._record.strong_reads += 1
            if newest < acknowledged:
                self._fault(f"a strong read saw {newest}, though {acknowledged} had been acknowledged")
        if how != "eventual":
            if newest < self._seen:
                self._fault(f"went back from {self._seen} to {newest}")
            self._seen = newest

    async def _writer(self) -> None:
        write = await self._create(None)
        if write.outcome == "ok" and self._chance.random() < 0.2:
            await self._read_back(write)

    async def _checker(self) -> None:
        write = await self._create(None)
        if write.outcome == "ok":
            await self._read_back(write)

    async def _retrier(self) -> None:
        """Sends one item until it is told that it is there, and then once more."""
        name, key, gives_up = self._new_name(), str(uuid.uuid4()), time.monotonic() + 60
        write = Write(name, key, "unknown")
        while write.outcome != "ok" and time.monotonic() < gives_up:
            write = await self._create(key, name, patience=self._chance.uniform(0.5, 10))
            await asyncio.sleep(self._chance.uniform(0, 0.5))
        self._record.writes.append(write)
        if write.outcome != "ok":
            return
        again = await self._create(key, name)
        if again.outcome == "ok" and again.id != write.id:
            self._fault(f"{name} is {write.id}, and then {again.id}")
        await self._read_back(write)

    # Requests

    def _new_name(self) -> str:
        return f"{self.name}-{uuid.uuid4()}"

    async def _create(self, key: str | None, name: str = "", patience: float = PATIENCE) -> Write:
        write = Write(name or self._new_name(), key, "unknown")
        if key is None:
            self._record.writes.append(write)
        headers = {} if key is None else {"idempotency-key": key}
        try:
            answer = await self._post("write", CREATE, {"name": write.name}, headers, patience)
        except HungUp:
            return write
        if answer.status_code == 503:
            write.outcome = "refused"
        elif answer.status_code == 200:
            made = (answer.json().get("data") or {}).get("createOneItem")
            if made is None:
                self._fault(f"{write.name}: {answer.text} {dict(answer.headers)}")
                return write
            write.outcome, write.id = "ok", made["id"]
            self._record.newest_acknowledged = max(self._record.newest_acknowledged, write.id)
            self._record.replayed += "x-lamdb-replayed" in answer.headers
        return write

    async def _read_back(self, write: Write) -> None:
        found = await self._read(COUNT, {"name": write.name}, "session")
        if found is None:
            return
        self._record.own_writes_read += 1
        if found != [{"id": write.id}]:
            self._fault(f"wrote {write.name} as {write.id} and read {found}")

    async def _read(
        self, query: str, variables: dict[str, Any], how: str, *, get: bool = False
    ) -> list[dict[str, Any]] | None:
        headers = {} if how == "session" else {"x-lamdb-consistency": how}
        try:
            if get:
                answer = await self._get("read", query, headers)
            else:
                answer = await self._post("read", query, variables, headers)
        except HungUp:
            return None
        if answer.status_code != 200:
            return None
        body = answer.json()
        items: list[dict[str, Any]] | None = (body.get("data") or {}).get("findManyItem")
        if items is None:
            self._fault(f"a read failed: {answer.text} {dict(answer.headers)}")
        return items

    async def _post(
        self,
        kind: str,
        query: str,
        variables: dict[str, Any],
        headers: dict[str, str],
        patience: float = PATIENCE,
    ) -> httpx.Response:
        body = {"query": query, "variables": variables}
        return await self._send(kind, "POST", headers, patience, json=body)

    async def _get(self, kind: str, query: str, headers: dict[str, str]) -> httpx.Response:
        return await self._send(kind, "GET", headers, PATIENCE, params={"query": query})

    async def _send(
        self, kind: str, method: str, headers: dict[str, str], patience: float, **content: Any
    ) -> httpx.Response:
        """Raises `HungUp`."""
        headers = {**headers, **self._session()}
        begun = time.monotonic()
        try:
            answer = await self._http.request(
                method, f"{self._url}/graphql", headers=headers, timeout=patience, **content
            )
        except httpx.TimeoutException:
            self._note(kind, begun, 0, "hung up")
            if patience == PATIENCE:
                self._fault(f"no answer within {PATIENCE} s")
            raise HungUp from None
        except httpx.TransportError as error:
            self._note(kind, begun, 0, type(error).__name__)
            raise HungUp from error
        self._note(kind, begun, answer.status_code, _code(answer))
        self._remember(answer)
        return answer

    def _session(self) -> dict[str, str]:
        if not self._token:
            return {}
        if self._has_cookie:
            return {"cookie": f"theme=dark; lamdb-txid={self._token}"}
        return {"x-lamdb-txid": str(self._token)}

    def _remember(self, answer: httpx.Response) -> None:
        """A browser takes the cookie, a program the header. Neither goes back."""
        if self._has_cookie:
            pairs = answer.headers.get("set-cookie", "").split(";")[0].partition("=")
            told = int(pairs[2]) if pairs[0] == "lamdb-txid" else self._token
        else:
            told = int(answer.headers.get("x-lamdb-txid", self._token))
        if self._has_cookie and told < self._token:
            self._fault(f"the cookie went back from {self._token} to {told}")
        self._token = max(self._token, told)

    def _note(self, kind: str, begun: float, status: int, code: str) -> None:
        took = time.monotonic() - begun
        self._record.requests.append(Request(kind, took, status, code))
        if took > IN_TIME and code != "hung up":
            self._fault(f"answered {status} after {took:.1f} s")

    def _fault(self, what: str) -> None:
        self._record.faults.append(f"{self.name}: {what}")


def _code(answer: httpx.Response) -> str:
    """The code of an error, if it is one of lamDB's; the words of the API's own."""
    if answer.status_code == 200:
        return ""
    try:
        body = answer.json()
    except ValueError:
        return "not JSON"
    for error in body.get("errors", []):
        return str(error["extensions"]["code"])
    return str(body.get("message", ""))


async def run(url: str, clients: int, seconds: float, think: float) -> Record:
    record, context = Record(), ssl.create_default_context()
    sessions = [Client(number, url, think, record, context) for number in range(clients)]
    await asyncio.gather(*(session.run(seconds) for session in sessions))
    return record


def read(text: str) -> Record:
    """The output of `main`."""
    said = json.loads(text)
    said["writes"] = [Write(**each) for each in said["writes"]]
    said["requests"] = [Request(**each) for each in said["requests"]]
    return Record(**said)


def command(url: str, clients: int, seconds: float, think: float) -> list[str]:
    return [sys.executable, "-m", "tests.lambda.clients", url, *map(str, (clients, seconds, think))]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("clients", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("think", type=float, help="mean seconds between two requests of a client")
    options = parser.parse_args()
    record = asyncio.run(run(options.url, options.clients, options.seconds, options.think))
    json.dump(asdict(record), sys.stdout)


if __name__ == "__main__":
    main()
