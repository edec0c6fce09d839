"""The three functions in real runtime processes: what they promise when all is well, and when it is not."""

import hashlib
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from .cluster import COUNT, CREATE, NAMES, Cluster
from .gateway import FunctionUrl


def test_a_client_writes_and_reads_what_it_wrote(cluster: Cluster) -> None:
    written = cluster.post(CREATE, {"name": "a"})
    assert (written.status, written.body) == (200, {"data": {"createOneItem": {"id": 1}}})
    cookie = written.headers["set-cookie"].split(";")[0]
    assert cluster.post(NAMES, cookie=cookie).items == [{"name": "a"}]
    again = cluster.post(CREATE, {"name": "b"})
    assert again.txid == written.txid + 1
    assert cluster.post(NAMES, x_lamdb_txid=str(again.txid)).items == [{"name": "a"}, {"name": "b"}]
    assert cluster.post(NAMES, x_lamdb_as_of=str(written.txid)).items == [{"name": "a"}]


def test_function_urls_serve_what_the_rest_api_serves(cluster: Cluster) -> None:
    """In payload format 2.0: documents, cookies, GET, CORS once, and no way to the operator API."""
    proxy, reader = FunctionUrl(cluster.proxy), FunctionUrl(cluster.reader)
    try:
        with httpx.Client(timeout=60) as client:
            body = {"query": CREATE, "variables": {"name": "ü"}}
            written = client.post(f"{proxy.url}/graphql", json=body)
            assert (written.status_code, written.json()) == (200, {"data": {"createOneItem": {"id": 1}}})
            assert client.cookies, "the next read sees the write by its cookie"
            # The cookies reach the function in a list of their own.
            read = client.post(
                f"{proxy.url}/graphql", json={"query": NAMES}, headers={"origin": "https://a.test"}
            )
            assert read.json()["data"] == {"findManyItem": [{"name": "ü"}]}
            assert len(read.headers.get_list("access-control-allow-origin")) <= 1
            token = {"x-lamdb-txid": written.headers["x-lamdb-txid"]}
            for url in (proxy.url, reader.url):
                got = client.get(f"{url}/graphql", params={"query": NAMES}, headers=token)
                assert got.json()["data"] == {"findManyItem": [{"name": "ü"}]}
            refused = client.post(f"{reader.url}/graphql", json=body)
            assert refused.json()["errors"][0]["extensions"]["code"] == "READ_ONLY"
            for url in (proxy.url, reader.url):
                operator = client.post(f"{url}/admin/graphql", json={"query": "{ database { txid } }"})
                assert operator.status_code in (403, 404)
    finally:
        proxy.close()
        reader.close()


def test_the_proxy_knows_documents_by_their_hash(cluster: Cluster) -> None:
    proxy = FunctionUrl(cluster.proxy)
    try:
        with httpx.Client(timeout=60, base_url=proxy.url) as client:
            for document, name in ((CREATE, "createOneItem"), (NAMES, "findManyItem")):
                sha256 = hashlib.sha256(document.encode()).hexdigest()
                extensions = {"persistedQuery": {"version": 1, "sha256Hash": sha256}}
                hashed = {"extensions": extensions, "variables": {"name": "a"}}
                unknown = client.post("/graphql", json=hashed)
                assert unknown.json()["errors"][0]["message"] == "PersistedQueryNotFound"
                assert name in client.post("/graphql", json={**hashed, "query": document}).json()["data"]
                assert name in client.post("/graphql", json=hashed).json()["data"]
            got = client.get("/graphql", params={"extensions": json.dumps(extensions)})
            assert got.json() == {"data": {"findManyItem": [{"name": "a"}, {"name": "a"}]}}
    finally:
        proxy.close()


def test_functions_can_be_invoked_directly(cluster: Cluster) -> None:
    written = cluster.invoke(cluster.writer, {"query": CREATE, "variables": {"name": "a"}})
    assert written["data"] == {"createOneItem": {"id": 1}}
    token = {"x-lamdb-txid": str(written["extensions"]["lamdb"]["txid"])}
    assert cluster.invoke(cluster.reader, {"query": NAMES, "headers": token})["data"] == {
        "findManyItem": [{"name": "a"}]
    }
    refused = cluster.invoke(cluster.reader, {"query": CREATE, "variables": {"name": "b"}})
    assert refused["errors"][0]["extensions"]["code"] == "READ_ONLY"
    assert cluster.invoke(cluster.writer, {"query": NAMES})["data"]["findManyItem"] == [{"name": "a"}]


def test_schedules_compact_and_verify(cluster: Cluster) -> None:
    for number in range(20):
        cluster.invoke(cluster.writer, {"query": CREATE, "variables": {"name": str(number)}})
    done = cluster.invoke(cluster.writer, {"lamdb": {"operation": "maintenance"}})
    assert done["finished"]
    assert done["merges"] > 0
    assert cluster.writer.metrics("MigrationsApplied") == [0]
    assert cluster.writer.metrics("UncompactedFiles") == [done["uncompacted"]]
    verified = cluster.invoke(cluster.reader, {"lamdb": {"operation": "verify"}})
    assert verified["txid"] == 21
    assert cluster.reader.metrics("VerifyFailures") == [0]
    by_litestream = cluster.invoke(cluster.reader, {"lamdb": {"operation": "verify", "litestream": True}})
    assert (by_litestream["txid"], by_litestream["litestream_txid"]) == (21, 21)


def test_a_write_whose_answer_was_lost_is_answered_but_not_repeated(cluster: Cluster) -> None:
    losing = iter([True])
    cluster.writer.loses_answer = lambda: next(losing, False)
    reply = cluster.post(CREATE, {"name": "a"})
    assert (reply.status, reply.headers["x-lamdb-replayed"]) == (200, "true")
    assert len(cluster.post(COUNT, {"name": "a"}, x_lamdb_txid=str(reply.txid)).items) == 1
    assert cluster.proxy.metrics("ThrottledRetries") == [1]


