#!/bin/sh
# setup.sh [DIR] -- install what looks at the report in a browser, pinned, into DIR (default build/peer/page): the driver
# and the accessibility checker. Quick the second time. Exits 77 with the reason when a registry cannot be reached or no
# Chromium is there: the tests are then skipped, not failed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:-$here/../../build/peer/page}

pins="puppeteer-core@25.16.0 axe-core@4.14.1"

skip() {
	echo "SKIP: $1"
	tail -n 3 "$dir/setup.log"
	exit 77
}

mkdir -p "$dir"
exec 9>"$dir/lock" # two test runs may start at once
flock 9
: >"$dir/setup.log"
command -v chromium >/dev/null || command -v google-chrome >/dev/null || skip "no chromium is installed"
[ "$(cat "$dir/pins" 2>/dev/null)" = "$pins" ] && exit 0
rm -rf "$dir/node_modules" "$dir/pins"
command -v npm >/dev/null || skip "npm is not installed"
# shellcheck disable=SC2086
(cd "$dir" && echo '{"private": true}' >package.json &&
	npm install --silent --no-save --no-audit --no-fund --ignore-scripts $pins) \
	>"$dir/setup.log" 2>&1 || skip "npm cannot install $pins"
echo "$pins" >"$dir/pins.new"
mv "$dir/pins.new" "$dir/pins"
