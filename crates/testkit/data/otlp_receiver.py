"""A receiver of OTLP over HTTP that prints what it understood, one JSON object a line. Argument: its manner."""

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

manner = sys.argv[1]
began = time.monotonic()


def say(**what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def value(any_value):
    return getattr(any_value, any_value.WhichOneof("value"))


def pairs(attributes):
    return {pair.key: value(pair.value) for pair in attributes}


def traces(body):
    for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield {
                    "resource": pairs(of_resource.resource.attributes),
                    "scope": of_scope.scope.name,
                    "name": span.name,
                    "kind": span.kind,
                    "trace": span.trace_id.hex(),
                    "id": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "state": span.trace_state,
                    "nanoseconds": span.end_time_unix_nano - span.start_time_unix_nano,
                    "status": span.status.code,
                    "attributes": pairs(span.attributes),
                    "events": len(span.events),
                }


def numbers(body):
    for of_resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
        for of_scope in of_resource.scope_metrics:
            for metric in of_scope.metrics:
                kind = metric.WhichOneof("data")
                data = getattr(metric, kind)
                for point in data.data_points:
                    found = {"name": metric.name, "kind": kind, "attributes": pairs(point.attributes)}
                    if kind == "histogram":
                        found |= {"count": point.count, "sum": point.sum, "buckets": list(point.bucket_counts)}
                    else:
                        found["value"] = getattr(point, point.WhichOneof("value"))
                    yield found


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        say(request={"path": self.path, "headers": {name.lower(): text for name, text in self.headers.items()}})
        if manner == "slow":
            time.sleep(600)
        if manner == "refuse":
            return self.answer(400)
        if manner == "later" and time.monotonic() < began + 3:
            return self.answer(503)
        if self.path.endswith("/v1/traces"):
            for span in traces(body):
                say(span=span)
        else:
            say(numbers=list(numbers(body)))
        self.answer(200)

    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()


server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
server.daemon_threads = True
say(port=server.server_address[1])
server.serve_forever()
