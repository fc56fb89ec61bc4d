#!/usr/bin/env python3
"""An adapter for smi-conformance without any mesh: what to start from.

Pods are threads with an address of their own in 127.0.0.0/8. They serve real HTTP/1.1 and TCP, and call each other directly; a
Service is one of its ready pods, by chance. Policies are stored and have no effect. So nearly every test fails, and the report
shows what a mesh has to do. To write an adapter for a real mesh, keep `main`, and give `Test` another inside.

Python 3.8 or later, standard library only. Linux, or a system that takes all of 127.0.0.0/8.
"""

import argparse
import concurrent.futures
import http.client
import json
import random
import re
import socket
import socketserver
import sys
import threading
import time

PROTOCOL = "smi-adapter/v1"
ID = "x-sim-request"
POD = "x-sim-pod"
# All that the suite asks, but what the standard library does not speak: Http2, Grpc.
CLAIMS = (
    "TrafficTarget HttpRoutes HttpHeaders TcpRoutes UdpRoutes AllowAll TrafficSplit SplitMatches Http1 Tcp TcpServerFirst "
    "Unmeshed PodAddress BypassSidecar PeerIdentity Readiness ControlPlaneRestart TrafficMetrics"
).split()


class Refusal(Exception):
    """Why a request is not carried out: a code of the protocol, and words."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Pod:
    """One pod: an address, and a server on each of its ports."""

    def __init__(self, test, workload, index, address):
        self.name = f"{workload['name']}-{index}"
        self.namespace = workload["namespace"]
        self.labels = workload["labels"]
        self.address = address
        self.named = {port["name"]: port["port"] for port in workload["ports"]}
        self.respond = workload.get("respond", {})
        self.subdomain = workload.get("subdomain")
        self.ready = True
        self.servers = {}
        for port in workload["ports"]:
            # Any free port of the pod's own address: low ones need privileges.
            server = Server((address, 0), Connection)
            server.pod, server.test, server.port, server.speaks = self, test, port["port"], port["speaks"]
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            self.servers[port["port"]] = server

    def listens(self, port):
        """Where the application on a container port really is. Where none is, the connection is refused."""
        server = self.servers.get(port)
        return server.server_address if server else (self.address, port)

    def close(self):
        for server in self.servers.values():
            server.shutdown()
            server.server_close()


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128


class Connection(socketserver.StreamRequestHandler):
    """A connection to an application. Its first line tells whether HTTP or the TCP echo is spoken, whatever the port is for: what
    slips through to the wrong port is seen, too."""

    def handle(self):
        pod = self.server.pod
        if self.server.speaks == "tcp-server-first":
            self.wfile.write(f"hello from {pod.name}\n".encode())
        try:
            while self.exchange(pod):
                pass
        except (OSError, ValueError):
            pass  # The client went away, or spoke nonsense.

    def exchange(self, pod):
        line = self.rfile.readline(65536).decode("latin-1").rstrip("\r\n")
        if re.fullmatch("[0-9a-f]{32}", line):
            self.server.test.saw(line, {"pod": pod.name, "port": self.server.port})
            self.wfile.write(f"{line} {pod.name}\n".encode())
            return True
        parts = line.split(" ")
        if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
            return False
        headers = {}
        for name, value in http.client.parse_headers(self.rfile).items():
            name = name.lower()
            headers[name] = f"{headers[name]},{value}" if name in headers else value
        self.rfile.read(int(headers.get("content-length", 0)))
        seen = {"pod": pod.name, "port": self.server.port, "method": parts[0], "path": parts[1]}
        seen.update(host=headers.get("host", ""), headers=headers)
        arrivals = self.server.test.saw(headers.get(ID, ""), seen)
        self.answer(pod, parts[0], arrivals)
        return headers.get("connection", "").lower() != "close"

    def answer(self, pod, method, arrivals):
        delay = re.fullmatch(r"(\d+)(ms|s|m)", pod.respond.get("delay", "0ms"))
        time.sleep(int(delay[1]) * {"ms": 0.001, "s": 1, "m": 60}[delay[2]])
        fails = arrivals <= pod.respond.get("failFirst", 0) or random.uniform(0, 100) < pod.respond.get("failPercent", 0)
        status = 503 if fails else pod.respond.get("status", 200)
        body = b"" if method == "HEAD" else f"{pod.name}\n".encode()
        head = f"HTTP/1.1 {status} Whatever\r\n{POD}: {pod.name}\r\ncontent-length: {len(body)}\r\n\r\n"
        self.wfile.write(head.encode() + body)


class Test:
    """The world of one test: everything that a mesh would be told."""

    def __init__(self, setup):
        self.lock = threading.Lock()
        self.sightings = {}
        self.idle = {}
        self.objects = {}
        self.pods = {}
        self.services = {(one["namespace"], one["name"]): one for one in setup["services"]}
        subnet = f"127.{random.randint(64, 250)}.{random.randint(1, 250)}"
        number = 0
        for workload in setup["workloads"]:
            for index in range(workload["replicas"]):
                number += 1
                pod = Pod(self, workload, index, f"{subnet}.{number}")
                self.pods[pod.name] = pod

    def saw(self, id, seen):
        """Notes what an application saw; how often it has seen that request by now."""
        with self.lock:
            known = self.sightings.setdefault(id, [])
            known.append(seen)
            return len(known)

    def close(self):
        for pod in self.pods.values():
            pod.close()
        for connections in self.idle.values():
            for connection in connections:
                connection.close()

    def find(self, name):
        if name not in self.pods:
            raise Refusal("invalid", f"there is no pod {name}")
        return self.pods[name]

    def resolve(self, to):
        """Where a client's connection ends up: any ready pod of a service, by chance."""
        if "pod" in to:
            return self.find(to["pod"]["name"]).listens(to["pod"]["port"])
        if "host" in to:
            raise OSError(f"no such host: {to['host']['host']}")
        wanted = to["service"]
        service = self.services.get((wanted["namespace"], wanted["name"]))
        ports = [port for port in service["ports"] if port["port"] == wanted["port"]] if service else []
        if not ports:
            raise ConnectionRefusedError(f"service {wanted['name']} has no port {wanted['port']}")
        ways = []
        named = self.pods.get(wanted["host"].split(".")[0])
        # A StatefulSet's pod has a name of its own.
        candidates = [named] if named and named.subdomain == wanted["name"] else list(self.pods.values())
        for pod in candidates:
            if pod.ready and pod.namespace == service["namespace"] and service["selector"].items() <= pod.labels.items():
                target = ports[0]["targetPort"]
                ways.append(pod.listens(pod.named.get(target, 1) if isinstance(target, str) else target))
        if not ways:
            raise ConnectionRefusedError(f"service {wanted['name']} has no ready pod")
        return random.choice(ways)

    # The methods of the protocol.

    def apply(self, params):
        for object in params["objects"]:
            self.objects[name_of(object)] = object
            if object["kind"] == "Service":
                service = plain_service(object)
                self.services[service["namespace"], service["name"]] = service
        return {"accepted": {}}

    def delete(self, params):
        for name in params["objects"]:
            self.objects.pop((name["kind"], name["namespace"], name["name"]), None)
            if name["kind"] == "Service":
                self.services.pop((name["namespace"], name["name"]), None)
        return {}

    def ready(self, params):
        # There is nothing that would have to follow.
        return {"ready": True}

    def change(self, params):
        (kind, what), = params["change"].items()
        if kind == "controlPlane":
            return {}  # There is none: nobody notices.
        for name in what["pods"]:
            pod = self.find(name)
            if kind == "ready":
                pod.ready = what["ready"]
            elif kind == "respond":
                pod.respond = what["respond"]
            elif kind == "remove":
                del self.pods[name]
                pod.close()
            else:
                raise Refusal("unsupported", f"no such change: {kind}")
        return {}

    def send(self, params):
        for request in params["requests"]:
            self.find(request["from"])
            if request["proto"] not in ("http1", "tcp", "tcp-server-first"):
                raise Refusal("unsupported", f"this adapter does not speak {request['proto']}")
        timeout = params["timeoutMs"] / 1000
        with concurrent.futures.ThreadPoolExecutor(params["concurrency"]) as pool:
            clients = list(pool.map(lambda request: self.client(request, timeout), params["requests"]))
        answers = []
        with self.lock:
            for request, client in zip(params["requests"], clients):
                answers.append({"id": request["id"], "client": client, "seen": self.sightings.pop(request["id"], [])})
        return {"answers": answers}

    def client(self, request, timeout):
        """Sends one request from its pod's address; what the client sees."""
        try:
            over = self.over_http if request["proto"] == "http1" else self.over_tcp
            return over(request, timeout)
        except ConnectionRefusedError as error:
            return failed(str(error), shape="refused")
        except (ConnectionError, http.client.HTTPException) as error:
            return failed(repr(error), shape="closed")
        except OSError as error:
            return failed(repr(error))

    def over_tcp(self, request, timeout):
        source = (self.find(request["from"]).address, 0)
        with socket.create_connection(self.resolve(request["to"]), timeout, source) as connection:
            with connection.makefile("rwb") as stream:
                if request["proto"] == "tcp-server-first" and not stream.readline().startswith(b"hello"):
                    return failed("no greeting", shape="closed")
                stream.write(request["id"].encode() + b"\n")
                stream.flush()
                echo = stream.readline().decode("latin-1").split()
        if not echo or echo[0] != request["id"]:
            return failed(f"the echo is {echo}", shape="closed")
        return {"answered": {"pod": echo[1]}}

    def over_http(self, request, timeout):
        key = (request["from"], json.dumps(request["to"]))
        keep = request.get("conn") == "keep-alive"
        with self.lock:
            idle = self.idle.get(key) if keep else None
            connection = idle.pop() if idle else None
        if connection is None:
            host, port = self.resolve(request["to"])
            source = (self.find(request["from"]).address, 0)
            connection = http.client.HTTPConnection(host, port, timeout, source)
        connection.putrequest(request["method"], request["path"], skip_host=True, skip_accept_encoding=True)
        headers = {"host": request.get("host") or dialled(request["to"]), ID: request["id"], **request.get("headers", {})}
        if not keep:
            headers["connection"] = "close"
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        body = response.read()
        received = {name.lower(): value for name, value in response.getheaders()}
        if keep:
            with self.lock:
                self.idle.setdefault(key, []).append(connection)
        else:
            connection.close()
        if POD in received:
            return {"answered": {"status": response.status, "pod": received[POD], "headers": received}}
        # Without the application's own header it is a proxy that answers.
        shape = {403: "http-403", 404: "http-404", 503: "http-503"}.get(response.status)
        return failed(body.decode("latin-1"), shape=shape, status=response.status, headers=received)

    def metrics(self, params):
        return {"status": 404, "body": {"message": "there is no metrics.smi-spec.io here"}}

    def explain(self, params):
        return {"text": "there is no mesh: whoever can be reached answers"}

    def dump(self, params):
        pods = [f"{pod.name} {pod.address} {'ready' if pod.ready else 'unready'}" for pod in self.pods.values()]
        return {"text": "\n".join(pods + [json.dumps(object) for object in self.objects.values()])}


