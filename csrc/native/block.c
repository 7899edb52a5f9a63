// SPDX-License-Identifier: Apache-2.0
/* Requests of Linux' block layer become descriptors: merged, bounded in time, and whole blocks. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include <efi/types.h>
#include <native/block.h>

enum {
	/*
	 * Linux stands still while the firmware works. A disk of 20 MB/s gets 400 KB at once,
	 * one of 2 GB/s as much as fits.
	 */
	BELL_US = 20000,
	BUDGET_MIN = 65536,
	BUDGET_MAX = 16777216,
	/* A request takes time for itself, however small it is: as much as so many bytes. */
	REQUEST_COST = 16384,
	BUDGET_WEIGHT = 4,
	RMW_SIZE = 262144,
};

static bool is_whole(const struct pk_disk *disk, const struct pk_disk_request *request)
{
	return request->start % disk->block_size == 0 && request->size % disk->block_size == 0;
}

u64 pk_disk_room(const struct pk_disk *disk)
{
	if (disk->linux_block_size % disk->block_size == 0)
		return disk->data_size;
	return disk->data_size > RMW_SIZE ? disk->data_size - RMW_SIZE : 0;
}

static u64 now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)now.tv_sec * 1000000 + (u64)now.tv_nsec / 1000;
}

static void learn(struct pk_disk *disk, u64 cost, u64 spent_us)
{
	u64 budget = cost * BELL_US / (spent_us ? spent_us : 1);

	if (budget > BUDGET_MAX)
		budget = BUDGET_MAX;
	budget = disk->budget ? (disk->budget * (BUDGET_WEIGHT - 1) + budget) / BUDGET_WEIGHT : budget;
	disk->budget = budget < BUDGET_MIN ? BUDGET_MIN : budget;
}

static void note(struct pk_disk *disk, efi_status_t status)
{
	disk->nr_errors++;
	if (status == EFI_NO_MEDIA || status == EFI_MEDIA_CHANGED || status == EFI_NOT_FOUND)
		disk->lost = status;
}

static bool succeeded(const struct pk_descriptor *descriptor)
{
	return descriptor->status == EFI_SUCCESS && descriptor->result == descriptor->size;
}

/* A single firmware call; *ret_error is what Linux is to be told of it. */
static int call(struct pk_disk *disk, u16 op, u64 start, u64 size, u64 data, int *ret_error)
{
	struct pk_descriptor descriptor = {
		.op = op,
		.handle = disk->handle,
		.offset = data,
		.size = size,
		.lba = start / disk->block_size,
		.media_id = disk->media_id,
	};
	int result = pk_port_transfer(disk->port, &descriptor, 1);

	disk->nr_bells++;
	if (result)
		return result;
	*ret_error = 0;
	if (!succeeded(&descriptor)) {
		note(disk, descriptor.status);
		*ret_error = -EIO;
	}
	return 0;
}

/* The request begins or ends inside of a block: whole ones are read, changed and written. */
static int serve_partial(struct pk_disk *disk, struct pk_disk_request *request)
{
	u8 *data = pk_port_data(disk->port);
	u64 scratch = pk_disk_room(disk);
	u64 scratch_size = disk->data_size - scratch;
	u64 block_size = disk->block_size;
	u64 step_max = scratch_size / block_size * block_size;
	int result;

	request->result = step_max ? 0 : -EIO;
	for (u64 done = 0; done < request->size && !request->result;) {
		u64 position = request->start + done;
		u64 first = position / block_size * block_size;
		u64 skip = position - first;
		u64 size = request->size - done;
		u64 covered;

		if (size > step_max - skip)
			size = step_max - skip;
		covered = (skip + size + block_size - 1) / block_size * block_size;
		result = call(disk, PK_OP_BLOCK_READ, first, covered, scratch, &request->result);
		if (result || request->result)
			return result;
		if (request->op == PK_OP_BLOCK_READ) {
			memcpy(data + request->data + done, data + scratch + skip, size);
		} else {
			memcpy(data + scratch + skip, data + request->data + done, size);
			result = call(disk, PK_OP_BLOCK_WRITE, first, covered, scratch, &request->result);
			if (result)
				return result;
		}
		done += size;
	}
	return 0;
}

