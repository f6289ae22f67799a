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
: >"$tree/etc/fstab" # both partitions are mounted before systemd starts
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
ExecStart=/usr/bin/ip -batch /etc/emulated-network

[Install]
WantedBy=multi-user.target
EOF
cat >"$tree/etc/emulated-network" <<'EOF'
link set lo up
link set eth0 up
address replace 10.0.2.15/24 dev eth0
route replace default via 10.0.2.2
EOF
mkdir "$units/ssh.service.d"
cat >"$units/ssh.service.d/host-key.conf" <<'EOF'
[Service]
ExecStartPre=
ExecStartPre=/usr/bin/install -m 600 /boot/emulated/host_key /etc/ssh/host_key
EOF
ln -s ../emulated-network.service "$units/multi-user.target.wants/"
ln -s /lib/systemd/system/ssh.service "$units/multi-user.target.wants/ssh.service"
ln -s /lib/systemd/system/multi-user.target "$units/default.target"

# What no emulated board has a use for: each unit is some processes, and each process a tenth of a second and more of emulation.
# Left is what the app and its updates meet on a board: the kernel, systemd, udev, the journal, the network, sshd, D-Bus when asked.
for unwanted in \
    systemd-firstboot.service systemd-repart.service systemd-pcrphase.service systemd-pcrphase-sysinit.service systemd-binfmt.service \
    systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-journal-catalog-update.service systemd-journal-flush.service \
    systemd-logind.service systemd-ask-password-wall.path systemd-ask-password-console.path systemd-tmpfiles-clean.timer getty.target \
    systemd-initctl.socket systemd-journald-audit.socket systemd-remount-fs.service systemd-modules-load.service \
    kmod-static-nodes.service systemd-random-seed.service systemd-sysctl.service systemd-user-sessions.service proc-sys-fs-binfmt_misc.automount sys-fs-fuse-connections.mount \
    sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount dev-hugepages.mount dev-mqueue.mount; do
    ln -s /dev/null "$units/$unwanted"
done
rm -f "$tree/usr/lib/systemd/system/multi-user.target.wants/dbus.service" # its socket starts it
generators="$tree/etc/systemd/system-generators"
mkdir -p "$generators"
for unwanted in cryptsetup getty gpt-auto hibernate-resume integritysetup rc-local system-update sysv veritysetup; do
    ln -s /dev/null "$generators/systemd-$unwanted-generator"
done
mkdir "$units/systemd-udev-trigger.service.d"
cat >"$units/systemd-udev-trigger.service.d/few.conf" <<'EOF'
[Service]
ExecStart=
ExecStart=-udevadm trigger --type=devices --action=add --subsystem-match=block --subsystem-match=net --subsystem-match=tty
EOF
touch "$tree/etc/.updated" "$tree/var/.updated" # nothing is to be brought up to date at the first start

depmod -b "$tree" "$(basename "$tree"/lib/modules/*)"
[ -z "$python" ] || "$python" -m compileall -q -j 0 --invalidation-mode unchecked-hash -s "$tree" "$tree"/usr/lib/python3.[0-9]* || true
mkdir "$work/boot"
cp "$tree"/boot/vmlinuz-* "$work/boot/kernel8.img"
cp -r "$tree"/lib/modules/* "$work/modules"
cp "$tree/usr/bin/busybox" "$work/busybox"
rm -rf "$tree"/boot/*
mke2fs -q -F -t ext4 -L rootfs -E "offset=$offset,root_owner=0:0" -d "$tree" "$image" "${kib}k"
rm -r "$tree"
