// SPDX-License-Identifier: Apache-2.0
/* The watchdog that the firmware's ACPI tables describe in actions (WDAT). */
#include <common/watchdog.h>
#include <stub/gate/register.h>
#include <stub/gate/wdat.h>
#include <stub/lib/acpi_tables.h>
#include <stub/lib/console.h>

enum { STEPS_MAX = 8 };

/* Empty where the table has none, more than we have room for, or one that cannot be done. */
struct action {
	u32 nr_steps;
	struct pk_wdat_step steps[STEPS_MAX];
};

static struct action is_running, let_run, stop, reset;

static void read_action(const void *table, u64 size, enum pk_wdat_action number, struct action *ret)
{
	struct pk_wdat_step step;
	u32 n;

	for (n = 0; pk_wdat_step(table, size, number, n, &step); n++) {
		if (n == STEPS_MAX || !pk_register_is_there(&step.where))
			return;
		ret->steps[n] = step;
	}
	ret->nr_steps = n;
}

static void write_field(const struct pk_wdat_step *step)
{
	u32 value = (step->value & step->mask) << step->where.first;

	if (step->preserves)
		value |= pk_register_read(&step->where) & ~(step->mask << step->where.first);
	pk_register_write(&step->where, value);
}

/* What the last question among its steps has found. */
static bool perform(const struct action *action)
{
	bool is_so = false;

	for (u32 n = 0; n < action->nr_steps; n++) {
		const struct pk_wdat_step *step = &action->steps[n];

		if (step->instruction == PK_WDAT_READ_VALUE)
			is_so = (pk_register_read(&step->where) >> step->where.first & step->mask) == step->value;
		else if (step->instruction != PK_WDAT_READ_COUNTDOWN)
			write_field(step);
	}
	return is_so;
}

static bool find(void)
{
	const void *table;
	u64 size;

	table = pk_acpi_find("WDAT", 0, &size);
	if (!table)
		return false;
	read_action(table, size, PK_WDAT_IS_RUNNING, &is_running);
	read_action(table, size, PK_WDAT_RUN, &let_run);
	read_action(table, size, PK_WDAT_STOP, &stop);
	read_action(table, size, PK_WDAT_RESET, &reset);
	return perform(&is_running);
}

bool pk_wdat_armed(void)
{
	static bool is_known, is_armed;

	if (!is_known)
		is_armed = find();
	is_known = true;
	return is_armed;
}

u64 pk_wdat_read(u32 which, u32 index)
{
	(void)which;
	(void)index;
	return perform(&is_running);
}

void pk_wdat_write(u32 which, u32 index, u64 value)
{
	(void)which;
	(void)index;
	perform(value ? &let_run : &stop);
	/* One that nobody can stop, too. */
	perform(&reset);
}

bool pk_wdat_runs_on(void)
{
	bool runs_on;

	if (!pk_wdat_armed())
		return false;
	pk_wdat_halt();
	runs_on = pk_wdat_read(0, 0);
	pk_wdat_run();
	return runs_on;
}

void pk_wdat_halt(void)
{
	if (pk_wdat_armed())
		pk_wdat_write(0, 0, 0);
}

void pk_wdat_run(void)
{
	if (pk_wdat_armed())
		pk_wdat_write(0, 0, 1);
}
