#!/usr/bin/env python3
"""Writes workers/gguf/codebook.inc: the lattices of the IQ1, IQ2 and IQ3 formats, read off ggml's own decoder.

    codebook.py > workers/gguf/codebook.inc

They are part of the formats, as the colours of a palette are: a file holds indexes into them. Each entry becomes one
16-bit number, element j at bits 2j (three levels) or 3j (eight levels). Blocks with scale 1, no signs and one index in
each place give the entries back; test_codec.py compares whole random blocks.
"""
import numpy as np

import llama

ONE = np.float16(1).view(np.uint16)


def decoded(raw, type_id):
    return llama.dequantize(raw.tobytes(), type_id, raw.shape[0] * 256).reshape(raw.shape[0], 256)


def blocks(n, size, scale_at=0):
    raw = np.zeros((n, size), dtype=np.uint8)
    raw[:, scale_at] = ONE & 255
    raw[:, scale_at + 1] = ONE >> 8
    return raw


def iq2_xxs():
    raw = blocks(256, 66)
    raw[:, 2] = np.arange(256)
    return decoded(raw, 16)[:, :8] * 8


def iq2_xs():
    raw = blocks(512, 74)
    raw[:, 2], raw[:, 3] = np.arange(512) & 255, np.arange(512) >> 8
    return decoded(raw, 17)[:, :8] * 8


def iq2_s():
    raw = blocks(1024, 82)
    raw[:, 2], raw[:, 66] = np.arange(1024) & 255, np.arange(1024) >> 8
    return decoded(raw, 22)[:, :8] * 8


def iq3_xxs():
    raw = blocks(256, 98)
    raw[:, 2] = np.arange(256)
    return decoded(raw, 18)[:, :4] * 4


def iq3_s():
    raw = blocks(512, 110)
    raw[:, 2], raw[:, 66] = np.arange(512) & 255, np.arange(512) >> 8
    return decoded(raw, 21)[:, :4]


def iq1_s():
    raw = blocks(2048, 50)
    raw[:, 2], raw[:, 34] = np.arange(2048) & 255, np.arange(2048) >> 8
    return decoded(raw, 19)[:, :8] - 0.125


def write(name, grid, levels):
    bits = 2 if len(levels) == 3 else 3
    codes = np.searchsorted(levels, grid)
    assert (np.array(levels)[codes] == grid).all(), (name, np.unique(grid))
    words = (codes << bits * np.arange(grid.shape[1])).sum(axis=1)
    print(f"\nstatic const uint16_t {name}[{len(words)}] = {{")
    for at in range(0, len(words), 12):
        print("\t" + " ".join(f"0x{w:04x}," for w in words[at:at + 12]))
    print("};")


def main():
    print("/* workers/gguf/codebook.inc -- written by tests/peer/codebook.py, which says what it is. */\n#include <stdint.h>")
    for name, grid in (("iq2_xxs", iq2_xxs()), ("iq2_xs", iq2_xs()), ("iq2_s", iq2_s())):
        write(name, grid, [8, 25, 43])
    write("iq3_xxs", iq3_xxs(), [4, 12, 20, 28, 36, 44, 52, 62])
    write("iq3_s", iq3_s(), [1, 3, 5, 7, 9, 11, 13, 15])
    write("iq1_s", iq1_s(), [-1, 0, 1])


if __name__ == "__main__":
    main()
