// SPDX-License-Identifier: Apache-2.0
/*
 * Ends of Linux, one after the other, on a firmware that is simulated here: its variable lasts.
 * Arguments: "linux" starts another one; "leave:ACTION:TEXT" and "long:SIZE" are what it asks for,
 * "reset:TYPE" a reset of its own, "keep:STAGE:STATUS:ACTION" its end for good. "full" and "staged"
 * say what is so from then on. Prints what was answered and written.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stub/end/last_end.h>
#include <stub/end/leave.h>
#include <stub/end/staged.h>
#include <stub/lib/call.h>
#include <stub/lib/console.h>
#include <stub/lib/stub.h>

static struct efi_runtime_services runtime;
static struct efi_system_table table = { .runtime = &runtime };
struct efi_system_table *pk_st = &table;

static u8 variable[1024];
static u64 variable_size;
static bool is_full, is_staged;

bool pk_payload_ready(void)
{
	return is_staged;
}

void pk_print(const char *format, ...)
{
	printf("%s", format);
}

static efi_status_t EFIAPI get(efi_char16_t *name, efi_guid_t *vendor, u32 *attributes, u64 *size, void *data)
{
	(void)name;
	(void)vendor;
	(void)attributes;
	if (!variable_size)
		return EFI_NOT_FOUND;
	if (*size < variable_size)
		return EFI_BUFFER_TOO_SMALL;
	*size = variable_size;
	memcpy(data, variable, variable_size);
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI set(efi_char16_t *name, efi_guid_t *vendor, u32 attributes, u64 size, void *data)
{
	(void)vendor;
	if (is_full)
		return EFI_OUT_OF_RESOURCES;
	variable_size = size;
	memcpy(variable, data, size);
	for (; *name; name++)
		printf("%c", (char)*name);
	printf(" %u ", attributes);
	for (u64 i = 0; i < size; i++)
		printf("%02x", variable[i]);
	printf("\n");
	return EFI_SUCCESS;
}

static void ask(u32 action, const char *reason, u64 size)
{
	struct pk_leave_request *body = malloc(sizeof(*body) + size);
	struct pk_call call = { .body = body, .size = sizeof(*body) + size };

	*body = (struct pk_leave_request){ .action = action };
	memcpy(body + 1, reason, size);
	printf("asked %llx\n", (unsigned long long)(pk_leave_request(&call) & ~EFI_ERROR_BIT));
	free(body);
}

int main(int argc, char **argv)
{
	static char many[4096];

	runtime.get_variable = get;
	runtime.set_variable = set;
	memset(many, 'x', sizeof(many));
	for (int i = 1; i < argc; i++) {
		unsigned int number, action;
		unsigned long long status;
		int end = 0;

		if (!strcmp(argv[i], "linux"))
			pk_leave_init();
		else if (sscanf(argv[i], "leave:%u:%n", &number, &end) == 1 && end)
			ask(number, argv[i] + end, strlen(argv[i] + end));
		else if (sscanf(argv[i], "long:%u", &number) == 1)
			ask(PK_ACTION_BOOT_NEXT, many, number);
		else if (sscanf(argv[i], "reset:%u", &number) == 1)
			pk_leave_reset(number);
		else if (sscanf(argv[i], "keep:%u:%llx:%u", &number, &status, &action) == 3)
			pk_last_end_keep(number, status, action);
		is_full |= !strcmp(argv[i], "full");
		is_staged |= !strcmp(argv[i], "staged");
	}
	return 0;
}
