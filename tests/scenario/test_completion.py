"""Completion in the three shells: each asks quern itself, so what one offers, the help lists."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from matrix import JOBS, QUERN, Matrix, environment, expect, run_all  # noqa: E402

DOCS = Path(__file__).resolve().parents[2] / "docs"
BASH = """source "$1"; COMP_WORDS=($2 "$3"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _quern; printf '%s\\n' "${COMPREPLY[@]}" """
FISH = 'source "$argv[1]"; complete -C "$argv[2] $argv[3]" | string replace -r "\\t.*" ""; true'
# zsh completes in its line editor only: what the functions would tell it is printed instead.
ZSH = """_describe() { print -rl -- "${(@P)4}" }; _arguments() { }
source "$1"
case $2 in
quern) _quern_commands ;;
"quern show") _quern_jobs ;;
*) _quern_options ${2#quern } | sed -e 's/^(-[^)]*)//' -e 's/[+=]*\\[.*//' ;;
esac"""


def offered(shell, line, word, folder):
    flags = {"bash": ["--norc", "-c", BASH, "sh"], "fish": ["--no-config", "-c", FISH], "zsh": ["-fc", ZSH, "sh"]}[shell]
    assert shutil.which(shell), f"{shell} is not installed"
    env = environment(PATH=f"{Path(QUERN).parent}:{os.environ['PATH']}", HOME=folder)
    done = subprocess.run([shell, *flags, DOCS / f"quern.{shell}", line, word], cwd=folder, env=env,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr, done
    return {row.split(":")[0] for row in done.stdout.split("\n")}


def test_commands_and_options():
    with Matrix() as m:
        commands = {line.split()[0] for line in m.quern("help").stdout.splitlines() if line.startswith("  ")}
        assert {"run", "plan", "doctor"} <= commands
        options = {word.rstrip(",") for word in m.quern("help", "run").stdout.split() if word.startswith("--")}
        for shell in "bash", "fish", "zsh":
            assert commands <= offered(shell, "quern", "", m.root), shell
            assert options <= offered(shell, "quern run", "--", m.root), shell


def test_jobs_of_the_store():
    with Matrix(JOBS) as m:
        expect(m.quern("run"), 0)
        numbers = {str(number) for (number,) in m.sql("SELECT id FROM job")}
        for shell in "bash", "fish", "zsh":
            assert numbers <= offered(shell, "quern show", "", m.root), shell


run_all(globals())
