// SPDX-License-Identifier: Apache-2.0
/* A word with the BMC, by its keyboard controller style interface (IPMI 2.0, 9.8 to 9.15). */
#include <stub/gate/kcs.h>
#include <stub/gate/register.h>
#include <stub/lib/io.h>
#include <stub/lib/stub.h>

enum {
	OUTPUT_FULL	= 1,
	INPUT_FULL	= 2,
	STATE		= 0xc0,
	STATE_IDLE	= 0x00,
	STATE_READ	= 0x40,
	STATE_WRITE	= 0x80,
	NOTHING		= 0xff,		/* reads so where no device is */
	WRITE_START	= 0x61,
	WRITE_END	= 0x62,
	READ_NEXT	= 0x68,
	LIMIT_MS	= 2000,
	ANSWER_MAX	= 256,		/* more says no BMC */
};

struct talk {
	const struct pk_ipmi *bmc;
	u64 start;
};

static u8 status_of(const struct talk *talk)
{
	return (u8)pk_register_read(&talk->bmc->status);
}

static bool wait(const struct talk *talk, u8 mask, u8 value)
{
	while ((status_of(talk) & mask) != value)
		if (pk_rdtsc() - talk->start > LIMIT_MS * pk_handoff.tsc_khz)
			return false;
	return true;
}

static u8 take(const struct talk *talk)
{
	return (u8)pk_register_read(&talk->bmc->data);
}

/* A byte, or a command, is taken, and the BMC waits for more; what it may have had to say is old. */
static bool put(const struct talk *talk, const struct pk_acpi_address *where, u8 value)
{
	pk_register_write(where, value);
	if (!wait(talk, INPUT_FULL, 0) || (status_of(talk) & STATE) != STATE_WRITE)
		return false;
	if (status_of(talk) & OUTPUT_FULL)
		take(talk);
	return true;
}

static bool put_all(const struct talk *talk, const u8 *request, u32 size)
{
	const struct pk_acpi_address *command = &talk->bmc->status, *data = &talk->bmc->data;

	if (!wait(talk, INPUT_FULL, 0))
		return false;
	if (status_of(talk) & OUTPUT_FULL)
		take(talk);
	if (!put(talk, command, WRITE_START))
		return false;
	for (u32 i = 0; i < size - 1; i++)
		if (!put(talk, data, request[i]))
			return false;
	if (!put(talk, command, WRITE_END))
		return false;
	pk_register_write(data, request[size - 1]);
	return wait(talk, INPUT_FULL, 0);
}

bool pk_kcs_ask(const struct pk_ipmi *bmc, const u8 *request, u32 size, u8 *answer, u32 capacity, u32 *ret_size)
{
	struct talk talk = { bmc, pk_rdtsc() };
	u32 nr = 0;
	u8 state;

	if (status_of(&talk) == NOTHING || !put_all(&talk, request, size))
		return false;
	while ((state = status_of(&talk) & STATE) == STATE_READ && nr < ANSWER_MAX) {
		u8 byte;

		if (!wait(&talk, OUTPUT_FULL, OUTPUT_FULL))
			return false;
		byte = take(&talk);
		if (nr < capacity)
			answer[nr] = byte;
		nr++;
		pk_register_write(&bmc->data, READ_NEXT);
		if (!wait(&talk, INPUT_FULL, 0))
			return false;
	}
	if (state != STATE_IDLE)
		return false;
	/* The last byte is none of the answer's. */
	if (wait(&talk, OUTPUT_FULL, OUTPUT_FULL))
		take(&talk);
	*ret_size = nr < capacity ? nr : capacity;
	return true;
}
