#!/bin/sh
# Run in the image's base by the Dockerfile: takes out what the service has no use for, and makes its account.
set -eu

echo 'centwise:x:10001:10001:Centwise:/data:/usr/sbin/nologin' >> /etc/passwd
echo 'centwise:x:10001:' >> /etc/group

library=/usr/local/lib/python3.12
python -m pip uninstall --yes --quiet --root-user-action ignore pip
rm -rf "$library/ensurepip" "$library/idlelib" "$library/tkinter" "$library/turtledemo" "$library/lib2to3" "$library/test" \
    "$library"/config-3.12-* /usr/local/include /usr/local/bin/idle3* /usr/local/bin/2to3* /usr/local/bin/pip*
# The official image comes without compiled modules.
python -m compileall -q -j 0 --invalidation-mode unchecked-hash "$library"

# What installs packages, changes accounts or mounts, interpreters and shells beside Python and the one that dpkg needs, and their libraries.
unwanted='adduser apt bash bsdutils debconf debian-archive-keyring diffutils e2fsprogs findutils gpgv grep gzip hostname init-system-helpers
    libapt-pkg7.0 libaudit-common libaudit1 libblkid1 libcap-ng0 libdb5.3t64 libhogweed6t64 liblastlog2-2 liblz4-1 libmount1 libnettle8t64
    libpam-modules libpam-modules-bin libpam-runtime libpam0g libseccomp2 libsemanage-common libsemanage2 libsepol2 libsmartcols1
    libudev1 libxxhash0 login login.defs logsave mawk mount ncurses-bin openssl openssl-provider-legacy passwd perl-base
    sed sqv sysvinit-utils util-linux'
architecture=$(dpkg --print-architecture)
installed=
for package in $unwanted; do
    if [ -e "/var/lib/dpkg/info/$package.list" ] || [ -e "/var/lib/dpkg/info/$package:$architecture.list" ]; then
        installed="$installed $package"
    fi
    # They would ask for programs that go at the same time.
    rm -f "/var/lib/dpkg/info/$package.prerm" "/var/lib/dpkg/info/$package.postrm"
    rm -f "/var/lib/dpkg/info/$package:$architecture.prerm" "/var/lib/dpkg/info/$package:$architecture.postrm"
done
# Before the programs go that do it.
find / -xdev -type f -perm /6000 -exec chmod a-s {} +
rm -rf /var/lib/apt /usr/share/doc /usr/share/man /usr/share/info /usr/share/locale /root/.cache
# shellcheck disable=SC2086 - a list of names
dpkg --purge --force-all $installed > /tmp/purge.log 2>&1 || { cat /tmp/purge.log; exit 1; }
rm -rf /tmp/* /var/tmp/* /var/cache/* /var/log/*
