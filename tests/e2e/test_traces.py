"""Traces of a server, as a collector receives them by OTLP over HTTP."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from .conftest import Server, run

type Serve = Callable[..., Server]

CREATE = 'mutation { createOneTag(data: { name: "traced" }) { id } }'
NAMES = "{ findManyTag { name } }"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


class Collector:
    """Receives spans. `services` are the names of the services that sent them."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.services: set[str] = set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.receive(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def receive(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.services |= {
                each.value.string_value for each in resource.resource.attributes if each.key == "service.name"
            }
            for scope in resource.scope_spans:
                self.spans += scope.spans

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    started = Collector()
    yield started
    started.close()


def attributes(span: Span) -> dict[str, str]:
    return {each.key: each.value.string_value or str(each.value.int_value) for each in span.attributes}


def traced(serve: Serve, collector: Collector, tmp_path: Path, **settings: str) -> Server:
    variables = {"LAMDB_OTEL": "on", "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    return serve("--store", f"file://{tmp_path}/store", **variables, **settings)


def test_requests_and_their_requests_to_the_store_are_spans(
    serve: Serve, collector: Collector, tmp_path: Path
) -> None:
    server = traced(serve, collector, tmp_path)
    server.data(CREATE, traceparent=f"00-{TRACE}-{PARENT}-01")
    for _ in range(20):
        server.data(NAMES)
    refused = server.client.get("/nothing/at/all", headers={"x-request-id": "mine"})
    assert refused.status_code == 404
    assert server.stop() == 0

    assert collector.services == {"lamdb"}
    requests = [span for span in collector.spans if span.kind == Span.SPAN_KIND_SERVER]
    assert len(requests) == 22
    (mutation,) = (span for span in requests if span.trace_id.hex() == TRACE)
    assert mutation.parent_span_id.hex() == PARENT
    assert mutation.name == "POST /graphql"
    about = attributes(mutation)
    assert (about["http.response.status_code"], about["lamdb.kind"]) == ("200", "graphql")
    assert int(about["lamdb.txid"]) > 2

    (lost,) = (span for span in requests if span.name == "GET")
    about = attributes(lost)
    assert (about["url.path"], about["http.response.status_code"]) == ("/nothing/at/all", "404")
    assert about["lamdb.request_id"] == "mine"

    stored = [span for span in collector.spans if span.kind == Span.SPAN_KIND_CLIENT]
    (commit,) = (span for span in stored if span.name == "commit")
    assert (commit.trace_id, commit.parent_span_id) == (mutation.trace_id, mutation.span_id)
    assert attributes(commit)["lamdb.store.operation"] == "put_new"
    assert mutation.start_time_unix_nano <= commit.start_time_unix_nano <= commit.end_time_unix_nano
    parents = {span.span_id for span in requests}
    assert all(span.parent_span_id in parents for span in stored)
    written = b"".join(span.SerializeToString() for span in collector.spans)
    assert b"findManyTag" not in written
    assert b"traced" not in written


def test_the_standard_variables_decide_about_name_and_sampling(
    serve: Serve, collector: Collector, tmp_path: Path
) -> None:
    settings = {"OTEL_SERVICE_NAME": "shop", "OTEL_TRACES_SAMPLER": "parentbased_always_off"}
    server = traced(serve, collector, tmp_path, **settings)
    server.data(NAMES)
    server.data(NAMES, traceparent=f"00-{TRACE}-{PARENT}-01")
    assert server.stop() == 0
    assert collector.services == {"shop"}
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}


def test_a_collector_that_is_gone_harms_no_request(
    serve: Serve, collector: Collector, tmp_path: Path
) -> None:
    collector.close()
    server = traced(serve, collector, tmp_path, OTEL_EXPORTER_OTLP_TIMEOUT="1")
    assert server.data(CREATE)["createOneTag"]["id"]
    assert len(server.data(NAMES)["findManyTag"]) == 6
    assert server.stop() == 0


def test_a_missing_library_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "opentelemetry"
    blocked.mkdir()
    (blocked / "__init__.py").write_text("raise ModuleNotFoundError('no', name='opentelemetry')")
    ran = run("serve", "--store", "memory:", "--port", "0", LAMDB_OTEL="on", PYTHONPATH=str(tmp_path))
    assert ran.returncode == 2
    assert "opentelemetry is not installed" in ran.stderr
    assert "pip install 'lamdb[otel]'" in ran.stderr