def name_of(object):
    return object["kind"], object["metadata"].get("namespace", "default"), object["metadata"]["name"]


def plain_service(object):
    """A Kubernetes Service in the form that `setup` uses."""
    ports = [{"port": p["port"], "targetPort": p.get("targetPort", p["port"])} for p in object["spec"].get("ports", [])]
    _, namespace, name = name_of(object)
    return {"name": name, "namespace": namespace, "selector": object["spec"].get("selector", {}), "ports": ports}


def dialled(to):
    kind, what = next(iter(to.items()))
    return f"{what['name'] if kind == 'pod' else what['host']}:{what['port']}"


def failed(detail, **more):
    return {"failed": {"detail": detail, **{name: value for name, value in more.items() if value is not None}}}


class Adapter:
    def __init__(self, claims):
        self.claims = claims
        self.tests = {}

    def hello(self, params):
        if params["protocol"] != PROTOCOL:
            raise Refusal("unsupported", f"this adapter speaks {PROTOCOL}")
        return {
            "protocol": PROTOCOL,
            "implementation": {
                "organization": "smi-conformance",
                "project": "no mesh",
                "version": "1",
                "apis": {
                    "access": ["v1alpha1", "v1alpha2", "v1alpha3"],
                    "specs": ["v1alpha1", "v1alpha2", "v1alpha3", "v1alpha4"],
                    "split": ["v1alpha1", "v1alpha2", "v1alpha3", "v1alpha4"],
                    "metrics": ["v1alpha1"],
                },
                "headerEncoding": "list",
                "features": self.claims,
            },
            "environment": f"threads of one process, Python {sys.version.split()[0]}",
            "parallel": 4,
            "concurrent": True,
            "timeouts": {"convergence": 1, "setup": 10, "request": 10},
        }

    def setup(self, params):
        if params["test"] in self.tests:
            raise Refusal("invalid", f"test {params['test']} is set up already")
        self.tests[params["test"]] = Test(params)
        return {}

    def teardown(self, params):
        # Also of what was set up in part, or not at all.
        test = self.tests.pop(params["test"], None)
        if test:
            test.close()
        return {}

    def result(self, method, params):
        if method in ("hello", "setup", "teardown"):
            return getattr(self, method)(params)
        if method not in ("apply", "delete", "ready", "send", "change", "metrics", "explain", "dump"):
            raise Refusal("unknown-method", f"there is no method {method}")
        if params["test"] not in self.tests:
            raise Refusal("invalid", f"there is no test {params['test']}")
        return getattr(self.tests[params["test"]], method)(params)

    def reply(self, line):
        id = None
        try:
            request = json.loads(line)
            id = request["id"]
            method, params = request["method"], request["params"]
        except (ValueError, KeyError, TypeError) as error:
            return {"id": id, "error": {"code": "malformed", "message": repr(error)}}
        try:
            return {"id": id, "result": self.result(method, params)}
        except Refusal as refusal:
            return {"id": id, "error": {"code": refusal.code, "message": str(refusal)}}
        except (KeyError, TypeError, AttributeError) as error:
            return {"id": id, "error": {"code": "invalid", "message": f"{method}: {error!r}"}}
        except Exception as error:  # Whatever goes wrong is an answer, too.
            return {"id": id, "error": {"code": "failed", "message": f"{method}: {error!r}"}}


def main():
    arguments = argparse.ArgumentParser(description="An adapter for smi-conformance without any mesh.")
    arguments.add_argument("--claim", help="features to claim, with commas between them; all that can be asked if omitted")
    claim = arguments.parse_args().claim
    adapter = Adapter(CLAIMS if claim is None else [name for name in claim.split(",") if name])
    # Standard output belongs to the protocol alone: whatever prints goes to standard error.
    out, sys.stdout = sys.stdout, sys.stderr
    writing = threading.Lock()

    def serve(line):
        reply = json.dumps(adapter.reply(line))
        with writing:
            out.write(reply + "\n")
            out.flush()

    # The end of standard input is the end.
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        for line in sys.stdin:
            if line.strip():
                pool.submit(serve, line)


if __name__ == "__main__":
    main()
