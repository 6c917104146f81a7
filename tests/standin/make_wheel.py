#!/usr/bin/env python3
"""make_wheel.py VERSION FOLDER -- the stand-in of RKLLM-Toolkit as a wheel, for an image that installs one."""
import base64
import hashlib
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def make(version, folder):
    shown = f"{version}+standin"
    info = f"rkllm_toolkit-{shown}.dist-info"
    files = {f"rkllm/{p.name}": p.read_bytes() for p in sorted((HERE / "rkllm").glob("*.py"))}
    files |= {"rkllm/version.txt": f"{shown}\n".encode(), "rkllm/mode.txt": b"declare\n", "standin.json": b"[]\n",
              f"{info}/METADATA": (f"Metadata-Version: 2.1\nName: rkllm-toolkit\nVersion: {shown}\n"
                                   "Summary: a stand-in for tests; not the vendor's toolkit\n").encode(),
              f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: quern-tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
    record = "".join(f"{name},sha256={digest(data)},{len(data)}\n" for name, data in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    path = Path(folder) / f"rkllm_toolkit-{shown}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, data in files.items():
            wheel.writestr(name, data)
    return path


def digest(data):
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


if __name__ == "__main__":
    print(make(sys.argv[1], sys.argv[2]))
