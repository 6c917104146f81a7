"""Uploads against a hub that redirects, miscounts, lies about names, refuses one of several repositories, or asks for less."""
import concurrent.futures
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from matrix import JOBS, QUERN, Matrix, environment, expect, run_all  # noqa: E402
from scripthub import TOKEN, ScriptHub  # noqa: E402
from uploads import REPO, Uploads  # noqa: E402

STEPS = ["revision", "tree", "validate", "create", "preupload", "batch", "put", "part", "complete", "verify", "commit"]
MIXED = ["Q8/Q8.gguf=300000:1", "Q4/Q4.gguf=50000:2", "w8/config.json=50:3"]
THREE = JOBS.replace('repo: "{model}"', 'repo: "{model}-{opt}"')


def no_token_elsewhere(hub):
    assert all(r["authorization"] is None for r in hub.log if r["origin"] == "cdn"), hub.log


def redirected(step, elsewhere):
    """Every request of a step is sent on: in a circle, or to another origin."""
    with ScriptHub(chunk=65536) as hub, Uploads(hub, MIXED) as uploads:
        hub.fault(step, times=1000, status=307, headers={"Location": f"{hub.cdn}/elsewhere" if elsewhere else "?again"})
        code, event = uploads.upload()
        assert code == 1, (step, event)
        assert TOKEN not in json.dumps(event) and 0 < hub.count(step) <= 200, (step, event, hub.count(step))
        no_token_elsewhere(hub)
        followed = hub.count("unknown")
        hub.forget()
        uploads.good()
        return followed


def in_parallel(function, *columns):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return list(pool.map(function, *columns))


def test_a_redirect_without_an_end():
    in_parallel(redirected, STEPS, [False] * len(STEPS))


def test_a_redirect_elsewhere_does_not_take_the_token():
    assert sum(in_parallel(redirected, STEPS, [True] * len(STEPS))), "nothing was followed, so nothing was tested"


def test_answers_of_a_wrong_length():
    for wrong in (9, -1):
        with ScriptHub(chunk=65536) as hub, Uploads(hub, MIXED) as uploads:
            for step in STEPS:
                hub.fault(step, length=wrong)
            for _ in STEPS:
                code, event = uploads.upload()
                if code == 0:
                    break
                assert event["verdict"] == "later" and "JSON" in event["message"], event
            uploads.good()
            assert len(hub.repos[REPO].commits) == 1


def test_names_of_a_listing_that_lead_away():
    stray = f"quern-stray-{os.getpid()}"
    names = [n.replace("x", stray) for n in ("../../x", "/tmp/x", ".git/x", "a/../../x", "a\\..\\x", "C:x", ".cache/x", "a//x",
                                             "Q8.gguf/x", "a\0x")]
    body = [{"type": "file", "path": n, "size": 1, "oid": "0" * 40} for n in names]
    with ScriptHub() as hub, Uploads(hub, MIXED) as uploads:
        hub.fault("tree", status=200, body=body)
        code, event = uploads.upload()
        assert code in (0, 1), event
        found = [*uploads.root.rglob(f"*{stray}*"), *uploads.root.parent.glob(f"*{stray}*"), *Path("/tmp").glob(f"*{stray}*")]
        assert not found, found
        hub.forget()
        uploads.good()


def test_a_certificate_that_nobody_trusts():
    with ScriptHub() as hub, Uploads(hub, MIXED) as uploads:
        cert, key = uploads.root / "cert.pem", uploads.root / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                        "-subj", "/CN=localhost"], check=True, stderr=subprocess.DEVNULL)
        with Tls(cert, key) as address:
            url, hub.url = hub.url, address
            event = uploads.bad("SSL_CERT_FILE")
            assert event["verdict"] == "stop" and uploads.states() == {3}, event
            hub.url = url
        uploads.good()


class Tls:
    """A server whose certificate is its own; it never hears a request."""

    def __init__(self, cert, key):
        import ssl
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
        self.server.handle_error = lambda *_: None
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return f"https://localhost:{self.server.server_port}"

    def __exit__(self, *exc):
        self.server.shutdown()
        self.server.server_close()


# ---- several repositories

def one_of_three(step, how):
    """The repository ns/m-1 is refused; the others are published, and it is once the hub is well."""
    with ScriptHub() as hub, Matrix(THREE.replace("hub: local", f"hub: '{hub.url}'")) as m:
        hub.fault(step, times=1000, path="m-1", **how)
        done = expect(m.quern("run", HF_TOKEN=TOKEN), 1, "not published", "ns/m-1")
        assert TOKEN not in done.stdout
        published = {r for r, repo in hub.repos.items() if repo.commits}
        assert published == {"ns/m-0", "ns/m-2"}, (step, how, published)
        assert sorted(m.states().values()) == ["done", "done", "ready"]
        hub.forget()
        expect(m.quern("upload", HF_TOKEN=TOKEN), 0)
        assert hub.repos["ns/m-1"].commits and set(m.states().values()) == {"done"}
        assert not [r for r in hub.log if r["step"] in ("put", "part", "commit") and "m-1" not in r["path"]], "others again"


def test_one_refused_repository_does_not_stop_the_others():
    card = {"errors": [{"message": '"license" must be one of [mit]'}]}
    in_parallel(one_of_three, *zip(("revision", {"status": 401}), ("preupload", {"status": 403}), ("preupload", {"status": 404}),
                                   ("commit", {"status": 412}), ("commit", {"status": 413}),
                                   ("validate", {"status": 400, "body": card})))


# ---- one wait for all

def test_a_429_is_waited_for_by_all_uploads():
    """Two uploads of one work folder at once: what the first is told, the other keeps, also one that begins later."""
    with ScriptHub() as hub, Matrix(THREE.replace("hub: local", f"hub: '{hub.url}'")) as m:
        expect(m.quern("run", "--no-upload"), 0, "3 converted")
        hub.fault("create", status=429, headers={"Retry-After": "3"})

        def start(repo):
            return subprocess.Popen([QUERN, "upload-repo", "--work", m.work, "--hub", hub.url, "--repo", repo, "--run", "1"],
                                    cwd=m.root, env=environment(HF_TOKEN=TOKEN), stdout=subprocess.PIPE, text=True)
        first = start("ns/m-0")
        while not (m.work / "cache/hub/.slow-down").exists():
            assert first.poll() is None, first.stdout.read()
        second = start("ns/m-1")
        for p in (first, second):
            said = p.communicate(timeout=60)[0].splitlines()
            assert p.returncode == 0, said
            assert json.loads(said[-1])["commits"] == 1, said
        told = next(r["at"] for r in hub.log if r["step"] == "create")
        early = [r["path"] for r in hub.log if told < r["at"] < told + 2.8]
        assert not early, early
        assert {"ns/m-0", "ns/m-1"} == set(hub.repos)


# Most of their time is waiting, so they wait together.
in_parallel(lambda name: run_all({name: globals()[name]}), [name for name in globals() if name.startswith("test_")])
