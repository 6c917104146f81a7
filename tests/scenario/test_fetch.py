"""Models of a hub: looked at, fetched, resumed, and refused with a sentence that helps."""
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from matrix import QUERN, Matrix, environment, expect, run_all  # noqa: E402
from models import MIB, safetensors, tiny  # noqa: E402
from model_hub import TOKEN, Hub, Repo, change, cut, expire, hold, html, reset, status  # noqa: E402

JOBS = """\
version: 1
name: test
work: work
models:
  - {id: org/tiny, name: m}
targets:
  - engine: noop
    quant: none
    opt: [0, 1]
resources: {jobs: 2, memory: 1GiB, disk_reserve: 1MiB, grace: 1s}
retry: {attempts: 2, backoff: 10ms}
upload: {hub: local, namespace: ns, repo: "{model}", file: "{model}-{quant}-opt-{opt}"}
"""


class Place(Matrix):
    """A matrix and a hub it fetches from."""

    def __init__(self, repo=None, text=JOBS):
        super().__init__(text)
        self.hub = Hub()
        self.hub.repos["org/tiny"] = repo or Repo(tiny())

    def __exit__(self, *exc):
        self.hub.__exit__()
        super().__exit__(*exc)

    def env(self, more):
        return {"HF_ENDPOINT": self.hub.url, "HF_HOME": self.root / "hf", **more}

    def quern(self, *args, **env):
        return super().quern(*args, **self.env(env))

    def start(self, *args, **env):
        return super().start(*args, **self.env(env))

    @property
    def cache(self):
        return self.root / "hf" / "hub" / "models--org--tiny"

    def snapshot(self, commit=None):
        return self.cache / "snapshots" / (commit or self.hub.repos["org/tiny"].head)

    def fetch(self, *args, repo="org/tiny", **env):
        """The child alone; its lines."""
        done = subprocess.run([QUERN, "fetch-repo", "--repo", repo, "--memory", "memory", *args], cwd=self.root,
                              env=environment(**self.env(env)), stdout=subprocess.PIPE, text=True, timeout=120)
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]

    def check(self):
        repo = self.hub.repos["org/tiny"]
        for name, data in repo.commits[repo.head].items():
            path = self.snapshot() / name
            if path.suffix != ".bin":
                assert path.read_bytes() == data, name
                assert path.is_symlink() and os.readlink(path).startswith("../../blobs/"), name
        assert not list(self.cache.glob("blobs/*.quern-part*"))


# ---- looking and converting

def test_a_model_of_a_hub_is_converted_and_then_nothing():
    with Place() as p:
        expect(p.quern("plan"), 0, "2 new", "apache-2.0")
        assert not p.hub.lines(r"^GET /org/tiny/resolve/.*/(?!config|README|model)"), p.hub.lines()
        expect(p.quern("run"), 0, "2 converted")
        p.check()
        assert (p.cache / "refs" / "main").read_text() == p.hub.repos["org/tiny"].head
        p.hub.forget()
        expect(p.quern("run"), 0, "nothing to do")
        assert len(p.hub.lines()) == 1, p.hub.lines()


def test_a_second_plan_costs_one_request_and_none_offline():
    with Place() as p:
        expect(p.quern("plan"), 0, "2 new")
        p.hub.forget()
        expect(p.quern("plan"), 0, "2 new")
        assert len(p.hub.lines()) == 1, p.hub.lines()
        expect(p.quern("plan", HF_HUB_OFFLINE=1), 0, "not in the cache")
        expect(p.quern("run"), 0)
        p.hub.forget()
        expect(p.quern("plan", HF_HUB_OFFLINE=1), 0, "2 done")
        expect(p.quern("run", HF_HUB_OFFLINE="yes"), 0, "nothing to do")
        assert not p.hub.lines()