static bool refused(const struct pk_disk *disk, const struct pk_disk_request *request)
{
	/* Another medium may be there by now, and is not to be written to. */
	if (disk->lost)
		return true;
	if (request->op == PK_OP_BLOCK_FLUSH)
		return false;
	return request->start > disk->size || request->size > disk->size - request->start || !request->size ||
	       (request->op == PK_OP_BLOCK_WRITE && disk->read_only);
}

static bool continues(const struct pk_disk *disk, const struct pk_descriptor *descriptor,
		      const struct pk_disk_request *request)
{
	return request->op != PK_OP_BLOCK_FLUSH && descriptor->op == request->op &&
	       descriptor->lba * disk->block_size + descriptor->size == request->start &&
	       descriptor->offset + descriptor->size == request->data;
}

/*
 * Descriptors for the first of requests, until the time of one bell is used up. Of a
 * request that cannot go into a descriptor the result is set; the first one that needs
 * its blocks modified ends the round. Returns how many requests; owners[i] is the
 * descriptor of request i, or -1.
 */
static u32 gather(struct pk_disk *disk, struct pk_disk_request *requests, u32 nr_requests,
		  struct pk_descriptor *descriptors, int *owners, u32 *ret_nr_descriptors, u64 *ret_cost)
{
	u32 nr = 0;
	u32 i;

	*ret_cost = 0;
	for (i = 0; i < nr_requests && i < PK_CHANNEL_DEPTH; i++) {
		struct pk_disk_request *request = &requests[i];
		u64 cost = request->size + REQUEST_COST;

		owners[i] = -1;
		if (refused(disk, request)) {
			request->result = -EIO;
			continue;
		}
		if (request->op != PK_OP_BLOCK_FLUSH && !is_whole(disk, request))
			break;
		if (*ret_cost && *ret_cost + cost > disk->budget)
			break;
		*ret_cost += cost;
		if (nr && continues(disk, &descriptors[nr - 1], request)) {
			descriptors[nr - 1].size += request->size;
			owners[i] = (int)nr - 1;
			continue;
		}
		descriptors[nr] = (struct pk_descriptor){
			.op = request->op,
			.handle = disk->handle,
			.offset = request->op == PK_OP_BLOCK_FLUSH ? 0 : request->data,
			.size = request->op == PK_OP_BLOCK_FLUSH ? 0 : request->size,
			.lba = request->op == PK_OP_BLOCK_FLUSH ? 0 : request->start / disk->block_size,
			.media_id = disk->media_id,
		};
		owners[i] = (int)nr++;
	}
	*ret_nr_descriptors = nr;
	return i;
}

/* Of several requests in one call nobody knows which one failed: each is tried by itself. */
static int settle(struct pk_disk *disk, struct pk_disk_request *request, const struct pk_descriptor *descriptor)
{
	if (succeeded(descriptor)) {
		request->result = 0;
		return 0;
	}
	if (descriptor->size != request->size && !disk->lost)
		return call(disk, request->op, request->start, request->size, request->data, &request->result);
	note(disk, descriptor->status);
	request->result = -EIO;
	return 0;
}

static int serve(struct pk_disk *disk, struct pk_disk_request *requests, u32 nr_requests)
{
	struct pk_descriptor descriptors[PK_CHANNEL_DEPTH];
	int owners[PK_CHANNEL_DEPTH];
	u32 nr_descriptors, nr_served;
	u64 cost, started = now_us();
	int result;

	nr_served = gather(disk, requests, nr_requests, descriptors, owners, &nr_descriptors, &cost);
	if (!nr_served) {
		result = serve_partial(disk, &requests[0]);
		disk->nr_requests++;
		return result ? result : 1;
	}
	if (nr_descriptors) {
		result = pk_port_transfer(disk->port, descriptors, nr_descriptors);
		if (result)
			return result;
		disk->nr_bells++;
		learn(disk, cost, now_us() - started);
	}
	disk->nr_requests += nr_served;
	for (u32 i = 0; i < nr_served; i++) {
		if (owners[i] < 0)
			continue;
		result = settle(disk, &requests[i], &descriptors[owners[i]]);
		if (result)
			return result;
	}
	return (int)nr_served;
}

int pk_disk_serve(struct pk_disk *disk, struct pk_disk_request *requests, u32 nr_requests)
{
	u64 nr_errors = disk->nr_errors;
	u64 started = now_us();
	int result = serve(disk, requests, nr_requests);
	u64 spent = now_us() - started;

	if (disk->nr_errors != nr_errors && spent > disk->failed_us)
		disk->failed_us = spent;
	return result;
}
