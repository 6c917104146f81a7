"""Models of the test Hub, which official clients use unchanged: converted with faults on, and with nothing left to do."""
import concurrent.futures
import json
import shutil
import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "lib"), str(HERE.parent / "hub")]
from hub_files import publish  # noqa: E402
from matrix import QUERN, Matrix, environment, expect, run_all  # noqa: E402
from models import safetensors, tiny  # noqa: E402
from testhub import TestHub  # noqa: E402

JOBS = """\
version: 1
name: test
work: work
models:
  - {id: my-org/tiny, name: m}
targets:
  - {engine: noop, quant: none, opt: [0, 1]}
resources: {jobs: 2, memory: 1GiB, disk_reserve: 1MiB, grace: 1s}
retry: {attempts: 2, backoff: 10ms}
upload: {hub: local, namespace: ns, repo: "{model}", file: "{model}-{quant}-opt-{opt}"}
"""


class Place(Matrix):
    def __init__(self, mib=0, text=JOBS, **settings):
        super().__init__(text)
        self.hub = TestHub().__enter__()
        self.hub.repo("my-org/tiny", **settings)
        self.files = tiny(mib)
        self.commit = publish(self.hub, "my-org/tiny", self.files)
        self.hub.forget()

    def __exit__(self, kind, *rest):
        self.hub.__exit__(kind, *rest)
        self.remove()

    def quern(self, *args, **env):
        given = {"HF_ENDPOINT": self.hub.endpoint, "HF_HOME": self.root / "hf", **env}
        return super().quern(*args, timeout=120, **given)

    def fetch(self, *args, **env):
        given = {"HF_ENDPOINT": self.hub.endpoint, "HF_HOME": self.root / "hf", **env}
        done = subprocess.run([QUERN, "fetch-repo", "--repo", "my-org/tiny", *args], cwd=self.root, timeout=120,
                              env=environment(**given), stdout=subprocess.PIPE, text=True)
        return done.returncode, json.loads(done.stdout.splitlines()[-1])

    def plan_and_fetch(self, **env):
        """A plan looks at headers, a fetch takes the files."""
        code, last = self.fetch("--metadata", **env)
        return (code, last) if code else self.fetch(**env)

    def check(self):
        for name, data in self.files.items():
            path = self.root / "hf/hub/models--my-org--tiny/snapshots" / self.commit / name
            assert path.read_bytes() == data, name
        assert not self.hub.log()["leaks"]


def test_a_matrix_is_done_and_then_nothing():
    with Place() as p:
        expect(p.quern("run"), 0, "2 converted")
        p.check()
        p.hub.forget()
        expect(p.quern("run"), 0, "nothing to do")
        assert len(p.hub.requests()) == 1, p.hub.requests()
        p.files = tiny(seed=2)
        p.commit = publish(p.hub, "my-org/tiny", p.files)
        expect(p.quern("plan"), 0, "2 changed")
        expect(p.quern("run"), 0, "2 converted")
        p.check()


STEPS = [("hub", "GET", "/api/models/my-org/tiny/revision/*"), ("hub", "GET", "/api/models/my-org/tiny/tree/*"),
         ("hub", "GET", "/my-org/tiny/resolve/*/config.json"), ("hub", "GET", "/my-org/tiny/resolve/*.safetensors"),
         ("hub", "HEAD", "/my-org/tiny/resolve/*.safetensors"), ("cdn", "GET", "/lfs/*")]
FAULTS = [[{"do": "status", "status": code} for code in (500, 502, 503)],
          [{"do": "status", "status": 504}, {"do": "status", "status": 429},
           {"do": "status", "status": 429, "headers": {"Retry-After": "0"}},
           {"do": "status", "status": 429, "headers": {"RateLimit": '"resolvers";r=0;t=1'}}],
          [{"do": "reset"}, {"do": "stall", "seconds": 1}, {"do": "truncate", "bytes": 20}, {"do": "length", "add": 5}]]


def survives(step, actions):
    origin, method, path = step
    if method == "HEAD":
        actions = [a for a in actions if a["do"] not in ("truncate", "length")]
    with Place(mib=17) as p:
        p.hub.faults(*({"origin": origin, "method": method, "path": path, "action": action} for action in actions))
        # a plan looks at headers, a fetch takes the files
        for options in ["--metadata"], []:
            code, last = p.fetch(*options)
            assert code == 0, (step, actions, last)
        done = [r for r in p.hub.requests(method) if r["origin"] == origin]
        assert len(done) > len(actions), (step, actions, done)
        p.check()


