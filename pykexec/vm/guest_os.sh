#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# /init of the "second OS" (guest_os.py): checks what os.checks= names, marks each on the console.

GUID=5b1c0f7e-3c38-4d5e-9a55-706b65786563	# vendor GUID of the test variable

/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
exec >/dev/console 2>&1
# Kernel messages would land in the middle of our lines.
dmesg -n 1

parameter() { tr ' ' '\n' </proc/cmdline | sed -n "s/^os\.$1=//p" | tail -n 1; }

say() {
	echo "OS:$*"
	[ -z "$screen" ] || echo "OS:$*" >"$screen"
}

end() {
	sync
	case "$1" in
	stay) exec setsid cttyhack sh ;;
	reboot) reboot -f ;;
	*) poweroff -f ;;
	esac
}

fail() {
	say "FAIL $*"
	dmesg | tail -n 20
	end poweroff
	sleep 60
}

wait_for() {
	for _ in $(seq 100); do
		[ -e "$1" ] && return
		usleep 100000
	done
	fail "$1 did not appear"
}

check_memory() { say "MEMORY $(sed -n 's/^MemTotal: *//p' /proc/meminfo)"; }

check_disk() {
	device=
	for _ in $(seq 100); do
		device=$(findfs LABEL=osdata 2>/dev/null) && break
		usleep 100000
	done
	[ -n "$device" ] || fail "disk: no partition osdata"
	mount -t ext4 "$device" /mnt || fail "disk: mount"
	greeting=$(cat /mnt/greeting) || fail "disk: read"
	date >/mnt/booted || fail "disk: write"
	umount /mnt || fail "disk: umount"
	say "DISK $device read '$greeting', wrote"
}

check_efivar() {
	mount -t efivarfs efivarfs /sys/firmware/efi/efivars || fail "efivar: mount"
	cd /sys/firmware/efi/efivars || fail "efivar: cd"
	cat BootOrder-* >/dev/null || fail "efivar: read BootOrder"
	file=PykexecTest-$GUID
	if [ -e "$file" ]; then
		chattr -i "$file" && rm "$file" || fail "efivar: delete the old one"
	fi
	printf '\007\000\000\000hello' >"$file" || fail "efivar: write"
	back=$(tail -c 5 "$file")
	[ "$back" = hello ] || fail "efivar: read back '$back'"
	say "EFIVAR $(ls | wc -l) variables, wrote and read back"
	cd /
}

# What the firmware has announced by an NFIT.
check_ramdisk() {
	wait_for /dev/pmem0p1
	mount -t vfat /dev/pmem0p1 /mnt || fail "ramdisk: mount"
	greeting=$(cat /mnt/greeting.txt) || fail "ramdisk: read"
	umount /mnt || fail "ramdisk: umount"
	say "RAMDISK read '$greeting'"
}

# The key is on what the firmware has announced by an NFIT, and nowhere else; once it was used, it
# is gone from there, too.
check_unlock() {
	wait_for /dev/pmem0p1
	mount -t vfat -o ro /dev/pmem0p1 /mnt || fail "unlock: mount the RAM disk"
	key=$(parameter key)
	[ -s "/mnt/$key" ] || fail "unlock: no $key on the RAM disk"
	say "KEY /dev/pmem0p1 has $(cd /mnt && find . -type f | sed 's/^..//' | tr '\n' ' ')"
	volume=$(findfs "UUID=$(parameter volume)") || fail "unlock: no such volume"
	DM_DISABLE_UDEV=1 cryptsetup open --type luks2 --key-file "/mnt/$key" "$volume" unlocked ||
		fail "unlock: $volume stays closed"
	umount /mnt || fail "unlock: umount the RAM disk"
	dd if=/dev/zero of=/dev/pmem0 bs=65536 conv=fsync 2>/dev/null # ends at the disk's end
	[ -z "$(tr -d '\0' </dev/pmem0 | head -c 1)" ] || fail "unlock: the RAM disk is not wiped"
	mount -t ext4 /dev/mapper/unlocked /mnt || fail "unlock: mount"
	proof=$(cat /mnt/proof) || fail "unlock: read"
	date >/mnt/booted || fail "unlock: write"
	umount /mnt || fail "unlock: umount"
	say "UNLOCKED $volume read '$proof', wrote"
}

check_tpm() {
	wait_for /dev/tpm0
	mount -t securityfs securityfs /sys/kernel/security || fail "tpm: securityfs"
	log=/sys/kernel/security/tpm0/binary_bios_measurements
	wait_for $log
	say "TPM log of $(wc -c <$log) bytes, PCR4 $(cat /sys/class/tpm/tpm0/pcr-sha256/4)"
}

check_eventlog() {
	check_tpm
	for pcr in 4 5 7 9 11 12 13 14; do
		say "PCR $pcr $(cat /sys/class/tpm/tpm0/pcr-sha256/$pcr)"
	done
	say "EVENTLOG $(base64 <$log | tr -d '\n')"
}

# Those from 8 on that nobody has extended; GRUB has 8 and 9.
check_pcr() {
	wait_for /dev/tpm0
	unused=
	for pcr in 11 12 13 14; do
		[ -n "$(tr -d '0\n' </sys/class/tpm/tpm0/pcr-sha256/$pcr)" ] || unused="$unused $pcr"
	done
	say "UNUSED PCR$unused"
}

# Time for whoever wants a picture of the screen.
check_screen() {
	say "SCREEN"
	usleep 1500000
}

check_net() {
	wait_for /sys/class/net/eth0
	ip link set eth0 up
	cat >/run/lease <<-'SCRIPT'
		#!/bin/sh
		[ "$1" = bound ] && echo "$ip" >/run/address
		exit 0
	SCRIPT
	chmod +x /run/lease
	udhcpc -i eth0 -n -q -f -t 10 -T 2 -s /run/lease >/dev/null || fail "net: no lease"
	say "NET $(cat /run/address)"
}

screen=$(parameter screen)
while read -r module; do
	insmod "/modules/$module.ko" || fail "insmod $module"
done </modules/order

say "UP $(uname -r)"
say "VIA $(parameter via)"
say "CPUS $(cat /sys/devices/system/cpu/online)"
for check in $(parameter checks | tr ',' ' '); do
	"check_$check"
done
say DONE
end "$(parameter end)"
