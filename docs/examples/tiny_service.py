"""A participant in one file, for docs/getting-started.md: python3 tiny_service.py NAME PORT

Keeps bookings in NAME.db and takes three calls, all of them behind a barrier:
POST /bookings books, POST /bookings/SAGA/cancel takes it back; GET /bookings lists them.
A booking over the service's limit (500) is refused.
"""

import json
import sqlite3
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME, PORT = sys.argv[1], int(sys.argv[2])
LIMIT = 500
UNDOES = {"compensation": "action", "cancel": "try"}

SCHEMA = """
CREATE TABLE IF NOT EXISTS booking (saga TEXT PRIMARY KEY, amount INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS barrier (
    saga TEXT, step TEXT, op TEXT, status INTEGER, body TEXT, PRIMARY KEY (saga, step, op));
"""


def book(db, saga, body):
    """The work of the action: an answer of 4xx means that nothing was done."""
    if body["amount"] > LIMIT:
        return 402, {"title": "limit", "detail": f"{NAME} books up to {LIMIT}"}
    db.execute("INSERT INTO booking VALUES (?, ?)", (saga, body["amount"]))
    return 201, {"booking": f"{NAME}-{saga}"}


def cancel(db, saga, body):
    """The work of the compensation. It runs only if the action took effect."""
    db.execute("DELETE FROM booking WHERE saga = ?", (saga,))
    return 200, {"cancelled": True}


def claim(db, key):
    """Inserts the row that decides; false when it was there."""
    sql = "INSERT INTO barrier (saga, step, op) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
    return db.execute(sql, key).rowcount == 1


def record(db, key, status, body):
    sql = "UPDATE barrier SET status = ?, body = ? WHERE saga = ? AND step = ? AND op = ?"
    db.execute(sql, (status, json.dumps(body), *key))


def recorded(db, key):
    sql = "SELECT status, body FROM barrier WHERE saga = ? AND step = ? AND op = ?"
    status, body = db.execute(sql, key).fetchone()
    return status, json.loads(body)


def guarded(db, saga, step, op, work):
    """Runs `work` at most once, and never out of order; all in one transaction."""
    db.execute("BEGIN IMMEDIATE")
    key, undoable = (saga, step, op), True
    if op in UNDOES:
        forward = (saga, step, UNDOES[op])
        if claim(db, forward):  # the call never came: it has lost its turn now
            record(db, forward, 409, {"title": "undone before"})
        undoable = recorded(db, forward)[0] < 400
    if not claim(db, key):  # the same call again: the first answer
        answer = recorded(db, key)
    else:
        answer = work() if undoable else (200, {"nothing_to_undo": True})
        if answer[0] >= 400 and op not in ("action", "try"):
            db.execute("ROLLBACK")  # a refused undo will be asked for again
            return answer
        record(db, key, *answer)
    db.execute("COMMIT")
    return answer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keep-alive

    def do_GET(self):
        db = connect()
        rows = db.execute("SELECT saga, amount FROM booking").fetchall()
        db.close()
        self.answer(200, dict(rows) if self.path == "/bookings" else "ok")

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "null")
        saga, step, op = (self.headers[f"Saga-{part}"] for part in ("Id", "Step", "Operation"))
        if None in (saga, step, op):  # without them the barrier could not find the call again
            return self.answer(400, {"title": "a call needs Saga-Id, Saga-Step, Saga-Operation"})
        work = book if op in ("action", "try") else cancel
        db = connect()
        try:
            status, answer = guarded(db, saga, step, op, lambda: work(db, saga, body))
        finally:
            db.close()  # without a commit: rolled back
        print(f"{NAME}: {saga}/{step}/{op} attempt {self.headers['Saga-Attempt']} -> {status}")
        self.answer(status, answer)

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        kind = "application/problem+json" if status >= 400 else "application/json"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def connect():
    return sqlite3.connect(f"{NAME}.db", isolation_level=None, timeout=10)


if __name__ == "__main__":
    connect().executescript(SCHEMA)
    print(f"{NAME} listens on http://127.0.0.1:{PORT}", flush=True)
    ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
