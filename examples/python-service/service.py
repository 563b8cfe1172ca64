#!/usr/bin/env python3
"""A set server that can be upgraded without downtime. All generations share one file, a log of promotions and elements."""
import argparse, contextlib, fcntl, json, os, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

parser = argparse.ArgumentParser()
for name in ("version", "generation", "listen", "state"):
    parser.add_argument("--" + name, required=True)
args = parser.parse_args()
generation = int(args.generation)
log = os.open(args.state, os.O_RDWR | os.O_CREAT | os.O_APPEND)
mutex = threading.Lock()
fence, sets, read_up_to = -1, {}, 0

@contextlib.contextmanager
def caught_up():
    """Holds the log, after everything in it was read: nobody appends meanwhile, no other generation either."""
    global fence, read_up_to
    with mutex:
        fcntl.flock(log, fcntl.LOCK_EX)
        try:
            new = os.pread(log, os.fstat(log).st_size - read_up_to, read_up_to)
            read_up_to += len(new)
            for entry in map(json.loads, new.splitlines()):
                if "fence" in entry:
                    fence = entry["fence"]
                else:
                    sets.setdefault(entry["set"], []).append(entry["value"])
            yield
        finally:
            fcntl.flock(log, fcntl.LOCK_UN)


def append(**entry):
    os.write(log, json.dumps(entry).encode() + b"\n")


def answer(method, path, body):
    with caught_up():
        if path == "/api/leader/status":
            return 200, {"status": "ReadyToPromote" if fence < generation else "IsLeader"}
        if path == "/api/leader/promote" and method == "POST":
            if fence < generation:
                append(fence=generation)  # Whoever led sees it before its next answer.
            return 200, {"result": "Success"}
        if path == "/version":
            return 200, args.version
        if fence > generation:
            return 409, "fenced by generation %d" % fence
        if method == "GET":
            return 200, sets.get(path.removeprefix("/sets/"), [])
        if fence < generation:
            return 403, "read-only until it is promoted"
        append(set=path.removeprefix("/sets/"), value=int(body))
        return 200, "added"


class Handler(BaseHTTPRequestHandler):
    protocol_version, wbufsize, disable_nagle_algorithm = "HTTP/1.1", -1, True
    def do_GET(self):
        code, document = answer(self.command, self.path, self.rfile.read(int(self.headers["content-length"] or 0)))
        body = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_POST = do_GET
    log_message = lambda *_: None


with caught_up():
    if fence == -1:
        append(fence=generation)  # The first of all leads without a promotion.
host, port = args.listen.rsplit(":", 1)
threading.Thread(target=ThreadingHTTPServer((host, int(port)), Handler).serve_forever, daemon=True).start()
while fence <= generation:
    time.sleep(0.02)
    with caught_up():
        pass
os._exit(0)  # "I was fenced, do not restart me."
