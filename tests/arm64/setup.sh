#!/bin/sh
# setup.sh ROOT: Debian's libraries for arm64 into the folder ROOT/usr, to link and run programs of that
# processor, and what they say of dependencies (deb-shlibs(5)) into ROOT/shlibs. apt fetches and verifies
# them with an index of its own below ROOT; the machine's packages and its list of architectures stay as they
# are. Exit 77 and SKIP when that cannot be done here.
set -eu
root=$1
packages="libuv1-dev libgit2-dev libcurl4-openssl-dev libsqlite3-dev libyaml-dev libonig-dev libssl-dev libcmocka-dev"

skip() {
	echo "SKIP: $*"
	exit 77
}

for program in aarch64-linux-gnu-gcc qemu-aarch64; do
	command -v "$program" >/dev/null ||
		skip "$program is missing: apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user"
done
[ -e /usr/aarch64-linux-gnu/include/stdio.h ] ||
	skip "the C library for arm64 is missing: apt-get install libc6-dev-arm64-cross"
[ "$(cat "$root/packages" 2>/dev/null)" = "$packages" ] && exit 0
command -v apt-get >/dev/null || skip "no apt-get to fetch Debian's libraries for arm64"

rm -rf "$root"
mkdir -p "$root/apt/lists/partial" "$root/apt/cache/archives/partial"
cd "$root/apt"
: >status
arm64_apt() {
	apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User= \
		-o Dir::State::lists="$PWD/lists" -o Dir::State::status="$PWD/status" -o Dir::Cache="$PWD/cache" \
		-o Acquire::Languages=none "$@"
}
arm64_apt update || skip "the index of Debian's packages for arm64 could not be fetched"
# shellcheck disable=SC2086 # a list of words
arm64_apt install --yes --download-only --no-install-recommends $packages >/dev/null ||
	skip "the libraries for arm64 could not be fetched"
for package in cache/archives/*.deb; do
	dpkg-deb --info "$package" shlibs 2>/dev/null >>"$root/shlibs" || true
	case $package in
	# The cross compiler has them already.
	*/libc6_* | */libc6-dev_* | */linux-libc-dev_* | */libgcc-* | */gcc-* | */libcrypt*) ;;
	*) dpkg-deb -x "$package" "$root" ;;
	esac
done
cd "$root"
rm -rf apt
echo "$packages" >packages
