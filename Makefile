# SPDX-License-Identifier: Apache-2.0
# The two commands are `make demo` and `make test`; both install what they need on Debian 12 and 13.
# `make` alone lists the targets: each has its words behind ##, beside it; ##@ starts a group.

.DEFAULT_GOAL := help

PYTHON ?= /usr/bin/python3
JOBS ?= 2
# Machines wait now and then: for their own clocks, for each other. What needs none waits more.
VM_JOBS ?= 3
UNIT_JOBS ?= 4
PYTEST_ARGS ?=
KERNEL ?= 6.1-cloud
NET ?=
LOCAL ?=
WINDOWS ?=
FUZZ_SECONDS ?= 600
LOCK_ARGS ?=
HOSTS ?= bookworm trixie
HOST_TARGETS ?= demo
WHEEL_HOSTS ?= sid

# Node.js of its makers has npm in itself, and does not bear Debian's beside it.
NPM := $(if $(shell command -v npm),,npm)
APT_PACKAGES := \
	age binutils busybox-static clang cpio cryptsetup-bin curl debian-archive-keyring dnsmasq-base \
	dosfstools e2fsprogs exfatprogs file gcc gdisk git iproute2 jq kexec-tools libc6-dev \
	libclang-rt-dev libcrypt-dev libengine-pkcs11-openssl libhivex-bin libssl-dev lld llvm mandoc mtools \
	nodejs $(NPM) ntfs-3g openssl osslsigncode postgresql python3-dev python3-venv qemu-system-x86 qemu-utils \
	sbsigntool softhsm2 swtpm swtpm-tools systemd tpm2-tools util-linux wimtools xorriso xz-utils zstd

# What a kernel is built and looked through with: the targets about it alone install these.
KERNEL_APT_PACKAGES := bc bison codespell flex libelf-dev perl sparse
# What the matrix looks at pages with: too much for every test.
BROWSER_APT_PACKAGES := chromium
# What other Debian releases are made with, to run ours in.
HOSTS_APT_PACKAGES := debootstrap
# What the server's packages are made and looked through with.
PACKAGES_APT_PACKAGES := $(HOSTS_APT_PACKAGES) debhelper dpkg-dev lintian skopeo

# Debian keeps disk tools where only root looks.
export PATH := $(PATH):/usr/sbin:/sbin
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo)
VENV := .venv
PY := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
FUZZ_INSTALLED := $(VENV)/.installed-fuzz
EXTRAS := test,build,server,docs
NATIVE_SOURCES := $(shell find csrc -type f) $(wildcard pykexec/_*.py)
FETCH = $(PY) -m tests.fetch $(1)
SERIES_TESTS := tests/kernel/test_series.py tests/kernel/test_build.py
# For every Python that we take, and every index: none is named.
LOCK = $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--no-header --no-emit-index-url --python $(PY) $(LOCK_ARGS)
PYTEST = $(PY) -m pytest --junitxml=build/junit/$@.xml $(PYTEST_ARGS)

.PHONY: help demo test test-all clocks lint unit golden fuzz-short vm matrix fuzz bench image control
.PHONY: payloads test-hosts test-packages deb oci locks docs clean apt apt-browser apt-hosts apt-packages
.PHONY: kernel test-kernel test-series test-series-short bench-kernel apt-kernel
.NOTPARALLEL:

##@ Show and test
# LOCAL=1 and NET=1 leave attestation out.
demo: $(INSTALLED) ## show the whole chain; LOCAL=1 a disk, NET=1 network boot, WINDOWS=1 BitLocker
	$(call FETCH,$(if $(WINDOWS),windows,demo))
	$(PY) -m pykexec demo $(if $(NET),--net) $(if $(LOCAL),--local) $(if $(WINDOWS),--windows)

test: lint unit golden fuzz-short vm ## run every test that one change has to pass

test-all: test matrix clocks test-hosts test-packages ## every case there is; the docs get its table
	$(PY) -m tests.matrix_table build/junit/matrix.xml docs/test-matrix.md

