// SPDX-License-Identifier: Apache-2.0
/*
 * What Linux may see of the firmware's memory map. Nothing is usable to Linux
 * unless the view says so: a descriptor we know nothing about becomes reserved.
 */
#include <common/mem.h>
#include <common/memory_map.h>

/* One step is one page at most: no firmware comes near, and sizes cannot wrap. */
enum { PK_MAP_STEP_MAX = PK_PAGE_SIZE };

/* The output, held back by one descriptor so that the next can be merged into it. */
struct sink {
	u8 *out;
	u64 capacity;
	u64 step;
	u64 size;
	struct efi_memory_descriptor last;	/* number_of_pages 0: none */
};

struct input {
	const u8 *map;
	u64 size;
	u64 step;
};

static u64 end_of(const struct efi_memory_descriptor *descriptor)
{
	return descriptor->physical_start + descriptor->number_of_pages * PK_PAGE_SIZE;
}

static void flush(struct sink *sink)
{
	if (!sink->last.number_of_pages)
		return;
	if (sink->size + sink->step <= sink->capacity) {
		memset(sink->out + sink->size, 0, sink->step);
		memcpy(sink->out + sink->size, &sink->last, sizeof(sink->last));
	}
	sink->size += sink->step;
	sink->last.number_of_pages = 0;
}

/* Only reserved neighbours are merged: what the firmware keeps apart for itself stays apart. */
static void emit(struct sink *sink, const struct efi_memory_descriptor *descriptor)
{
	struct efi_memory_descriptor *last = &sink->last;

	if (last->number_of_pages && end_of(last) == descriptor->physical_start &&
	    last->type == EFI_RESERVED_MEMORY_TYPE && descriptor->type == last->type &&
	    descriptor->attribute == last->attribute) {
		last->number_of_pages += descriptor->number_of_pages;
		return;
	}
	flush(sink);
	*last = *descriptor;
}

/* Read a descriptor, rounded out to pages. False: empty or wrapping, nothing can be said about it. */
static bool read_descriptor(const struct input *input, u64 offset, struct efi_memory_descriptor *ret)
{
	struct efi_memory_descriptor descriptor;
	u64 misalignment;

	memcpy(&descriptor, input->map + offset, sizeof(descriptor));
	misalignment = descriptor.physical_start % PK_PAGE_SIZE;
	descriptor.physical_start -= misalignment;
	if (!descriptor.number_of_pages ||
	    descriptor.number_of_pages >= (UINT64_MAX - descriptor.physical_start) / PK_PAGE_SIZE)
		return false;
	if (misalignment)
		descriptor.number_of_pages++;
	*ret = descriptor;
	return true;
}

/* Types that mean the same to Linux while the firmware lives as after it. */
static bool keeps_type(u32 type)
{
	switch (type) {
	case EFI_RESERVED_MEMORY_TYPE:
	case EFI_RUNTIME_SERVICES_CODE:
	case EFI_RUNTIME_SERVICES_DATA:
	case EFI_UNUSABLE_MEMORY:
	case EFI_ACPI_RECLAIM_MEMORY:
	case EFI_ACPI_MEMORY_NVS:
	case EFI_MEMORY_MAPPED_IO:
	case EFI_MEMORY_MAPPED_IO_PORT_SPACE:
	case EFI_PAL_CODE:
		return true;
	default:
		return false;
	}
}

/* The cuts: the stub, the window, the MMIO pages, then the arena's regions. */
static u64 nr_cuts(const struct pk_map_view *view)
{
	return 2 + PK_MAP_MMIO_MAX + view->arena->nr_regions;
}

static struct pk_range cut_at(const struct pk_map_view *view, u64 index)
{
	const struct pk_region *region;

	if (index == 0)
		return view->stub;
	if (index == 1)
		return view->window;
	index -= 2;
	if (index < PK_MAP_MMIO_MAX) {
		for (u64 i = 0; i <= index; i++)
			if (!view->mmio[i].size)
				return (struct pk_range){ 0, 0 };
		return view->mmio[index];
	}
	region = &view->arena->regions[index - PK_MAP_MMIO_MAX];
	return (struct pk_range){ region->start, region->nr_pages * PK_PAGE_SIZE };
}

/* Page aligned, not wrapping, and disjoint: else Linux would be shown one page twice. */
static bool view_is_sound(const struct pk_map_view *view)
{
	/* The arena's regions are disjoint by themselves. */
	const u64 nr_single = 2 + PK_MAP_MMIO_MAX;

	for (u64 i = 0; i < nr_cuts(view); i++) {
		struct pk_range a = cut_at(view, i);

		if (!a.size)
			continue;
		if (a.start % PK_PAGE_SIZE || a.size % PK_PAGE_SIZE || a.size > UINT64_MAX - a.start)
			return false;
		for (u64 j = 0; j < i && j < nr_single; j++) {
			struct pk_range b = cut_at(view, j);

			if (a.start < b.start + b.size && b.start < a.start + a.size)
				return false;
		}
	}
	return true;
}

