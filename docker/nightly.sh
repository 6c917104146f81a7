#!/bin/sh
# quern-nightly [HH:MM] -- run the matrix of the current folder each night at that time (22:00), for a
# container that stays up. Ends at SIGTERM: in the middle of a run when quern has ended its workers.
set -u
at=${1:-22:00}
child=
trap '[ -z "$child" ] || { kill -TERM "$child" && wait "$child"; }; exit 0' TERM INT

wait_for() {
	child=$!
	wait "$child"
	code=$?
	child=
	return "$code"
}

while :; do
	next=$(date -d "$at" +%s) || exit 2
	now=$(date +%s)
	[ "$next" -gt "$now" ] || next=$(date -d "tomorrow $at" +%s)
	echo "quern-nightly: next run at $(date -d "@$next" '+%F %H:%M %Z')"
	sleep "$((next - now))" &
	wait_for
	quern run &
	wait_for || echo "quern-nightly: the run ended with $?; quern report says more"
done