def test_a_moved_branch_makes_new_jobs():
    with Place() as p:
        expect(p.quern("run"), 0, "2 converted")
        p.hub.repos["org/tiny"].commit(tiny(seed=2))
        expect(p.quern("plan"), 0, "2 changed", "source content")
        expect(p.quern("run"), 0, "2 converted")
        p.check()
        assert len(p.states()) == 2


def test_only_what_is_needed_is_fetched():
    repo = Repo(tiny(**{"pytorch_model.bin": b"pickle", "onnx/model.onnx": b"x", "model.gguf": b"GGUF", ".gitattributes":
                        b"*", "consolidated.safetensors": safetensors(), "tokenizer.json": b"{}"}))
    with Place(repo) as p:
        code, lines = p.fetch()
        assert code == 0, lines
        names = {f.name for f in p.snapshot().iterdir()}
        assert names == {"config.json", "README.md", "model.safetensors", "tokenizer.json"}, names


def test_a_clone_of_a_known_blob_is_not_fetched_again():
    with Place() as p:
        assert p.fetch()[0] == 0
        p.hub.repos["org/tiny"].commit({**tiny(), "tokenizer.json": b"{}"})
        p.hub.forget()
        code, lines = p.fetch()
        assert code == 0 and lines[-1]["files_fetched"] == 1 and lines[-1]["files_kept"] == 3, lines
        p.check()


def test_many_models_are_looked_at_together():
    """Eight at a time, no more, and told in the order of the file."""
    names = [f"m{i:02}" for i in range(16)]
    with Place(text=JOBS.replace("  - {id: org/tiny, name: m}\n", "".join(f"  - {{id: org/{n}}}\n" for n in names))) as p:
        p.hub.repos = {f"org/{n}": Repo(tiny(seed=i)) for i, n in enumerate(names)}
        together, lock, most, now = threading.Barrier(8), threading.Lock(), 0, 0

        def meet(handler):
            nonlocal most, now
            with lock:
                now += 1
                most = max(most, now)
            together.wait(30)
            with lock:
                now -= 1
        p.hub.rule("GET /api/models/org/.*/revision", meet, times=16)
        told = expect(p.quern("plan"), 0, "32 new").stdout
        assert most == 8 and not together.broken, most
        assert [n for line in told.splitlines() for n in names if line.startswith(f"{n}: org/{n} at")] == names, told
        p.hub.rule("GET /api/models/org/m03/revision", status(404, X_Error_Code="RepoNotFound"), times=99)
        expect(p.quern("plan", "--only", "m0[1-4]/*"), 0, "6 new, 2 not legal", "org/m03 does not exist")
        p.hub.forget()
        expect(p.quern("plan", "--only", "m07/*"), 0, "2 new")
        assert len(p.hub.lines()) == 1, p.hub.lines()


def test_a_signal_ends_a_plan_that_waits_for_a_hub():
    with Place() as p:
        asked = threading.Event()

        def wait(handler):
            asked.set()
            time.sleep(20)
        p.hub.rule("GET /api", wait, times=99)
        run = p.start("run")
        assert asked.wait(30)
        run.terminate()
        assert run.wait(10) == 130, run.stdout.read()
        assert not p.sql("SELECT * FROM run")


# ---- what is refused

def refused(p, *words, code=0, **env):
    """A plan that says why, and a run that does nothing else."""
    expect(p.quern("plan", **env), code, "2 not legal", *words)
    expect(p.quern("run", **env), 1, *words)


def test_pickles_alone_are_refused():
    files = tiny()
    files["pytorch_model.bin"] = files.pop("model.safetensors")
    with Place(Repo(files)) as p:
        refused(p, "pickles only", "spaces/safetensors/convert")


