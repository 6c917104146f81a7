#!/bin/sh
# run.sh DIR TEST.py -- a test with the clients that setup.sh installed into DIR.
set -eu
if [ ! -e "$1/pins" ]; then
	echo "SKIP: the Hub clients are not installed; tests/hub/setup.sh says why"
	exit 77
fi
QUERN_HUB_PEERS=$1 exec "$1/venv/bin/python" "$2"
