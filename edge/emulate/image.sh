#!/bin/sh
# Fills a partition with an arm64 Debian that was unpacked without its maintainer scripts, so that it boots with systemd and sshd.
# usage: image.sh ROOTFS.tar IMAGE OFFSET_BYTES SIZE_KIB WORK [PYTHON]       as root or under fakeroot; PYTHON compiles its library
set -eu
tar="$1" image="$2" offset="$3" kib="$4" work="$5" python="${6:-}"
tree="$work/tree"
mkdir "$tree"
tar -C "$tree" --numeric-owner -xf "$tar" --exclude='./dev/*'

for part in bin sbin lib; do # one /usr, which systemd expects
    if [ ! -L "$tree/$part" ]; then
        mkdir -p "$tree/$part" "$tree/usr/$part"
        cp -a "$tree/$part/." "$tree/usr/$part/"
        rm -r "$tree/$part"
        ln -s "usr/$part" "$tree/$part"
    fi
done
ln -sf dash "$tree/usr/bin/sh"
[ -e "$tree/usr/bin/awk" ] || ln -s mawk "$tree/usr/bin/awk"

cp "$tree/usr/share/base-passwd/passwd.master" "$tree/etc/passwd"
cp "$tree/usr/share/base-passwd/group.master" "$tree/etc/group"
sed -i 's/^\([^:]*\):\*:/\1:x:/' "$tree/etc/passwd" "$tree/etc/group"
echo 'sshd:x:104:65534::/run/sshd:/usr/sbin/nologin' >>"$tree/etc/passwd"
sed 's/^\([^:]*\):.*/\1:*:19700:0:99999:7:::/' "$tree/etc/passwd" >"$tree/etc/shadow"
sed 's/^\([^:]*\):.*/\1:*::/' "$tree/etc/group" >"$tree/etc/gshadow"
chmod 600 "$tree/etc/shadow" "$tree/etc/gshadow"

echo emulated >"$tree/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 emulated\n' >"$tree/etc/hosts"
: >"$tree/etc/machine-id"
cat >"$tree/etc/fstab" <<'EOF'
/dev/vda2 / ext4 defaults,noatime 0 0
/dev/vda1 /boot vfat defaults,umask=0022 0 0
EOF
mkdir -p "$tree/etc/ssh" "$tree/boot" "$tree/dev" "$tree/proc" "$tree/sys" "$tree/run" "$tree/tmp"
cat >"$tree/etc/ssh/sshd_config" <<'EOF'
HostKey /etc/ssh/host_key
AuthorizedKeysFile /boot/emulated/authorized_keys
StrictModes no
UsePAM no
UseDNS no
PasswordAuthentication no
PermitRootLogin prohibit-password
EOF
units="$tree/etc/systemd/system"
mkdir -p "$units/multi-user.target.wants"
cat >"$units/emulated-network.service" <<'EOF'
[Unit]
Description=the emulator's network
DefaultDependencies=no
After=local-fs-pre.target
Before=network.target
Wants=network.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/ip link set lo up
ExecStart=/usr/bin/ip link set eth0 up
ExecStart=/usr/bin/ip address replace 10.0.2.15/24 dev eth0
ExecStart=/usr/bin/ip route replace default via 10.0.2.2

[Install]
WantedBy=multi-user.target
EOF
mkdir "$units/ssh.service.d"
cat >"$units/ssh.service.d/host-key.conf" <<'EOF'
[Service]
ExecStartPre=
ExecStartPre=/usr/bin/install -m 600 /boot/emulated/host_key /etc/ssh/host_key
ExecStartPre=/usr/sbin/sshd -t
EOF
ln -s ../emulated-network.service "$units/multi-user.target.wants/"
ln -s /lib/systemd/system/ssh.service "$units/multi-user.target.wants/ssh.service"
ln -s /lib/systemd/system/multi-user.target "$units/default.target"
for unwanted in systemd-firstboot systemd-pcrphase systemd-pcrphase-sysinit systemd-update-utmp systemd-journal-catalog-update; do
    ln -s /dev/null "$units/$unwanted.service"
done

depmod -b "$tree" "$(basename "$tree"/lib/modules/*)"
[ -z "$python" ] || "$python" -m compileall -q -j 0 --invalidation-mode unchecked-hash -s "$tree" "$tree"/usr/lib/python3.[0-9]* || true
mkdir "$work/boot"
cp "$tree"/boot/vmlinuz-* "$work/boot/kernel8.img"
cp -r "$tree"/lib/modules/* "$work/modules"
cp "$tree/usr/bin/busybox" "$work/busybox"
rm -rf "$tree"/boot/*
mke2fs -q -F -t ext4 -L rootfs -E "offset=$offset,root_owner=0:0" -d "$tree" "$image" "${kib}k"
rm -r "$tree"