def test_gated_private_disabled_and_missing_are_told_apart():
    with Place(Repo(tiny(), gated="auto")) as p:
        refused(p, "org/tiny is gated", f"accept its conditions at {p.hub.url}/org/tiny", "hf auth login")
        expect(p.quern("run", HF_TOKEN=TOKEN), 0, "2 converted")
    with Place(Repo(tiny(), gated="manual")) as p:
        refused(p, "your token has no access", f"ask for it at {p.hub.url}/org/tiny", HF_TOKEN=TOKEN)
    with Place(Repo(tiny(), private=True)) as p:
        refused(p, "does not exist, or is private", "hf auth login")
        expect(p.quern("run", HUGGING_FACE_HUB_TOKEN=TOKEN), 0, "2 converted")
    with Place(Repo(tiny(), disabled=True)) as p:
        refused(p, "was disabled by the hub")
    with Place() as p:
        del p.hub.repos["org/tiny"]
        refused(p, "does not exist", "your token may not see it", HF_TOKEN=TOKEN)
        refused(p, "does not accept the token", "/settings/tokens", HF_TOKEN="hf_old")


def test_an_unknown_revision_is_said():
    with Place(text=JOBS.replace("id: org/tiny", "id: org/tiny, revision: v9")) as p:
        refused(p, 'no branch, tag or commit "v9"')


def test_a_renamed_repository_is_followed_and_said():
    with Place() as p:
        p.hub.repos["org/new"] = p.hub.repos.pop("org/tiny")
        p.hub.renamed["org/tiny"] = "org/new"
        expect(p.quern("plan"), 0, "2 new", "org/tiny is called org/new now")
        p.hub.repos["org/tiny"] = p.hub.repos["org/new"]
        expect(p.quern("run"), 0, "2 converted")


def test_hostile_names_are_refused():
    for name in ("..\\evil.safetensors", "C:evil.safetensors", "\\\\host\\share.safetensors", "a\x01.safetensors"):
        with Place(Repo(tiny(**{name: safetensors()}))) as p:
            code, lines = p.fetch()
            assert code == 1 and "could lead out of its folder" in lines[-1]["message"], lines


def test_a_hub_that_answers_html_is_no_hub():
    with Place() as p:
        p.hub.rule("GET /api", html, times=99)
        refused(p, "no JSON")


def test_nothing_at_the_address():
    with Place() as p:
        env = {"HF_ENDPOINT": "http://no-such-host.invalid"}
        expect(p.quern("plan", **env), 0, "no-such-host.invalid", "check the network")


def test_an_adapter_is_refused_by_engines_that_merge_none():
    with Place(text=JOBS.replace("name: m", "name: m, lora: org/adapter")) as p:
        refused(p, "lora org/adapter: engine noop merges no adapters")


# ---- faults on the way

def test_faults_of_the_hub_are_outlived():
    for pattern in ("GET /api/models/org/tiny/revision", "GET /api/models/org/tiny/tree",
                    "GET /org/tiny/resolve/.*config", "HEAD /org/tiny/resolve/.*safetensors", r"GET /org/tiny/\w{64}"):
        with Place(Repo(tiny(mib=20))) as p:
            p.hub.rule(pattern, status(503))
            p.hub.rule(pattern, reset)
            p.hub.rule(pattern, status(429, Retry_After="0"))
            code, lines = p.fetch()
            assert code == 0, (pattern, lines)
            assert not any(rule.times for rule in p.hub.rules), pattern
            p.check()


def test_a_body_that_stops_early_goes_on_where_it_stopped():
    with Place(Repo(tiny(mib=20))) as p:
        assert p.fetch("--metadata")[0] == 0
        p.hub.forget()
        p.hub.rule(r"GET /org/tiny/\w{64}", cut(0.5))
        code, lines = p.fetch()
        assert code == 0, lines
        p.check()
        size = len(p.hub.repos["org/tiny"].commits[p.hub.repos["org/tiny"].head]["model.safetensors"])
        assert sum(line["bytes_fetched"] for line in lines if line["event"] == "fetched") <= size + 1000
        assert len(p.hub.ranges(r"GET /org/tiny/\w{64}")) == 3


