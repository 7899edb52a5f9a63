/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Negative controls: builds of the stub for tests, in which a protection is
 * missing or a race window is held open (tests/vm/test_races.py). In the
 * product none of the PK_TEST_ macros is defined and this file is nothing.
 */
#ifndef PK_STUB_TEST_H
#define PK_STUB_TEST_H

/* A build that must fail where the product passes: interrupts are not drained. */
#ifdef PK_TEST_NO_DRAIN
#define pk_test_drain(statement) ((void)0)
#else
#define pk_test_drain(statement) (statement)
#endif

/* Likewise: latched interrupts are taken before their sources are masked, not after. */
#ifdef PK_TEST_OLD_ORDER
#define pk_test_order_early(statement) (statement)
#else
#define pk_test_order_early(statement) ((void)0)
#endif

/* Hold the window between taking and leaving open, so that the race is certain. */
#ifdef PK_TEST_WINDOW_TSC
static inline void pk_test_window(void)
{
	u64 start = pk_rdtsc();

	while (pk_rdtsc() - start < PK_TEST_WINDOW_TSC)
		;
}
#else
#define pk_test_window() ((void)0)
#endif

#endif
