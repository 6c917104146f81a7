"""quern init: the questions in a real terminal, the same as flags, and the file that comes out."""
import os
import pty
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from matrix import QUERN, Matrix, environment, expect, run_all  # noqa: E402
from model_hub import Hub, Repo  # noqa: E402
from models import tiny  # noqa: E402

LLAMA = b'{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}'


class Terminal:
    """quern at a terminal of its own: say() waits for a question and types the answer."""

    def __init__(self, m, *args, **env):
        self.keyboard, terminal = pty.openpty()
        # A session of its own with the terminal in it, so that Ctrl-C is a signal.
        self.p = subprocess.Popen([QUERN, *map(str, args)], cwd=m.root, stdin=terminal, stdout=terminal,
                                  stderr=terminal, env=environment(**{"TERM": "xterm", **env}),
                                  start_new_session=True, preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)))
        os.close(terminal)
        self.seen = self.all = ""

    def read(self):
        assert select.select([self.keyboard], [], [], 30)[0], self.all
        try:
            more = os.read(self.keyboard, 65536).decode()
        except OSError:
            more = ""
        self.seen += more
        self.all += more
        return more

    def wait_for(self, text):
        while text not in self.seen:
            assert self.read(), f"{text!r} was never said:\n{self.all}"
        self.seen = self.seen[self.seen.index(text) + len(text):]

    def say(self, question, answer):
        self.wait_for(question)
        os.write(self.keyboard, answer.encode() + (b"" if answer in "\x03\x04" and answer else b"\n"))

    def end(self, code):
        while self.read():
            pass
        os.close(self.keyboard)
        assert self.p.wait(20) == code, f"exit {self.p.returncode}, not {code}:\n{self.all}"
        return self.all


def llama(m):
    expect(m.quern("fake", "llama-tiny", "llama"), 0)
    (m.root / "jobs.yaml").unlink()
    return m


def test_enter_all_the_way_through():
    with llama(Matrix()) as m:
        t = Terminal(m, "init")
        t.say("Model", "llama")
        t.wait_for("LlamaForCausalLM")
        for question in ("Engine?", "Quantizations?", "Hybrid", "Optimization", "Publish to", "Account", "Write jobs.yaml?"):
            t.say(question, "")
        t.say("Run it now?", "n")
        said = t.end(0)
        assert "1 point: 1 new" in said and "memory at most" in said and "\x1b[1m" in said
        expect(m.quern("plan"), 0, "llama/gguf/Q4_K_M", "1 point: 1 new")


def test_run_is_offered_and_runs():
    with llama(Matrix()) as m:
        t = Terminal(m, "init", "--engine", "gguf", "--quant", "Q8_0", "--model", "llama", "--hub", "none")
        for question in ("Hybrid", "Optimization", "Write jobs.yaml?", "Run it now?"):
            t.say(question, "")
        t.end(0)
        expect(m.quern("plan"), 0, "1 point: 1 converted")


def test_wrong_answers_are_explained_and_asked_again():
    with llama(Matrix()) as m:
        t = Terminal(m, "init", NO_COLOR="1")
        t.say("Model", "")
        t.wait_for("an answer is needed")
        t.say("Model", "./nowhere")
        t.wait_for("nowhere")
        t.say("Model", "nowhere")
        t.wait_for("named like org/name")
        t.say("Model", "a b/c")
        t.wait_for("a repository like org/name is wanted")
        t.say("Model", "./model")  # an architecture that nobody knows
        t.say("Engine?", "gguf")
        t.wait_for("does not know the architecture X")
        t.say("Engine?", "\x03")
        t.end(130)
        assert "\x1b[" not in t.all, "colours under NO_COLOR"
        t = Terminal(m, "init", "--model", "llama")
        t.say("Engine?", "gguff")
        t.wait_for("did you mean gguf?")
        t.say("Engine?", "gguf")
        t.say("Quantizations?", "Q8_0, Q9_0")
        t.wait_for('"Q9_0" is no choice')
        t.say("Quantizations?", "99")
        t.wait_for('"99" is no choice')
        t.say("Quantizations?", "q8_0, 1 F32")  # by name in any case, by number, twice
        t.say("Hybrid", "much")
        t.wait_for('"much" is not a number')
        t.say("Hybrid", "1.5")
        t.wait_for("1.5")
        t.say("Hybrid", "0, 0.5")
        t.say("Optimization", "7")
        t.wait_for("7")
        t.say("Optimization", "1")
        t.say("Publish to", "ftp://x")
        t.wait_for("a git server like")
        t.say("Publish to", "local")
        t.say("Account", "not/one")
        t.wait_for("the name of an account")
        t.say("Account", "me")
        t.say("Write jobs.yaml?", "maybe")
        t.wait_for("neither y nor n")
        t.say("Write jobs.yaml?", "y")
        t.say("Run it now?", "n")
        t.end(0)
        text = (m.root / "jobs.yaml").read_text()
        assert "quant: [Q8_0, F32]" in text and "hybrid: [0, 0.5]" in text and "namespace: me" in text, text
        expect(m.quern("plan"), 0, "4 points: 4 new")


