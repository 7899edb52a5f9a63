# SPDX-License-Identifier: Apache-2.0
# The two commands are `make demo` and `make test`; both install what they need on Debian 12.
# `make demo` shows the whole chain; LOCAL=1 and NET=1 leave attestation out and start a payload from
# a disk, or from the network.

PYTHON ?= /usr/bin/python3
JOBS ?= 2
PYTEST_ARGS ?=
KERNEL ?= 6.1-cloud
NET ?=
LOCAL ?=
FUZZ_SECONDS ?= 600

APT_PACKAGES := \
	binutils busybox-static clang cpio cryptsetup-bin debian-archive-keyring dnsmasq-base \
	dosfstools e2fsprogs file gcc gdisk git iproute2 kexec-tools libc6-dev \
	libclang-rt-14-dev libdevmapper1.02.1 libefivar1 libssl-dev lld llvm mtools ntfs-3g openssl \
	osslsigncode postgresql python3-dev python3-venv qemu-system-x86 qemu-utils sbsigntool \
	swtpm swtpm-tools systemd tpm2-tools util-linux xorriso xz-utils zstd

# What a kernel is built and looked through with: the targets about it alone install these.
KERNEL_APT_PACKAGES := bc bison codespell flex libelf-dev perl sparse

# Debian keeps disk tools where only root looks.
export PATH := $(PATH):/usr/sbin:/sbin
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo)
VENV := .venv
PY := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
NATIVE_SOURCES := $(shell find csrc -type f) $(wildcard pykexec/_*.py)
FETCH = $(PY) -c 'import logging; logging.basicConfig(level="INFO", format="%(message)s"); \
	from pykexec.vm import packages; packages.$(1)()'
SERIES_TESTS := tests/kernel/test_series.py tests/kernel/test_build.py
PYTEST = $(PY) -m pytest --junitxml=build/junit/$@.xml $(PYTEST_ARGS)

.PHONY: demo test test-all clocks lint unit golden fuzz-short vm fuzz bench image control payloads clean apt
.PHONY: kernel test-kernel test-series test-series-short bench-kernel apt-kernel
.NOTPARALLEL:

demo: $(INSTALLED)
	$(call FETCH,fetch_for_demo)
	$(PY) -m pykexec demo $(if $(NET),--net) $(if $(LOCAL),--local)

test: lint unit golden fuzz-short vm

lint: $(INSTALLED)
	$(PYTEST) tests/lint

unit: $(INSTALLED)
	$(PYTEST) -n $(JOBS) tests/unit

# No test expires: the host's tests with the clock a day back, a year and eleven years ahead.
clocks: $(INSTALLED)
	$(PY) -m tests.clocks -n $(JOBS) $(PYTEST_ARGS) tests/unit tests/golden

test-all: test clocks

golden: $(INSTALLED)
	$(PYTEST) tests/golden

fuzz-short: $(INSTALLED)
	$(PYTEST) tests/fuzz

# Hours are welcome: make fuzz FUZZ_SECONDS=36000
fuzz: $(INSTALLED)
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(PYTEST) --timeout=0 tests/fuzz

vm: $(INSTALLED)
	$(call FETCH,fetch_for_tests)
	$(PYTEST) -n $(JOBS) --dist worksteal tests/vm

# Every payload started by the firmware directly: what the VM tests compare with.
control: $(INSTALLED)
	$(call FETCH,fetch_for_tests)
	$(PYTEST) -n $(JOBS) -m control tests/vm

# Every payload by the firmware and by us; then the table, into the README where it has one.
payloads: $(INSTALLED)
	$(call FETCH,fetch_for_tests)
	rm -f build/payloads.json
	$(PYTEST) -n $(JOBS) -m 'control or matrix or vm' tests/vm/test_payload_direct.py \
		tests/vm/test_payloads.py
	$(PY) -m tests.payload_table $(wildcard README.md)

bench: $(INSTALLED)
	$(call FETCH,fetch_for_tests)
	$(PY) -m tests.bench --output build/bench.json

image: $(INSTALLED)
	mkdir -p build
	$(PY) -m pykexec build --output build/pykexec.efi $$($(PY) -c 'from pykexec.vm.kernels \
	import kernel; k = kernel("$(KERNEL)"); print("--kernel", k.image, "--modules", k.modules)')

# The kernel with kernel-patches/, kept in .cache/kernel: `make image KERNEL=6.12-pykexec` uses it.
kernel: $(INSTALLED) apt-kernel
	$(PY) -c 'import logging; logging.basicConfig(level="INFO", format="%(message)s"); \
	from pykexec.vm import kernel_build; print(kernel_build.build())'

# The series alone: it applies, each patch compiles, the kernel's own tools find no fault.
test-series: $(INSTALLED) apt-kernel
	$(PYTEST) $(SERIES_TESTS)

# And the kernel that it makes, in machines.
# What continuous integration has time for: it applies, it compiles, it reads as the kernel's own.
test-series-short: $(INSTALLED) apt-kernel
	$(PYTEST) tests/kernel/test_series.py 'tests/kernel/test_build.py::test_the_series_compiles[modules]'

test-kernel: test-series kernel
	$(call FETCH,fetch_for_tests)
	$(PYTEST) -n $(JOBS) --dist worksteal tests/kernel $(SERIES_TESTS:%=--ignore=%)

bench-kernel: kernel
	$(call FETCH,fetch_for_tests)
	$(PY) -m tests.bench --kernel-only --output build/bench-kernel.json

$(INSTALLED): pyproject.toml $(NATIVE_SOURCES) | apt
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[test,build,server]'
	touch $@

# No question may be asked: there may be nobody to answer.
define APT_INSTALL
	@missing=$$(for name in $(1); do \
		dpkg-query -W -f '$${db:Status-Status}' $$name 2>&1 | grep -qx installed || echo $$name; \
	done); \
	if [ -n "$$missing" ] || [ -z "$$(apt-get indextargets)" ]; then \
		$(SUDO) apt-get --quiet update && \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes \
			--no-install-recommends -o DPkg::Lock::Timeout=300 install $$missing </dev/null; \
	fi
endef

apt:
	$(call APT_INSTALL,$(APT_PACKAGES))

apt-kernel: apt
	$(call APT_INSTALL,$(KERNEL_APT_PACKAGES))

clean:
	rm -rf build dist pykexec/data pykexec/*.so *.egg-info .mypy_cache .ruff_cache .pytest_cache
	rm -f $(INSTALLED)
