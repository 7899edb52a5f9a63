# SPDX-License-Identifier: Apache-2.0
"""Virtual machines with OVMF and swtpm, for `pykexec demo` and the tests; not for the initramfs."""
