#!/bin/sh
# setup.sh [DIR] -- install the official Hub clients, pinned, into DIR (default build/peer/hub). Quick the second time.
# Exits 77 with the reason when a registry cannot be reached: the tests are then skipped, not failed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:-${QUERN_HUB_PEERS:-$here/../../build/peer/hub}}

python_pins="huggingface_hub==2.4.0"
node_pin="@huggingface/hub@2.17.5"

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
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check "$python_pins" \
	>"$dir/setup.log" 2>&1 || skip "pip cannot install $python_pins"
(cd "$dir" && echo '{"private": true}' >package.json &&
	npm install --silent --no-save --no-audit --no-fund --ignore-scripts "$node_pin") \
	>"$dir/setup.log" 2>&1 || skip "npm cannot install $node_pin"
echo "$python_pins $node_pin" >"$dir/pins.new"
mv "$dir/pins.new" "$dir/pins"