def test_signed_addresses_run_out():
    with Place(Repo(tiny(mib=40))) as p:
        p.hub.rule(r"GET /org/tiny/\w{64}", expire)
        code, lines = p.fetch()
        assert code == 0, lines
        p.check()


def test_wrong_bytes_are_asked_for_again_and_then_said():
    with Place(Repo(tiny(mib=20))) as p:
        assert p.fetch("--metadata")[0] == 0
        p.hub.rule(r"GET /org/tiny/\w{64}", change(lambda data: bytes(len(data))))
        assert p.fetch()[0] == 0
        p.check()
    with Place(Repo(tiny(mib=20))) as p:
        assert p.fetch("--metadata")[0] == 0
        p.hub.rule(r"GET /org/tiny/\w{64}", change(lambda data: bytes(len(data))), times=99)
        code, lines = p.fetch()
        assert code == 1 and "does not have the hash" in lines[-1]["message"], lines
        assert not (p.snapshot() / "model.safetensors").exists()


def test_a_server_without_ranges_is_enough():
    with Place(Repo(tiny(mib=20))) as p:
        assert p.fetch("--metadata")[0] == 0

        def whole(handler):
            del handler.headers["Range"]
        p.hub.rule(r"GET /org/tiny/\w{64}", whole, times=99)
        code, lines = p.fetch()
        assert code == 0, lines
        p.check()


def test_a_hub_that_lies_about_sizes_is_caught():
    with Place(Repo(tiny(mib=20))) as p:
        assert p.fetch("--metadata")[0] == 0
        repo = p.hub.repos["org/tiny"]
        short = repo.commits[repo.head]["model.safetensors"][:-5]
        p.hub.rule(r"GET /org/tiny/\w{64}", lambda handler: handler.reply_file(short), times=99)
        code, lines = p.fetch()
        assert code == 1 and lines[-1]["event"] == "error", lines
        assert not (p.snapshot() / "model.safetensors").exists()


# ---- kill -9

def test_a_killed_fetch_goes_on_with_the_missing_ranges():
    with Place(Repo(tiny(mib=80))) as p:
        assert p.fetch("--metadata")[0] == 0
        p.hub.forget()
        done = threading.Event()
        p.hub.rule(r"GET /org/tiny/\w{64}", lambda handler: None, times=2)
        p.hub.rule(r"GET /org/tiny/\w{64}", hold(done, 60), times=99)
        child = subprocess.Popen([QUERN, "fetch-repo", "--repo", "org/tiny", "--memory", "memory"], cwd=p.root,
                                 env=environment(**p.env({})), stdout=subprocess.PIPE, text=True)
        for line in child.stdout:  # two ranges of 16 MiB are there
            if json.loads(line).get("done", 0) >= 32 * MIB:
                break
        child.kill()
        child.wait()
        done.set()
        first = p.hub.ranges(r"GET /org/tiny/\w{64}")[:2]
        p.hub.rules.clear()
        p.hub.forget()
        code, lines = p.fetch()
        assert code == 0, lines
        again = p.hub.ranges(r"GET /org/tiny/\w{64}")
        assert not set(first) & set(again), (first, again)
        p.check()


def test_a_killed_run_goes_on():
    with Place(Repo(tiny(mib=80))) as p:
        done = threading.Event()
        p.hub.rule(r"GET /org/tiny/\w{64}\?.*", lambda handler: None, times=3)
        p.hub.rule(r"GET /org/tiny/\w{64}", hold(done, 60), times=99)
        run = p.start("run")
        journal = lambda: [f for f in p.cache.glob("blobs/*.done") if b"#" in f.read_bytes()]  # noqa: E731
        end = time.monotonic() + 30
        while not journal() and time.monotonic() < end:
            time.sleep(0.02)
        assert journal()
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        done.set()
        p.hub.rules.clear()
        expect(p.quern("run"), 0, "2 converted")
        p.check()