def test_interrupt_and_end_of_input_leave_nothing():
    with llama(Matrix()) as m:
        before = sorted(os.listdir(m.root))
        for key in ("\x03", "\x04"):
            for last in ("Model", "Quantizations?", "Write jobs.yaml?"):
                t = Terminal(m, "init")
                for question in ("Model", "Engine?", "Quantizations?", "Hybrid", "Optimization", "Publish to", "Account",
                                 "Write jobs.yaml?"):
                    if question == last:
                        t.say(question, key)
                        break
                    t.say(question, "llama" if question == "Model" else "")
                assert "nothing was written" in t.end(130)
                assert sorted(os.listdir(m.root)) == before


def test_without_a_terminal_flags_or_defaults():
    with llama(Matrix()) as m:
        expect(m.quern("init"), 2, "init needs --model")
        expect(m.quern("init", "--model", "llama"), 2, "init needs --engine", "--yes")
        expect(m.quern("init", "--yes"), 2, "init needs --model")
        assert not (m.root / "jobs.yaml").exists()
        said = expect(m.quern("init", "--model", "llama", "--yes", TERM="xterm"), 0, "1 point: 1 new").stdout
        assert "\x1b[" not in said
        expect(m.quern("plan"), 0, "llama/gguf/Q4_K_M")
        old = (m.root / "jobs.yaml").read_bytes()
        expect(m.quern("init", "--model", "llama", "--yes", "--quant", "F16"), 2, "--force writes over it")
        assert (m.root / "jobs.yaml").read_bytes() == old
        expect(m.quern("init", "--model", "llama", "--yes", "--quant", "F16", "--force"), 0)
        expect(m.quern("plan"), 0, "llama/gguf/F16")


def test_all_flags_and_nasty_values():
    with llama(Matrix()) as m:
        os.rename(m.root / "llama", m.root / "a ${HOME}: 'b' #c")
        expect(m.quern("init", "-f", "sub.yaml", "--model", "./a ${HOME}: 'b' #c", "--name", "x", "--engine", "gguf", "--quant",
                       "F16,Q8_0", "--hybrid", "0.0,0.5", "--opt", "0", "--with", "pure=true", "--with",
                       'tensor_type={"${PATH}": "Q6_K"}', "--hub", "http://127.0.0.1:1", "--namespace", "me", "--private", "--yes"),
               0, "4 points: 4 new", "before publishing: ", "HF_TOKEN")
        text = (m.root / "sub.yaml").read_text()
        assert "$${HOME}" in text and "$${PATH}" in text and "private: true" in text, text
        expect(m.quern("plan", "-f", "sub.yaml", HF_TOKEN="hf_x"), 0, "4 points: 4 new")
        for flags, why in ((["--engine", "nope"], "--engine: "), (["--quant", "Q99"], "--quant: "),
                           (["--hybrid", "2"], "--hybrid: "), (["--opt", "0.5"], "--opt: "), (["--with", "pure"], "--with: "),
                           (["--with", "purr=1"], "no parameter"), (["--hub", "here"], "--hub: "),
                           (["--platform", "rk3588"], "no platforms"), (["--with", "pure=7"], "pure is 7"),
                           (["--hub", "https://u:p@h"], "password")):
            done = expect(m.quern("init", "-f", "new.yaml", "--yes", "--model", "fake:llama-tiny", "--engine", "gguf", *flags), 2, why)
            assert not (m.root / "new.yaml").exists() and "u:p" not in done.stdout


def test_an_adapter():
    with llama(Matrix()) as m:
        (m.root / "tuned").mkdir()
        flags = ("init", "--model", "llama", "--engine", "gguf", "--yes")
        expect(m.quern(*flags, "--lora", "./nowhere"), 2, "--lora: ./nowhere")
        expect(m.quern(*flags, "--lora", "fake:llama-tiny"), 2, "--lora: ")
        assert not (m.root / "jobs.yaml").exists()
        expect(m.quern(*flags, "--lora", "./tuned"), 2, "nothing of this can be done", "adapter_config.json")
        expect(m.quern("convert", "llama", "-o", "x.gguf", "-e", "gguf", "-q", "F16", "--lora", "./nowhere"), 2, "--lora: ./nowhere")
        expect(m.quern("convert", "llama", "-o", "x.gguf", "-e", "gguf", "-q", "F16", "--lora", "tuned"), 2, "adapter_config.json")