def test_each_step_survives_each_fault():
    with concurrent.futures.ThreadPoolExecutor(9) as pool:  # most of it is waiting
        for future in [pool.submit(survives, step, actions) for step in STEPS for actions in FAULTS]:
            future.result()


def test_a_range_that_stalls_or_trickles_is_asked_for_again():
    for action in {"do": "stall", "seconds": 600}, {"do": "trickle", "bytes": 200}:
        with Place(mib=17) as p:
            assert p.fetch("--metadata", "--memory", "memory")[0] == 0
            p.hub.faults({"origin": "cdn", "action": action})
            code, last = p.fetch("--memory", "memory", HF_HUB_DOWNLOAD_TIMEOUT=1)
            assert code == 0, last
            p.check()


def test_a_shorter_answer_is_gone_on_with():
    with Place(mib=17) as p:
        p.hub.faults({"origin": "cdn", "skip": 1, "action": {"do": "length", "add": -5}})
        code, last = p.fetch()
        assert code == 0, last
        p.check()


def test_a_page_instead_of_a_file_is_no_model():
    """A gateway's HTML, with 200, in the place of each thing that is asked for."""
    for origin, method, path in STEPS:
        if method == "HEAD":
            continue
        with Place(mib=17) as p:
            p.hub.faults({"origin": origin, "method": method, "path": path, "times": None, "action": {"do": "html"}})
            code, last = p.plan_and_fetch()
            assert code == 1 and last["event"] == "error" and last["message"], (path, last)
            assert not list((p.root / "hf/hub").glob("*/snapshots/*/model.safetensors")), path
            p.hub.faults()
            assert p.plan_and_fetch()[0] == 0
            p.check()


def test_the_token_follows_to_no_other_host():
    """Each thing that is asked for sends elsewhere: to a host that writes down what it is sent."""
    heard = []

    class Other(Missing):
        def do_GET(self):
            heard.append(dict(self.headers))
            super().do_GET()
        do_HEAD = do_GET
    server = ThreadingHTTPServer(("127.0.0.1", 0), Other)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    for origin, method, path in STEPS:
        with Place(mib=17) as p:
            p.hub.faults({"origin": origin, "method": method, "path": path, "times": None,
                          "action": {"do": "redirect", "to": f"http://localhost:{server.server_port}/else/where?X-Signature=1"}})
            code, last = p.plan_and_fetch(HF_TOKEN=p.hub.token)
            assert code == 1, (path, last)
            assert "X-Signature" not in last["message"], last
    assert heard  # files may lie elsewhere, answers of the hub may not
    assert not [h for h in heard if "authorization" in {name.lower() for name in h}], heard
    server.shutdown()
    server.server_close()


def test_a_hub_that_names_no_commit():
    for commit in "../../../../etc", "a" * 39, "A" * 40, "":
        with Place() as p:
            p.hub.faults({"path": "/api/models/*", "times": None, "action": {"do": "replace", "old": p.commit, "new": commit}})
            code, last = p.fetch()
            assert code == 1 and "names no commit" in last["message"], (commit, last)
            assert not (p.root / "hf/hub/models--my-org--tiny/snapshots").exists()


MERGER = """\
manifest: 1
name: merger
version: 1.0.0
summary: puts model and adapter into one file
program: merge
lora: true
formats: {in: [safetensors], out: merged}
extension: .merged
verbs: [convert]
quant: {none: 8}
hybrid: {min: 0, max: 1}
opt: [0]
memory: {base: 1MiB}
output: {vector_bits: 8}
"""
MERGE = r"""#!/bin/sh
set -eu
dir_of() { sed -n "/\"$1\"/,/}/s/.*\"dir\": *\"\([^\"]*\)\".*/\1/p" job.json; }
file=$(sed -n 's/.*"file": *"\([^"]*\)".*/\1/p' job.json).merged
cat "$(dir_of source)/model.safetensors" "$(dir_of lora)/adapter_model.safetensors" >"out/$file"
printf '{"protocol":1,"status":"ok","files":[{"path":"%s","size":%s,"sha256":"%s"}],"facts":{}}' "$file" \
	"$(stat -c %s "out/$file")" "$(sha256sum <"out/$file" | cut -d" " -f1)" >result.json
"""


