#!/usr/bin/env bash
# Makes a stand-in for the image's base where no registry of images can be reached: Debian by mmdebstrap, with the given Python in /usr/local.
# It writes the tree into a folder; run as root. Debian's suite must not be older than the one that the Python was built on.
set -euo pipefail
python=$1 folder=$2
suite=trixie

# The libraries that the official image of Python has for its modules.
mmdebstrap --quiet --variant=minbase --include=ca-certificates,netbase,tzdata,libssl3t64,libffi8,libsqlite3-0,zlib1g,libbz2-1.0,liblzma5,libreadline8t64,libncursesw6,libuuid1,libexpat1 \
    "$suite" "$folder" "deb http://deb.debian.org/debian $suite main"

prefix=$("$python" -c 'import sys; print(sys.base_prefix)')
mkdir -p "$folder/usr/local/bin" "$folder/usr/local/lib"
cp "$prefix/bin/python3.12" "$folder/usr/local/bin/"
ln -s python3.12 "$folder/usr/local/bin/python3"
ln -s python3.12 "$folder/usr/local/bin/python"
find "$prefix/lib" -maxdepth 1 -name 'libpython3*.so*' -exec cp -a {} "$folder/usr/local/lib/" \;
tar -C "$prefix/lib" --exclude=site-packages --exclude=__pycache__ --exclude=python3.12/test -c python3.12 | tar -C "$folder/usr/local/lib" -x
mkdir "$folder/usr/local/lib/python3.12/site-packages"
chroot "$folder" /sbin/ldconfig
chroot "$folder" /usr/local/bin/python3.12 -m ensurepip > /dev/null
