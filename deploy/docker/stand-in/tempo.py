"""A trace store in place of Tempo: takes spans by OTLP over gRPC (4317) and tells, as Tempo does (3200), which values an attribute of resources
has. For the stand-in of `cargo xtask stack-test` alone; it keeps values, no spans.
"""

import collections
import concurrent.futures
import http.server
import json
import os
import re
import signal

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as messages
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service

VALUES = collections.defaultdict(set)
ASKED = re.compile(r"/api/v2/search/tag/resource\.([\w.]+)/values")


class Traces(service.TraceServiceServicer):
    def Export(self, request, context):
        for resource in request.resource_spans:
            if any(scope.spans for scope in resource.scope_spans):
                for attribute in resource.resource.attributes:
                    VALUES[attribute.key].add(attribute.value.string_value)
        return messages.ExportTraceServiceResponse()


class Questions(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        asked = ASKED.fullmatch(self.path)
        if not asked:
            self.send_error(404)
            return
        values = [{"type": "string", "value": value} for value in sorted(VALUES[asked[1]])]
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps({"tagValues": values}).encode())

    def log_message(self, *_):
        pass


def main():
    # The first process of a container is ended by no signal that it doesn't take.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
    service.add_TraceServiceServicer_to_server(Traces(), server)
    server.add_insecure_port("0.0.0.0:4317")
    server.start()
    http.server.ThreadingHTTPServer(("0.0.0.0", 3200), Questions).serve_forever()


main()