def test_an_adapter_is_fetched_for_engines_that_merge_one():
    text = JOBS.replace("name: m", "name: m, lora: my-org/adapter").replace("noop, quant: none, opt: [0, 1]", "merger, quant: none")
    with Place(text=text) as p:
        engines = p.root / "engines"
        engines.mkdir()
        (engines / "merger.yaml").write_text(MERGER)
        (engines / "merge").write_text(MERGE)
        (engines / "merge").chmod(0o755)
        env = {"QUERN_ENGINES": engines}
        expect(p.quern("plan", **env), 0, "lora: my-org/adapter does not exist")
        p.hub.repo("my-org/adapter")
        publish(p.hub, "my-org/adapter", {"README.md": b"x"})
        expect(p.quern("plan", **env), 0, "no adapter that can be taken")
        adapter = {"adapter_config.json": b"{}", "adapter_model.safetensors": safetensors(seed=3)}
        commit = publish(p.hub, "my-org/adapter", adapter)
        expect(p.quern("plan", **env), 0, "1 new")
        expect(p.quern("run", **env), 0, "1 converted")
        made, = (p.work / "artifacts").glob("*/*.merged")
        assert made.read_bytes() == p.files["model.safetensors"] + adapter["adapter_model.safetensors"]
        assert p.sql("SELECT lora, lora_version FROM job") == [("my-org/adapter", commit)]
        expect(p.quern("run", **env), 0, "nothing to do")


def test_a_certificate_that_nobody_trusts():
    """A hub behind TLS with a certificate of its own: refused, and taken when SSL_CERT_FILE names it."""
    with Place() as p:
        cert, key = p.root / "cert.pem", p.root / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"], check=True, stderr=subprocess.DEVNULL)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        server = ThreadingHTTPServer(("127.0.0.1", 0), Missing)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        address = f"https://localhost:{server.server_port}"
        code, last = p.fetch(HF_ENDPOINT=address)
        assert code == 1 and last["code"] == "env" and "SSL_CERT_FILE" in last["message"], last
        folder = p.root / "certs"
        folder.mkdir()
        shutil.copy(cert, folder)
        subprocess.run(["openssl", "rehash", folder], check=True)
        for name, value in (("SSL_CERT_FILE", cert), ("CURL_CA_BUNDLE", cert), ("REQUESTS_CA_BUNDLE", cert),
                            ("SSL_CERT_DIR", folder), ("REQUESTS_CA_BUNDLE", folder)):
            code, last = p.fetch(HF_ENDPOINT=address, **{name: value})
            assert code == 1 and last["code"] == "notfound", (name, last)
        server.shutdown()
        server.server_close()


class Missing(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


def test_rate_limits_are_kept():
    with Place() as p:
        p.hub.set(limits={"resolvers": {"requests": 1, "seconds": 1}})
        code, last = p.fetch()
        assert code == 0, last
        p.check()


def test_wrong_bytes_never_become_a_model():
    with Place(mib=17) as p:
        assert p.fetch("--metadata", "--memory", "memory")[0] == 0
        p.hub.faults({"origin": "cdn", "method": "GET", "times": None, "action": {"do": "corrupt", "at": 1000}})
        code, last = p.fetch("--memory", "memory")
        assert code == 1 and "does not have the hash" in last["message"], last
        p.hub.faults()
        assert p.fetch("--memory", "memory")[0] == 0
        p.check()


def test_a_hub_that_lies_is_caught():
    with Place(mib=17) as p:
        p.hub.set(lie_size=5)
        code, last = p.fetch()
        assert code == 1 and "another size" in last["message"], last


def test_redirects_in_a_circle_end():
    for path in "/api/*", "/my-org/tiny/resolve/*", "/lfs/*":
        with Place(mib=17) as p:
            p.hub.faults({"path": path, "times": None, "action": {"do": "redirect", "to": "self"}})
            code, last = p.plan_and_fetch()
            assert code == 1 and "without an end" in last["message"], (path, last)


def test_private_and_gated_repositories():
    with Place(private=True) as p:
        expect(p.quern("plan"), 0, "does not exist, or is private", "hf auth login")
        expect(p.quern("run", HF_TOKEN=p.hub.token), 0, "2 converted")
    with Place(gated="auto") as p:
        expect(p.quern("plan"), 0, "my-org/tiny is gated")
        expect(p.quern("plan", HF_TOKEN=p.hub.reader), 0, "your token has no access")


def test_a_token_that_is_revoked_in_the_middle():
    """At each thing that is asked of the hub: said so, and what came before it stays."""
    for origin, method, path in STEPS[:-1]:
        with Place(mib=17, private=True) as p:
            p.hub.faults({"origin": origin, "method": method, "path": path, "action": {"do": "revoke"}})
            code, last = p.plan_and_fetch(HF_TOKEN=p.hub.token)
            assert code == 1 and "does not accept the token" in last["message"], (path, last)
            assert p.hub.token not in last["message"]


run_all(globals())