# HOST_TARGETS on HOSTS and the unit tests with the wheel, which the first of them makes: oldest first.
test-hosts: $(INSTALLED) apt-hosts ## `make demo` on fresh HOSTS="bookworm trixie"; the wheel, on sid too
	rm -f build/hosts/*.whl
	archive=$$($(PY) -m tests.fetch archive) && \
	for suite in $(HOSTS); do \
		$(SUDO) tests/hosts/run $$suite $$archive 'make $(HOST_TARGETS) && tests/hosts/wheel' || exit; \
	done && \
	for suite in $(WHEEL_HOSTS); do \
		$(SUDO) tests/hosts/run $$suite $$archive tests/hosts/wheel || exit; \
	done

# As root: the package is installed into Debians of its own.
test-packages: oci ## the server's package: what is in it; installed, upgraded, purged
	$(SUDO) $(PYTEST) -n $(JOBS) --dist loadfile tests/packages

##@ Parts of the tests (PYTEST_ARGS=..., JOBS=2, UNIT_JOBS=4, VM_JOBS=3)

lint: $(INSTALLED) ## sources, style, types, documentation
	$(PYTEST) -n $(JOBS) --dist worksteal tests/lint

unit: $(INSTALLED) ## what needs no machine
	$(call FETCH,units)
	$(PYTEST) -n $(UNIT_JOBS) --dist worksteal tests/unit

clocks: $(INSTALLED) ## what needs no machine, a day back, a year and eleven years ahead
	$(PY) -m tests.clocks -n $(JOBS) $(PYTEST_ARGS) tests/unit tests/golden

golden: $(INSTALLED) ## compare with kept output
	$(PYTEST) tests/golden

fuzz-short: $(INSTALLED) ## fuzz every parser for seconds
	$(PYTEST) -n $(JOBS) tests/fuzz

fuzz: $(FUZZ_INSTALLED) ## fuzz by coverage, FUZZ_SECONDS=600 of the processor; hours are welcome
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(PYTEST) --timeout=0 -n $(JOBS) --dist worksteal tests/fuzz

vm: $(INSTALLED) ## what starts virtual machines, one case of each capability
	$(call FETCH,tests)
	$(PYTEST) -n $(VM_JOBS) --dist worksteal tests/vm

matrix: $(INSTALLED) apt-browser ## the matrix's other cases, and what is compared with
	$(call FETCH,matrix)
	$(PYTEST) -n $(VM_JOBS) --dist worksteal -m 'matrix or control' tests/vm

control: $(INSTALLED) ## start every payload by the firmware alone, to compare with
	$(call FETCH,tests)
	$(PYTEST) -n $(VM_JOBS) -m control tests/vm

# The table goes into the page that has one.
payloads: $(INSTALLED) ## start every payload by the firmware and by us; make the table
	$(call FETCH,matrix)
	rm -f build/payloads.json
	$(PYTEST) -n $(VM_JOBS) -m 'control or matrix or vm' tests/vm/test_payload_direct.py \
		tests/vm/test_payloads.py
	$(PY) -m tests.payload_table $(wildcard docs/payloads.md)

##@ Measure and build
bench: $(INSTALLED) ## measure start, devices and attestation
	$(call FETCH,matrix)
	$(PY) -m tests.bench --output build/bench.json

image: $(INSTALLED) ## build build/pykexec.efi of a packaged kernel, KERNEL=6.1-cloud
	mkdir -p build
	$(PY) -m pykexec build --output build/pykexec.efi $$($(PY) -c 'from pykexec.vm.kernels \
	import kernel; k = kernel("$(KERNEL)"); print("--kernel", k.image, "--modules", k.modules)')

deb: $(INSTALLED) apt-packages ## build the server's Debian package for this release, build/deb/*.deb
	packaging/build-deb $(PY) build/deb

oci: deb ## build its container image of that, build/oci, an OCI image layout
	rm -rf build/oci build/pykexec-server.oci.tar
	$(PY) -m tools.oci build/deb/*.deb build/oci
	tar --create --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --directory=build/oci \
		--file=build/pykexec-server.oci.tar blobs index.json oci-layout

# uv has the index of its own settings, and takes pip's where it is told: UV_DEFAULT_INDEX.
locks: $(INSTALLED) ## lock what the server is packaged with; LOCK_ARGS=--upgrade takes what is newest
	$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS),lock]'
	$(PY) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], \
	sep="\n")' | $(LOCK) --output-file packaging/locks/build.txt -
	$(LOCK) --extra server --output-file packaging/locks/server.txt pyproject.toml
	sed --in-place '1i # SPDX-License-Identifier: Apache-2.0' packaging/locks/*.txt

docs: $(INSTALLED) ## build the documentation, build/docs/index.html; no network is needed
	$(PY) -m sphinx --quiet --fresh-env --fail-on-warning -d build/doctrees docs build/docs

##@ The series for Linux
# It is kept in .cache/kernel: `make image KERNEL=6.12-pykexec` uses it.
kernel: $(INSTALLED) apt-kernel ## build the kernel with kernel-patches/
	$(PY) -c 'import logging; logging.basicConfig(level="INFO", format="%(message)s"); \
	from pykexec.vm import kernel_build; print(kernel_build.build())'

test-series: $(INSTALLED) apt-kernel ## the series applies, each patch compiles, the kernel's tools find no fault
	$(PYTEST) $(SERIES_TESTS)

test-series-short: $(INSTALLED) apt-kernel ## what continuous integration has time for of it
	$(PYTEST) tests/kernel/test_series.py 'tests/kernel/test_build.py::test_the_series_compiles[modules]'

test-kernel: test-series kernel ## the series, and the kernel that it makes in machines
	$(call FETCH,tests)
	$(PYTEST) -n $(VM_JOBS) --dist worksteal tests/kernel $(SERIES_TESTS:%=--ignore=%)

bench-kernel: kernel ## measure what that kernel does natively
	$(call FETCH,tests)
	$(PY) -m tests.bench --kernel-only --output build/bench-kernel.json

##@ This checkout
help: ## list the targets
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(INSTALLED): pyproject.toml $(NATIVE_SOURCES) | apt
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS)]'
	touch $@

$(FUZZ_INSTALLED): $(INSTALLED)
	$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS),fuzz]'
	touch $@

# No question may be asked: there may be nobody to answer.
define APT_INSTALL
	@command -v apt-get >/dev/null || { echo 'apt-get: not installed: this is for Debian 12 and 13' >&2; exit 1; }; \
	missing=$$(for name in $(1); do \
		dpkg-query -W -f '$${db:Status-Status}' $$name 2>&1 | grep -qx installed || echo $$name; \
	done); \
	if [ -n "$$missing" ] || [ -z "$$(apt-get indextargets)" ]; then \
		$(SUDO) apt-get --quiet update || exit; \
		for name in $$missing; do \
			[ -n "$$(apt-cache madison $$name)" ] || unknown="$$unknown $$name"; \
		done; \
		[ -z "$$unknown" ] || { echo "apt-get: no such package here:$$unknown" >&2; exit 1; }; \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes \
			--no-install-recommends -o DPkg::Lock::Timeout=300 install $$missing </dev/null; \
	fi
endef

apt: ## install the packages that the targets need
	$(call APT_INSTALL,$(APT_PACKAGES))

apt-kernel: apt ## and those that the kernel targets need
	$(call APT_INSTALL,$(KERNEL_APT_PACKAGES))

apt-browser: apt ## and those that matrix needs
	$(call APT_INSTALL,$(BROWSER_APT_PACKAGES))

apt-hosts: apt ## and those that test-hosts needs
	$(call APT_INSTALL,$(HOSTS_APT_PACKAGES))

apt-packages: apt ## and those that deb and test-packages need
	$(call APT_INSTALL,$(PACKAGES_APT_PACKAGES))

clean: ## remove what was built; .cache and .venv stay
	rm -rf build dist pykexec/data pykexec/*.so *.egg-info .mypy_cache .ruff_cache .pytest_cache
	rm -f $(INSTALLED) $(FUZZ_INSTALLED)
