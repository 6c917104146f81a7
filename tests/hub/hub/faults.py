"""Faults on demand: rules that match requests, and what then goes wrong.

A rule: {"method": "PUT", "path": "/api/*", "origin": "hub" | "cdn", "skip": 2, "times": 1, "action": {...}}. Absent members
match anything; times null is for ever. Actions, before the request is done unless said otherwise:

  {"do": "reset"}                        the connection is reset ("after": true: when it is done)
  {"do": "read", "bytes": n}             n bytes of the body are read, then the connection is reset
  {"do": "stall", "seconds": s}          nothing happens for so long, then the connection is closed ("after" as above)
  {"do": "status", "status": 503, "headers": {}, "body": ""}    instead; "after": true: when it is done
  {"do": "html", "status": 200}          a gateway's page instead of the answer
  {"do": "redirect", "to": url}          to elsewhere; "self" is a loop
  {"do": "revoke"}                       the token of this request is revoked, then it goes on
  {"do": "trickle", "bytes": n}          the answer's body at n bytes a second
  {"do": "truncate", "bytes": n}         the answer's body ends after n bytes
  {"do": "length", "add": n}             its Content-Length is wrong by n
  {"do": "corrupt", "at": n}             byte n of it is another
  {"do": "replace", "old": a, "new": b}  text in it is another (a JSON answer that lies)
"""
import fnmatch
import threading


class Faults:
    def __init__(self):
        self.lock = threading.Lock()
        self.rules = []

    def set(self, rules):
        with self.lock:
            self.rules = [dict(r) for r in rules]

    def take(self, origin, method, path):
        """The action for this request, or None."""
        with self.lock:
            for r in self.rules:
                if r.get("origin", origin) != origin or r.get("method", method) != method:
                    continue
                if not fnmatch.fnmatchcase(path, r.get("path", "*")):
                    continue
                if r.get("skip", 0) > 0:
                    r["skip"] -= 1
                    continue
                times = r.get("times", 1)
                if times == 0:
                    continue
                if times is not None:
                    r["times"] = times - 1
                return r["action"]
        return None


class Limits:
    """Fixed windows: at most `requests` of a kind in each window; {"api": {"requests": 5, "seconds": 2}}."""

    def __init__(self, clock):
        self.clock, self.lock, self.kinds, self.used = clock, threading.Lock(), {}, {}

    def set(self, kinds):
        with self.lock:
            self.kinds, self.used = kinds, {}

    def ask(self, kind):
        """None: fine; else headers of the 429."""
        with self.lock:
            limit = self.kinds.get(kind)
            if not limit:
                return None
            start, count = self.used.get(kind, (self.clock(), 0))
            if self.clock() - start >= limit["seconds"]:
                start, count = self.clock(), 0
            left = limit["seconds"] - (self.clock() - start)
            if count < limit["requests"]:
                self.used[kind] = (start, count + 1)
                return None
            if limit.get("bare"):
                return {}
            return {"RateLimit": f'"{kind}";r=0;t={max(1, int(left + 0.999))}',
                    "RateLimit-Policy": f'"fixed window";"{kind}";q={limit["requests"]};w={int(limit["seconds"])}'}