def test_a_write_whose_environment_died_after_its_commit_is_not_repeated(cluster: Cluster) -> None:
    def dies() -> bool:
        if not deaths:
            deaths.append(cluster.writer.kill_any())
            return True
        return False

    deaths: list[None] = []
    cluster.writer.loses_answer = dies
    reply = cluster.post(CREATE, {"name": "a"}, idempotency_key="mine")
    assert reply.headers["x-lamdb-replayed"] == "true"
    later = cluster.post(CREATE, {"name": "a"}, idempotency_key="mine")
    assert later.body == reply.body == {"data": {"createOneItem": {"id": 1}}}
    other = cluster.post(CREATE, {"name": "b"}, idempotency_key="mine")
    assert (other.status, other.code) == (422, "IDEMPOTENCY_MISMATCH")


def test_who_is_throttled_for_too_long_is_told_in_time(cluster: Cluster) -> None:
    cluster.proxy.variables["LAMDB_RETRY_SECONDS"] = "1"
    cluster.post(NAMES)
    cluster.post(CREATE, {"name": "a"})
    cluster.s3.set(latency=20.0)
    slow = threading.Thread(
        target=cluster.invoke, args=(cluster.writer, {"query": CREATE, "variables": {"name": "b"}})
    )
    slow.start()
    time.sleep(0.5)
    begun = time.monotonic()
    refused = cluster.post(CREATE, {"name": "c"})
    assert time.monotonic() - begun < 20, "it waited for the writer"
    cluster.s3.set()
    assert (refused.status, refused.code, refused.headers["retry-after"]) == (503, "THROTTLED", "1")
    slow.join()
    cluster.s3.set()
    assert cluster.writer.throttles > 1
    assert cluster.post(CREATE, {"name": "c"}).status == 200


def test_a_writer_that_was_frozen_meanwhile_is_fenced_and_catches_up(cluster: Cluster) -> None:
    cluster.writer.variables["LAMDB_WRITER_STALE_AFTER"] = "3600"
    cluster.writer.variables["LAMDB_MAX_STALENESS"] = "3600"
    cluster.post(CREATE, {"name": "a"})
    [stale] = cluster.writer.retire()
    cluster.post(CREATE, {"name": "b"})
    event = b'{"query": "mutation { createOneItem(data: {name: \\"c\\"}) { id } }"}'
    answer = stale.invoke(event)
    assert b'"id": 3' in answer.payload
    assert cluster.writer.metrics("FencedCommits") == [1]
    assert [item["name"] for item in cluster.post(NAMES, x_lamdb_consistency="strong").items] == [
        "a",
        "b",
        "c",
    ]


@pytest.mark.parametrize("name", ["proxy", "reader"])
def test_a_request_of_nobody_fails_clearly(cluster: Cluster, name: str) -> None:
    answer = getattr(cluster, name).invoke(b'{"Records": []}')
    assert answer.error == "Unhandled"
    assert b"MalformedRequest" in answer.payload


def test_a_writer_that_is_lost_in_the_middle_of_a_write_and_comes_back_writes_nothing_twice(
    cluster: Cluster,
) -> None:
    """Its machine stands still at some moment of a write, others go on, and then it does, too."""
    cluster.s3.set(latency=0.02)
    delays = {"a": 0.001, "b": 0.005, "c": 0.02}
    cluster.post(NAMES)
    with ThreadPoolExecutor() as threads:
        for name, delay in delays.items():
            cluster.writer.provision(1)
            reply = threads.submit(cluster.post, CREATE, {"name": name})
            while not (working := cluster.writer.working()):
                time.sleep(0.001)
            time.sleep(delay)
            working[0].lose()
            assert "createOneItem" in reply.result().body["data"]
            cluster.post(CREATE, {"name": f"after {name}"})
            working[0].thaw()
            deadline = time.monotonic() + 20
            while working[0].working and time.monotonic() < deadline:
                time.sleep(0.01)
            assert not working[0].working
    stored = [item["name"] for item in cluster.post(NAMES, x_lamdb_consistency="strong").items]
    assert sorted(stored) == sorted([*delays, *(f"after {name}" for name in delays)])


def test_searches_are_answered_by_readers(cluster: Cluster) -> None:
    create = """mutation ($title: String!, $kind: String) {
      createOnePage(data: { title: $title, kind: $kind, body: "a body" }) { id }
    }"""
    search = """query ($query: String!) {
      searchPage(query: $query, facets: [{ field: kind }]) {
        totalCount correctedQuery
        facets { values { value count } }
        hits { highlight(field: title) node { title } }
      }
      findManyPage(where: { title: { search: "lighthouse" } }) { title }
    }"""
    cluster.post(create, {"title": "A lighthouse", "kind": "tower"})
    written = cluster.post(create, {"title": "A windmill", "kind": "mill"})
    found = cluster.post(search, {"query": "lighthuose"}, x_lamdb_txid=str(written.txid))
    assert found.body["data"] == {
        "searchPage": {
            "totalCount": 1,
            "correctedQuery": "lighthouse",
            "facets": [{"values": [{"value": "tower", "count": 1}]}],
            "hits": [{"highlight": "A <mark>lighthouse</mark>", "node": {"title": "A lighthouse"}}],
        },
        "findManyPage": [{"title": "A lighthouse"}],
    }
    past = cluster.post(search, {"query": "windmill"}, x_lamdb_as_of=str(written.txid - 1))
    assert past.body["data"]["searchPage"]["totalCount"] == 0