/* Emit what the cuts leave over of a descriptor. */
static void emit_remainder(struct sink *sink, const struct pk_map_view *view,
			   struct efi_memory_descriptor piece)
{
	u64 end = end_of(&piece);

	while (piece.physical_start < end) {
		u64 until = end;
		u64 skip_to = 0;

		for (u64 i = 0; i < nr_cuts(view) && !skip_to; i++) {
			struct pk_range cut = cut_at(view, i);

			if (!cut.size || cut.start + cut.size <= piece.physical_start)
				continue;
			if (cut.start <= piece.physical_start)
				skip_to = cut.start + cut.size;
			else if (cut.start < until)
				until = cut.start;
		}
		if (skip_to) {
			piece.physical_start = skip_to;
			continue;
		}
		piece.number_of_pages = (until - piece.physical_start) / PK_PAGE_SIZE;
		emit(sink, &piece);
		piece.physical_start = until;
	}
}

static void emit_firmware(struct sink *sink, const struct input *input,
			  const struct pk_map_view *view)
{
	for (u64 offset = 0; offset < input->size; offset += input->step) {
		struct efi_memory_descriptor descriptor;

		if (!read_descriptor(input, offset, &descriptor))
			continue;
		if (!keeps_type(descriptor.type)) {
			descriptor.type = EFI_RESERVED_MEMORY_TYPE;
			descriptor.virtual_start = 0;
			descriptor.attribute &= EFI_MEMORY_CACHEABILITY_MASK;
		}
		emit_remainder(sink, view, descriptor);
	}
}

/* How the firmware says that memory at address can be cached. */
static u64 cacheability(const struct input *input, u64 address)
{
	for (u64 offset = 0; offset < input->size; offset += input->step) {
		struct efi_memory_descriptor descriptor;

		if (!read_descriptor(input, offset, &descriptor))
			continue;
		if (descriptor.physical_start <= address && address < end_of(&descriptor) &&
		    descriptor.attribute & EFI_MEMORY_CACHEABILITY_MASK)
			return descriptor.attribute & EFI_MEMORY_CACHEABILITY_MASK;
	}
	return EFI_MEMORY_WB;
}

static void emit_range(struct sink *sink, const struct pk_range *range, u32 type, u64 attribute)
{
	const struct efi_memory_descriptor descriptor = {
		.type = type,
		.physical_start = range->start,
		.number_of_pages = range->size / PK_PAGE_SIZE,
		.attribute = attribute,
	};

	if (range->size)
		emit(sink, &descriptor);
}

static void emit_view(struct sink *sink, const struct input *input, const struct pk_map_view *view)
{
	emit_range(sink, &view->stub, EFI_RUNTIME_SERVICES_CODE,
		   cacheability(input, view->stub.start) | EFI_MEMORY_RUNTIME);
	emit_range(sink, &view->window, EFI_CONVENTIONAL_MEMORY,
		   cacheability(input, view->window.start) | EFI_MEMORY_SP);
	for (u32 i = 0; i < PK_MAP_MMIO_MAX && view->mmio[i].size; i++)
		emit_range(sink, &view->mmio[i], EFI_MEMORY_MAPPED_IO, EFI_MEMORY_UC | EFI_MEMORY_RUNTIME);

	/* Flushed one by one: the arena's map is shown exactly, even where it is of type reserved. */
	flush(sink);
	for (u32 i = 0; i < view->arena->nr_regions; i++) {
		const struct pk_region *region = &view->arena->regions[i];
		const struct pk_range range = { region->start, region->nr_pages * PK_PAGE_SIZE };

		emit_range(sink, &range, region->type, cacheability(input, region->start));
		flush(sink);
	}
}

efi_status_t pk_memory_map_reduce(const void *map, u64 size, u64 step, const struct pk_map_view *view,
				  void *out, u64 capacity, u64 *ret_size)
{
	const struct input input = { map, size, step };
	struct sink sink = { .out = out, .capacity = capacity, .step = step };

	if (step < sizeof(struct efi_memory_descriptor) || step > PK_MAP_STEP_MAX || size % step)
		return EFI_INVALID_PARAMETER;
	if (!view_is_sound(view))
		return EFI_INVALID_PARAMETER;

	emit_firmware(&sink, &input, view);
	flush(&sink);
	emit_view(&sink, &input, view);

	*ret_size = sink.size;
	return sink.size > capacity ? EFI_BUFFER_TOO_SMALL : EFI_SUCCESS;
}
