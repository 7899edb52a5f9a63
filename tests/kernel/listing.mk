# SPDX-License-Identifier: Apache-2.0
# Lists the objects that one directory of a kernel's tree is made of, in the configuration of an
# output directory: the kernel's own make compiles an object that was named even if it is off.

include $(output)/include/config/auto.conf

SRCARCH := x86
BITS := $(if $(CONFIG_64BIT),64,32)
srctree := $(tree)
objtree := $(output)
src := $(tree)/$(directory)
obj := $(directory)

list:

include $(firstword $(wildcard $(src)/Kbuild $(src)/Makefile))

whole := $(obj-y) $(obj-m) $(lib-y) $(lib-m)
parts := $(foreach object,$(whole),$($(object:.o=-objs)) $($(object:.o=-y)) $($(object:.o=-m)))

.PHONY: list
list:
	$(info $(sort $(whole) $(parts)))@:
