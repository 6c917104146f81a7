"""Workers in containers, by a real podman, and by docker's own program before podman's daemon: what a worker can do in
there, what it leaves, what people are told. SKIP where containers cannot be started."""
import json
import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from matrix import BUILD, Matrix, expect, run_all  # noqa: E402
from podman import Podman  # noqa: E402

ENGINES = BUILD / "test-container-engines"
IMAGE = "localhost/quern-probe:1"
TOKEN = "hf_nobodyshallseethis"

JOBS = """\
version: 1
name: test
work: work
models: [{path: model, name: m}]
targets: [{engine: probe, quant: none, opt: OPTS, with: WITH}]
engines: {probe: {environments: [ENVIRONMENT]}}
resources: {jobs: 2, memory: 1GiB, disk_reserve: 1MiB, grace: 20s, timeout: TIMEOUT}
retry: {attempts: 1}
upload: {hub: local, namespace: ns, repo: "{model}", file: "{model}-opt-{opt}"}
"""
podman = Podman()


def matrix(environment="{container: %s, runtime: podman}" % IMAGE, opts="[0]", given="{}", timeout="5m"):
    m = Matrix(JOBS.replace("ENVIRONMENT", environment).replace("OPTS", opts).replace("WITH", given)
               .replace("TIMEOUT", timeout))
    m.settings = {**podman.settings, "QUERN_ENGINES": ENGINES, "HF_TOKEN": TOKEN, "HTTP_PROXY": "http://user:secret@proxy",
                  "HOME": "/root"}
    return m


def nothing_left(m):
    assert podman.containers() == [], podman.containers()
    assert list((m.work / "containers").iterdir()) == []


def look_at_walls(m, tmp=("write_tmp",)):
    [path] = m.work.glob("artifacts/*/m-opt*.json")
    found = json.loads(path.read_text())
    assert found["uid"] == os.geteuid() and found["gid"] == os.getegid(), found
    assert path.stat().st_uid == os.geteuid()
    assert found["pid"] == 1, found
    assert set(found["capabilities"]) == {"0000000000000000"}, found
    assert (found["no_new_privileges"], found["seccomp"]) == ("1", "2"), found
    assert found["interfaces"] == ["lo"] and found["connect"], found
    for name in ("write_root", "write_source", "write_program", *tmp):
        assert found[name], (name, found)
    assert found["core"] == 0 and found["pids"] == "4096", found
    assert 1 << 30 < int(found["memory"]) < 1 << 40, found
    assert found["environment"]["HOME"] == found["environment"]["TMPDIR"] == found["folder"], found
    assert TOKEN not in json.dumps(found) and "secret" not in json.dumps(found), found
    assert "HF_TOKEN" not in found["environment"], found
    assert found["job"] == {"path": None, "container": IMAGE, "version": "1.2.3"}, found


def test_walls():
    with matrix() as m:
        expect(m.quern("run", **m.settings, timeout=300), 0, "1 converted")
        look_at_walls(m)
        nothing_left(m)
        [log] = m.work.glob("jobs/*/1/log")
        assert "on standard error" in log.read_text()
        [(version, rss)] = m.sql("SELECT j.engine_version, a.peak_rss_bytes FROM job j JOIN attempt a ON a.job_id = j.id")
        assert version == "1.0.0+1.2.3" and rss == 0, (version, rss)  # that of podman's program says nothing
        expect(m.quern("run", **m.settings), 0, "nothing to do")


def test_init_takes_an_image():
    with matrix() as m:
        if shutil.which("docker"):  # which is asked first, where there are both
            m.settings.update(podman.serve(), DOCKER_CONFIG=m.root)
        given = ("init", "--yes", "--force", "--model", "model", "--engine", "probe", "--quant", "none", "--hub", "none")
        expect(m.quern(*given, "--container", "localhost/nobody:1", **m.settings), 2, "--container: ", "localhost/nobody:1")
        expect(m.quern(*given, "--container", IMAGE, **m.settings), 0, "1 point: 1 new")
        assert f"environments:\n      - container: \"{IMAGE}\"\n" in (m.root / "jobs.yaml").read_text()
        expect(m.quern("plan", **m.settings), 0, "1 new")


def test_by_docker():
    docker = shutil.which("docker")
    if not docker:
        print("no docker here")
        return
    with matrix("{container: %s, runtime: docker}" % IMAGE) as m:
        m.settings.update(podman.serve(), DOCKER_CONFIG=m.root)
        # Docker's own settings would hand a proxy's password to every container.
        (m.root / "config.json").write_text(json.dumps({"proxies": {"default": {"httpProxy": "http://user:secret@proxy"}}}))
        expect(m.quern("run", **m.settings, timeout=300), 0, "1 converted")
        look_at_walls(m, tmp=())  # podman's daemon puts a tmpfs there, docker's does not
        nothing_left(m)


def test_failures():
    for act, cause in (("fail", "failed"), ("killed", "crash"), ("memory", "out of memory")):
        with matrix(given="{act: %s}" % act) as m:
            expect(m.quern("run", **m.settings, timeout=300), 1)
            [(got, said)] = m.sql("SELECT cause, message FROM job")
            assert got == cause, (act, got, said)
            if act == "fail":
                assert said == "as it was asked to", said
            nothing_left(m)


def test_time_is_up():
    with matrix(given="{act: slow_to_stop, sleep_ms: 300000}", timeout="3s") as m:
        expect(m.quern("run", **m.settings, timeout=300), 1)
        assert m.sql("SELECT cause FROM job") == [("timeout",)]
        nothing_left(m)


def test_what_is_missing():
    cases = (("{container: localhost/nobody:1, runtime: podman, version: 1.2.3}", "has no such image"),
             ("{container: %s, runtime: nerdctl}" % IMAGE, "no nerdctl in PATH"),
             ("{container: %s, runtime: podman, version: 9.9.9}" % IMAGE, "holds probe_toolkit 1.2.3 by its label"),
             ("{container: localhost/quern-plain:1, runtime: podman}", "nothing says which version"),
             ("{container: %s, runtime: /bin/false}" % IMAGE, "/bin/false cannot be used"))
    for environment, words in cases:
        with matrix(environment) as m:
            said = m.quern("plan", **m.settings).stdout
            assert words in said, (words, said)
    for environment, words in (("{container: x, path: y}", "it is one of them"), ("{runtime: podman, path: y}", "belong to"),
                               ("{container: -v}", "is the name of an image"), ("{version: 1.0}", "without `path` or")):
        with matrix(environment) as m:
            expect(m.quern("plan", **m.settings), 2, words)


def test_doctor():
    with matrix() as m:
        said = m.quern("doctor", **m.settings, timeout=300).stdout
        assert f"{IMAGE}: probe_toolkit 1.2.3, Python" in said, said
    with matrix("{container: %s, runtime: podman, python: python9}" % IMAGE) as m:
        said = m.quern("doctor", **m.settings, timeout=300).stdout
        assert "its Python does not run" in said, said
    with matrix("{container: localhost/quern-plain:1, runtime: podman, version: 1.0}") as m:
        said = m.quern("doctor", **m.settings, timeout=300).stdout
        assert "it holds no probe_toolkit, and 1.0 was announced" in said, said
    assert podman.containers() == []


def main():
    with podman:
        info = podman.folder / "packages/probe_toolkit-1.2.3.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: probe-toolkit\nVersion: 1.2.3\n")
        podman.image(IMAGE, standin=info.parent, label="io.quern.toolkit=1.2.3")
        podman.need_containers(IMAGE)
        podman.image("localhost/quern-plain:1")
        run_all(dict(globals()))


main()
