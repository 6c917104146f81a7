#!/bin/sh
# run.sh DIR TEST.py -- a test with the Python that setup.sh installed into DIR.
set -eu
if [ ! -e "$1/pins" ]; then
	echo "SKIP: the peers are not installed; tests/peer/setup.sh says why"
	exit 77
fi
QUERN_PEER_DIR=$1 exec "$1/venv/bin/python" "$2"