def test_a_file_elsewhere_names_the_folder_in_full():
    with llama(Matrix()) as m:
        (m.root / "sub").mkdir()
        expect(m.quern("init", "-f", "sub/jobs.yaml", "--model", "llama", "--yes"), 0)
        assert f"path: {os.path.realpath(m.root)}/llama" in (m.root / "sub" / "jobs.yaml").read_text()
        expect(m.quern("plan", "-f", "sub/jobs.yaml"), 0, "1 point: 1 new")


def test_platforms_with_different_quants_become_targets():
    with llama(Matrix()) as m:
        engines = m.root / "engines"
        engines.mkdir()
        text = (Path(os.environ["QUERN_SOURCE"]) / "tests/data/manifests/rkllm.yaml").read_text()
        (engines / "rkllm.yaml").write_text(re.sub("program: .*", "program: /bin/true", text))
        for flags in (["--platform", "rk3588,RK3576", "--quant", "all", "--with", "max_context=8192"],):
            expect(m.quern("init", "--model", "llama", "--yes", "--engine", "rkllm", *flags, QUERN_ENGINES=engines), 0, "4 points")
        text = (m.root / "jobs.yaml").read_text()
        assert 'repo: "{model}-{platform}"' in text and "max_context: 8192" in text, text
        said = expect(m.quern("plan", QUERN_ENGINES=engines), 0, "4 points").stdout
        assert "not legal" not in said
        expect(m.quern("init", "--force", "--model", "llama", "--yes", "--engine", "rkllm", "--hybrid", "1.0", QUERN_ENGINES=engines), 2,
               "--hybrid: ")


def test_a_model_of_a_hub_is_looked_up():
    with llama(Matrix()) as m, Hub() as hub:
        hub.repos["org/tiny"] = Repo(tiny(**{"config.json": LLAMA}))
        hub.repos["org/shut"] = Repo(tiny(), gated="manual")
        env = {"HF_ENDPOINT": hub.url, "HF_HOME": m.root / "hf"}
        t = Terminal(m, "init", "--engine", "gguf", "--quant", "F16", "--hybrid", "0", "--opt", "0", "--hub", "none", **env)
        t.say("Model", "org/tinny")
        t.wait_for("org/tinny does not exist")
        t.say("Model", "org/tiny")
        t.wait_for("LlamaForCausalLM")
        t.say("Write jobs.yaml?", "")
        t.say("Run it now?", "n")
        t.end(0)
        expect(m.quern("plan", **env), 0, "1 point: 1 new")
        expect(m.quern("init", "-f", "g.yaml", "--model", "org/none", "--yes", **env), 2, "--model: org/none does not exist")
        expect(m.quern("init", "-f", "g.yaml", "--model", "org/shut", "--yes", **env), 0, "org/shut is gated", "not known yet")
        assert (m.root / "g.yaml").exists()


def test_a_look_at_a_hub_leaves_nothing_without_a_file():
    with llama(Matrix()) as m, Hub() as hub:
        hub.repos["org/tiny"] = Repo(tiny(**{"config.json": LLAMA}))
        for kept in (None, "state.db"):
            t = Terminal(m, "init", "--model", "org/tiny", HF_ENDPOINT=hub.url, HF_HOME=m.root / "hf")
            t.wait_for("Engine?")
            assert (m.root / ".quern/cache/hub").is_dir()
            if kept:  # a run has begun meanwhile
                (m.root / ".quern" / kept).write_text("mine")
            os.write(t.keyboard, b"\x03")
            t.end(130)
            left = [str(p.relative_to(m.root)) for p in m.root.glob(".quern/**/*")]
            assert left == ([f".quern/{kept}"] if kept else []) and (m.root / ".quern").exists() == bool(kept), left


def test_a_hub_that_is_not_there_leaves_the_file_to_write():
    with llama(Matrix()) as m:
        expect(m.quern("init", "--model", "org/x", "--yes", HF_HUB_OFFLINE="1", HF_HOME=m.root / "hf"), 0,
               "HF_HUB_OFFLINE", "not known yet", "next: quern run")
        assert "id: org/x" in (m.root / "jobs.yaml").read_text()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    run_all(dict(globals()))
