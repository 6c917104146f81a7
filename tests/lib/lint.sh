#!/bin/sh
# lint.sh BUILD-DIR JOBS -- clang-tidy and cppcheck over what git tracks. A file that passed is remembered by the
# hash of everything it can see, so that the second time is quick.
set -eu
build=$1
jobs=$2
cache=$build/lint-cache
mkdir -p "$cache"
version=$(git ls-files '*.h' .clang-tidy | xargs sha256sum | sha256sum | cut -c1-16)

todo=""
for f in $(git ls-files 'core/*.c' 'db/*.c' 'orchestrator/*.c' 'upload/*.c' 'workers/*.c'); do
	mark=$cache/$(printf '%s %s' "$version" "$(sha256sum "$f")" | sha256sum | cut -c1-32)
	[ -e "$mark" ] || todo="$todo $f:$mark"
done
[ -z "$todo" ] && exit 0

# shellcheck disable=SC2086,SC2016
printf '%s\n' $todo | xargs -P "$jobs" -I{} sh -c '
	f=${1%:*}; mark=${1##*:}
	clang-tidy -p "$2" --quiet "$f" 2>/dev/null >"$mark.out" || { cat "$mark.out"; exit 1; }
	rm -f "$mark.out"; : >"$mark"' sh {} "$build"
cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 --enable=warning,portability \
	--suppress=missingInclude --suppress=missingIncludeSystem -I . -j "$jobs" \
	--cppcheck-build-dir="$cache" core db orchestrator upload workers
