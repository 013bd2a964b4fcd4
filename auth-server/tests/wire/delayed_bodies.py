"""Posts over kept-alive connections, the headers first and the body some milliseconds later.

Arguments: host, port, posts of each kind, kinds to leave out. Prints the statuses of each kind as JSON; ends with 1 when a connection
broke, or was closed by an answer that did not say so.
"""

import collections
import http.client
import json
import random
import sys
import threading
import time

KINDS = {
    "unauthenticated": ("POST", "/api/register/", "application/json", b'{"username":"a"}'),
    "not_found": ("POST", "/api/nothing/", "application/json", b"{}"),
    "method": ("PUT", "/api/auth/token/", "application/json", b'{"username":"a"}'),
    "too_large": ("POST", "/api/auth/token/refresh/", "application/json", b"x" * 20_000),
    "far_too_large": ("POST", "/api/auth/token/refresh/", "application/json", b"x" * 600_000),
    "type": ("POST", "/api/auth/token/refresh/", "text/plain", b"hello"),
    "throttled": ("POST", "/api/register/resend/", "application/json", b'{"email":"a@example.org"}'),
}


def post(connection, kind):
    method, path, content_type, body = KINDS[kind]
    connection.putrequest(method, path)
    connection.putheader("Content-Type", content_type)
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders()
    time.sleep(random.uniform(0.0, 0.02))
    connection.send(body)
    response = connection.getresponse()
    response.read()
    return response


def run(host, port, posts, kind, seen, broken):
    connection = http.client.HTTPConnection(host, port, timeout=60)
    socket = None
    may_close = True
    for _ in range(posts):
        try:
            response = post(connection, kind)
        except (http.client.HTTPException, OSError) as error:
            broken.append(f"{kind}: {error!r}")
            connection.close()
            socket, may_close = None, True
            continue
        seen[kind][response.status] += 1
        # http.client opens another connection only after an answer that announced the end of this one.
        if not may_close and connection.sock is not socket:
            broken.append(f"{kind}: closed without a word")
        socket, may_close = connection.sock, response.will_close


def main():
    host, port, posts = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    kinds = [kind for kind in KINDS if kind not in sys.argv[4:]]
    seen = collections.defaultdict(collections.Counter)
    broken = []
    threads = [
        threading.Thread(target=run, args=(host, port, posts, kind, seen, broken)) for kind in kinds
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({kind: dict(statuses) for kind, statuses in seen.items()}))
    print("\n".join(broken[:20]), file=sys.stderr)
    sys.exit(1 if broken else 0)


main()
