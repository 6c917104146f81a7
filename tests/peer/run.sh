#!/bin/sh
# run.sh DIR TEST.py [VENV] -- a test with the Python that setup.sh installed into DIR, or setup_reference.sh into
# DIR/VENV.
set -eu
venv=${3:-venv}
if [ ! -e "$1/pins" ] || [ ! -x "$1/$venv/bin/python" ] || { [ "$venv" = reference ] && [ ! -e "$1/reference/pins" ]; }; then
	echo "SKIP: the peers are not installed; tests/peer/setup.sh or setup_reference.sh says why"
	exit 77
fi
QUERN_PEER_DIR=$1 exec "$1/$venv/bin/python" "$2"
