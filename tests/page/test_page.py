"""The report's page in headless Chromium: says nothing to the console, loads nothing, fits 360 px, passes an accessibility
checker in both schemes, shows a job's details, works without its script, and holds 20,000 points.

With QUERN_PAGE_SHOTS=DIR the pictures that were looked at are kept there.
"""
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import nights  # noqa: E402
from matrix import Matrix, expect, run_all  # noqa: E402

HERE = Path(__file__).resolve().parent
SHOTS = os.environ.get("QUERN_PAGE_SHOTS")
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> \x1b[31m\u202e'\"&"


def look(page, name, **env):
    command = ["node", HERE / "look.mjs", page] + ([str(Path(SHOTS) / name)] if SHOTS else [])
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=2400,
                          env={**os.environ, **env})
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def report(m, name):
    expect(m.quern("report", "-o", "r.html", timeout=600), 0)
    page = m.root / "r.html"
    if SHOTS:
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        shutil.copy(page, Path(SHOTS) / f"{name}.html")
    return page


def judge(r, name):
    backgrounds = {}
    for view in r["views"]:
        what = f"{name} at {view['width']} px, {view['scheme']}"
        assert view["said"] == [], (what, view["said"])
        assert view["overflow"] == {"page": 0, "elements": []}, (what, view["overflow"])
        assert view.get("accessibility", []) == [], (what, view["accessibility"])
        backgrounds[view["scheme"]] = view["background"]
        print(f"   {what}: loaded in {view['load_ms']} ms")
    assert backgrounds["light"] != backgrounds["dark"], backgrounds
    assert r["interaction_said"] == [], r["interaction_said"]
    assert r["details_accessibility"] == [], r["details_accessibility"]
    assert r["closed"] and r["focus_returns"] and r["by_keyboard"] and r["by_link"], r
    assert r["dialog_overflow"] <= 0, r["dialog_overflow"]
    assert "null" not in r["details"] and "undefined" not in r["details"], r["details"]
    bare = r["without_script"]
    assert not bare["dialog"] and not bare["form"], "without the script nothing of it is there"
    print(f"   {name}: details in {r['details_ms']} ms, {r['nodes']} elements, {r['heap_bytes'] >> 20} MiB of script memory")


def test_a_few_points():
    with Matrix() as m:
        expect(m.quern("run"), 0)
        nights.fill(m, 1, 6)
        r = look(report(m, "few"), "few")
        judge(r, "few")
        assert "quern show" in r["details"] and "SHA-256" in r["details"], r["details"]
        assert re.search(r"^[0-9a-f]{64}$|\t[0-9a-f]{64}$", r["details"], re.M), r["details"]
        for words in ("New on the hub", "The matrix", "Size against quality", "Earlier runs", "All jobs"):
            assert words in r["without_script"]["text"], words


def test_four_hundred_points_with_hostile_names():
    with Matrix() as m:
        expect(m.quern("run"), 0)
        nights.fill(m, 20, 20)
        with sqlite3.connect(m.work / "state.db") as db:
            db.execute("UPDATE job SET message = ? WHERE state = 6", (HOSTILE,))
            db.execute("UPDATE attempt SET message = ?, evidence_from = 'log', evidence = ? WHERE cause <> ''",
                       (HOSTILE, HOSTILE + " evidence " + "x" * 800))
            db.execute("UPDATE job SET model = ?, source = ? WHERE model = 'OLMo-2-7B'", (HOSTILE, HOSTILE))
            db.execute("UPDATE repo SET name = name || ? WHERE name LIKE '%OLMo-2-7B'", (HOSTILE,))
            db.execute("UPDATE artifact SET name = ? || id, facts = replace(facts, 'blk.0', ?)", (HOSTILE, "<b>\\u001b"))
            for i, snr in enumerate(("1e300", "-1e308", "1e-300", "true")):  # numbers of strangers
                db.execute("UPDATE artifact SET facts = replace(facts, '\"all\": [', ?) WHERE id % 9 = ?",
                           (f'"all": [0.5, {snr}, 1], "was": [', i))
            db.execute("UPDATE run SET name = ?, host = ?", (HOSTILE, HOSTILE))
            failed = db.execute("SELECT count(*) FROM job WHERE state = 6 AND run_id = (SELECT max(id) FROM run)").fetchone()[0]
        page = report(m, "mid")
        text = page.read_text()
        assert "\x1b" not in text and "\u202e" not in text and "<img" not in text
        r = look(page, "mid")
        judge(r, "mid")
        assert r["failed_shown"] == f"{failed} of {failed} jobs shown" and r["failed_rows"] == failed, r["failed_shown"]
        assert "<img src=x onerror=alert(2)>" in r["without_script"]["text"], "what was said is shown as it was said"
        assert "log: " + HOSTILE[:20] in r["without_script"]["text"], "the evidence of the first job of each cause"


def test_twenty_thousand_points():
    with Matrix() as m:
        expect(m.quern("run"), 0)
        nights.fill(m, 400, 50)
        page = report(m, "big")
        size = page.stat().st_size
        assert size < 16 << 20, size
        print(f"   big: {size / 1e6:.1f} MB")
        judge(look(page, "big", QUICK="1"), "big")


run_all(globals())
