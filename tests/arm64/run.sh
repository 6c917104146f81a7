#!/bin/sh
# run.sh BUILD: the workers on arm64. Cross-compiles them, runs their unit tests in an emulator (NEON against plain C
# is one of them), lets quern-board load a stand-in of each runtime, and compares the workers' files with those that
# BUILD's make on this machine.
set -eu
build=$1
cd "$(dirname "$0")/../.."
tests/arm64/setup.sh "$PWD/build/arm64-root"
cmake --preset arm64 >/dev/null
cmake --build --preset arm64 -- --quiet
ctest --preset arm64 -j "$(nproc)" --progress
QUERN_EMULATOR="qemu-aarch64 -L /usr/aarch64-linux-gnu" QUERN_BOARD=$PWD/build/arm64/bin/quern-board \
	QUERN_STANDINS=$PWD/build/arm64/test-tools python3 -B tests/board/test_harness.py
exec python3 tests/arm64/same_bytes.py "$build/bin" build/arm64/bin
