"""The environment means the same to quern and to the official Python client: cache, token, offline."""
import itertools
import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "lib"), str(HERE)]
from matrix import QUERN, Matrix, environment  # noqa: E402
from model_hub import Hub, Repo  # noqa: E402
from models import tiny  # noqa: E402

CLIENT = """
import json
from huggingface_hub import constants, get_token
print(json.dumps({"cache": constants.HF_HUB_CACHE, "token": get_token(), "endpoint": constants.ENDPOINT,
                  "offline": constants.HF_HUB_OFFLINE}))
"""
FOLDERS = [{}, {"HF_HOME": "{root}/a"}, {"XDG_CACHE_HOME": "{root}/x"}, {"HF_HOME": "~/t", "XDG_CACHE_HOME": "{root}/x"},
           {"HF_HUB_CACHE": "{root}/c"}, {"HUGGINGFACE_HUB_CACHE": "{root}/old"},
           {"HF_HUB_CACHE": "{root}/c", "HUGGINGFACE_HUB_CACHE": "{root}/old", "HF_HOME": "{root}/a"}]
TOKENS = [{}, {"HF_TOKEN": "hf_new"}, {"HUGGING_FACE_HUB_TOKEN": "hf_old"}, {"HF_TOKEN": "hf_new", "HUGGING_FACE_HUB_TOKEN": "hf_old"},
          {"HF_TOKEN": " hf_new\n"}, {"HF_TOKEN": ""}, {"HF_TOKEN": "\n"}, {"HF_TOKEN_PATH": "{root}/secret"},
          {"HF_TOKEN_PATH": "{root}/secret", "HF_TOKEN": "hf_new"}, {"HF_TOKEN_PATH": "{root}/missing"}]
OFFLINE = [{name: value} for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE") for value in ("1", "0", "on", "YES", "True", "x", "")]


def client(env):
    done = subprocess.run([sys.executable, "-c", CLIENT], env=env, timeout=120, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def ours(hub, env):
    """The same, as far as it is seen from outside."""
    hub.forget()
    done = subprocess.run([QUERN, "fetch-repo", "--repo", "org/tiny", "--metadata"], env=env, timeout=120, stdout=subprocess.PIPE,
                          text=True)
    answer = json.loads(done.stdout.splitlines()[-1])
    sent = {head.get("Authorization") for _, head, _ in hub.requests} or {None}
    assert len(sent) == 1, sent
    token = sent.pop()
    return {"cache": answer.get("cache"), "token": token and token.removeprefix("Bearer "), "offline": not hub.requests,
            "message": answer.get("message", "")}


def compare(hub, root, given):
    given = {k: v.replace("{root}", str(root)) for k, v in given.items()}
    env = environment(HOME=root / "home", HF_ENDPOINT=hub.url, **given)
    theirs, own = client(env), ours(hub, env)
    assert theirs["endpoint"] == hub.url
    assert own["offline"] == theirs["offline"], (given, own, theirs)
    if own["offline"]:
        assert theirs["cache"] in own["message"], (given, own, theirs)
        return
    assert own["token"] == theirs["token"], (given, own, theirs)
    assert own["cache"] is None or own["cache"] == theirs["cache"], (given, own, theirs)


def anybody(handler):
    """This hub knows every token."""
    del handler.headers["Authorization"]


with Matrix() as m, Hub() as hub:
    hub.repos["org/tiny"] = Repo(tiny())
    hub.rule(".", anybody, times=10000)
    (m.root / "secret").write_text(" hf_of_a_file\r\n")
    default = m.root / "home/.cache/huggingface/token"
    default.parent.mkdir(parents=True)
    default.write_text("hf_of_the_default_file\n")
    (m.root / "a").mkdir()
    (m.root / "a/token").write_text("hf_of_home\n")
    tables = [*FOLDERS, *TOKENS, *OFFLINE, *({**a, **b} for a, b in itertools.product(FOLDERS[1:2], TOKENS[:3]))]
    for given in tables:
        compare(hub, m.root, given)
    print(f"ok {len(tables)} environments")