def test_a_fetch_that_dies_at_each_of_its_steps():
    """What has a name is whole; what is missing is fetched, and the client's cache is as it should be."""
    with Place(Repo(tiny(mib=17))) as p:
        assert p.fetch("--metadata")[0] == 0
        files = p.hub.repos["org/tiny"].commits[p.hub.repos["org/tiny"].head]
        died, n = 99, 0
        while died:
            n += 1
            shutil.rmtree(p.cache, ignore_errors=True)
            died, lines = p.fetch(QUERN_CRASH_AT=n)
            assert died in (0, 99), lines
            for link in p.snapshot().iterdir():
                assert link.name.startswith(".quern-") or link.read_bytes() == files[link.name], (n, link)
            for blob in (p.cache / "blobs").iterdir():
                assert ".quern-part" in blob.name or blob.read_bytes() in files.values(), (n, blob)
            code, lines = p.fetch()
            assert code == 0, (n, lines)
            p.check()
        assert n > 15, n  # seven steps of the large file with two ranges, five of each small one


# ---- the way there

class Proxy(BaseHTTPRequestHandler):
    """Asks the hub for everything, whatever host is named; tunnels nowhere."""

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.server.heard.append((f"{self.command} {self.path}", dict(self.headers)))
        path = "/" + self.path.split("/", 3)[3]
        rq = urllib.request.Request(self.server.hub.url + path, headers=dict(self.headers), method=self.command)
        with urllib.request.urlopen(rq) as answer:
            body = answer.read()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                if name not in ("Server", "Date"):
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    def do_CONNECT(self):
        self.server.heard.append((f"{self.command} {self.path}", dict(self.headers)))
        self.send_error(403)


def test_proxies():
    with Place() as p:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
        server.hub, server.heard = p.hub, []
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        address = f"127.0.0.1:{server.server_port}"
        far = {"HF_ENDPOINT": "http://hub.invalid", "HF_TOKEN": TOKEN}
        for name in "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy":
            server.heard.clear()
            code, lines = p.fetch(**far, **{name: f"http://me:secret@{address}"})
            assert code == 0, (name, lines)
            assert all(line.split()[1].startswith("http://hub.invalid/") for line, _ in server.heard)
            assert server.heard[0][1]["Proxy-Authorization"].startswith("Basic "), server.heard[0]
            shutil.rmtree(p.root / "hf")
        # a tunnel gets no token of ours, and a refusal of it is said without the proxy's password
        server.heard.clear()
        secure = {**far, "HF_ENDPOINT": "https://hub.invalid"}
        code, lines = p.fetch("--metadata", **secure, HTTPS_PROXY=f"http://me:secret@{address}")
        assert code == 1 and "proxy" in lines[-1]["message"] and "secret" not in lines[-1]["message"], lines
        assert {line for line, _ in server.heard} == {"CONNECT hub.invalid:443"}, server.heard
        assert not any(TOKEN in str(headers) for _, headers in server.heard)
        # what is near needs none
        server.heard.clear()
        for names in {"NO_PROXY": "127.0.0.1"}, {"no_proxy": "127.0.0.1"}, {"NO_PROXY": "*"}:
            assert p.fetch("--metadata", HTTP_PROXY=f"http://{address}", ALL_PROXY=f"http://{address}", **names)[0] == 0, names
        # and no client of a web server chooses ours
        assert p.fetch("--metadata", HTTP_PROXY=f"http://{address}", REQUEST_METHOD="GET")[0] == 0
        assert not server.heard
        server.shutdown()
        server.server_close()


# ---- secrets

def test_the_token_is_nowhere():
    with Place(Repo(tiny(), private=True)) as p:
        done = expect(p.quern("run", HF_TOKEN=TOKEN), 0, "2 converted")
        assert TOKEN not in done.stdout
        for line, headers, is_cdn in p.hub.requests:
            assert TOKEN not in line
            assert not is_cdn or "Authorization" not in headers
        for path in p.root.rglob("*"):
            if path.is_file():
                assert TOKEN.encode() not in path.read_bytes(), path


run_all(globals())
