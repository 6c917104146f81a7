#!/bin/sh
# setup.sh [DIR] -- install the peers of the tests, pinned, into DIR (default build/peer). Quick the second time.
#
#   DIR/venv          numpy, the Hugging Face tokenizers, and llama.cpp as xllamacpp's wheel carries it
#                     (one library with the C interface; it lacks the quantizer)
#   DIR/node_modules  llama.cpp's release v0.5.0 as node-llama-cpp ships it, quantizer included
#
# Exits 77 with the reason when a registry cannot be reached: the tests are then skipped, not failed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:-${QUERN_PEER_DIR:-$here/../../build/peer}}

python_pins="numpy==2.4.6 tokenizers==0.23.3 xllamacpp==2026.10.11549"
case $(uname -m) in
x86_64) node_pin=@node-llama-cpp/linux-x64@3.22.1 ;;
aarch64) node_pin=@node-llama-cpp/linux-arm64@3.22.1 ;;
*) echo "SKIP: no build of llama.cpp is known for $(uname -m)" && exit 77 ;;
esac

skip() {
	echo "SKIP: $1"
	tail -n 3 "$dir/setup.log"
	exit 77
}

mkdir -p "$dir"
exec 9>"$dir/lock" # two test runs may start at once
flock 9
[ "$(cat "$dir/pins" 2>/dev/null)" = "$python_pins $node_pin" ] && exit 0
rm -rf "$dir/venv" "$dir/node_modules" "$dir/pins"

command -v npm >/dev/null || { : >"$dir/setup.log" && skip "npm is not installed"; }
python3 -m venv "$dir/venv" >"$dir/setup.log" 2>&1 || skip "python3 -m venv fails"
# Dependencies are left out: they serve downloads and servers, not the library.
# shellcheck disable=SC2086
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps $python_pins \
	>"$dir/setup.log" 2>&1 || skip "pip cannot install $python_pins"
(cd "$dir" && echo '{"private": true}' >package.json &&
	npm install --silent --no-save --no-audit --no-fund --ignore-scripts "$node_pin") \
	>"$dir/setup.log" 2>&1 || skip "npm cannot install $node_pin"
echo "$python_pins $node_pin" >"$dir/pins.new"
mv "$dir/pins.new" "$dir/pins"
