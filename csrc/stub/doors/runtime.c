// SPDX-License-Identifier: Apache-2.0
/*
 * The runtime services that Linux sees: each passes through the gate, copying
 * what the caller's page tables alone can reach. Linux serialises these calls.
 */
#include <common/variable_filter.h>
#include <stub/doors/mailbox.h>
#include <stub/doors/runtime.h>
#include <stub/doors/window.h>
#include <stub/end/leave.h>
#include <stub/gate/gate.h>
#include <stub/gate/hardware.h>
#include <stub/lib/string.h>
#include <stub/lib/stub.h>
#include <stub/lib/test.h>

enum {
	NAME_MAX = 1024,		/* UCS-2 characters, Linux' own limit */
	ATTRIBUTE_SCRATCH = 65536,	/* larger variables report their attributes with BUFFER_TOO_SMALL */
};

static u16 name[NAME_MAX];
static efi_guid_t vendor;
static u8 scratch[ATTRIBUTE_SCRATCH];

static const u16 mailbox_name[] = u"" PK_MAILBOX_NAME;
static const u16 bell_name[] = u"" PK_BELL_NAME;

static struct efi_runtime_services *firmware(void)
{
	return pk_st->runtime;
}

static bool is_named(const u16 *candidate, const efi_guid_t *guid, const u16 *own)
{
	if (!pk_guid_equal(guid, &efi_guid_pykexec_mailbox))
		return false;
	/* Not a character behind the end of either. */
	while (*candidate && *candidate == *own) {
		candidate++;
		own++;
	}
	return *candidate == *own;
}

static bool is_mailbox(const u16 *candidate, const efi_guid_t *guid)
{
	return is_named(candidate, guid, mailbox_name);
}

static bool is_bell(const u16 *candidate, const efi_guid_t *guid)
{
	return is_named(candidate, guid, bell_name);
}

/* False: too long for any variable that exists. */
static bool copy_name(const u16 *source, const efi_guid_t *guid)
{
	u64 length = 0;

	while (length < NAME_MAX && source[length])
		length++;
	if (length == NAME_MAX)
		return false;
	memcpy(name, source, 2 * (length + 1));
	vendor = *guid;
	return true;
}

/* In the firmware's world: what is stored under name now. */
static bool stored_attributes(u32 *ret)
{
	u64 size = sizeof(scratch);
	u32 attributes = 0;
	efi_status_t status;

	status = firmware()->get_variable(name, &vendor, &attributes, &size, scratch);
	if (EFI_ERROR(status) && status != EFI_BUFFER_TOO_SMALL)
		return false;
	*ret = attributes;
	return true;
}

struct variable_call {
	u32 attributes;
	u64 size;
};
static struct variable_call variable_call;

static efi_status_t in_get_variable(void *argument)
{
	struct variable_call *v = argument;
	efi_status_t status;

	status = firmware()->get_variable(name, &vendor, &v->attributes, &v->size, pk_mailbox_input);
	if (status == EFI_BUFFER_TOO_SMALL && !stored_attributes(&v->attributes))
		return EFI_NOT_FOUND;
	if ((status == EFI_SUCCESS || status == EFI_BUFFER_TOO_SMALL) &&
	    !pk_test_visible(pk_variable_visible(v->attributes)))
		return EFI_NOT_FOUND;
	return status;
}

static efi_status_t mailbox_read(u32 *attributes, u64 *size, void *data)
{
	u64 capacity = *size;

	*size = pk_mailbox_output_size;
	if (attributes)
		*attributes = PK_MAILBOX_ATTRIBUTES;
	if (!data || capacity < pk_mailbox_output_size)
		return EFI_BUFFER_TOO_SMALL;
	memcpy(data, pk_mailbox_output, pk_mailbox_output_size);
	return EFI_SUCCESS;
}

/* It exists, so that it can be written to; what was written is nobody's business. */
static efi_status_t bell_read(u32 *attributes, u64 *size, void *data)
{
	u64 capacity = *size;

	*size = 1;
	if (attributes)
		*attributes = PK_MAILBOX_ATTRIBUTES;
	if (!data || !capacity)
		return EFI_BUFFER_TOO_SMALL;
	*(u8 *)data = 0;
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI get_variable(efi_char16_t *variable, efi_guid_t *guid, u32 *attributes, u64 *size,
					void *data)
{
	u64 capacity = data ? *size : 0;
	efi_status_t status;

	if (is_mailbox(variable, guid))
		return mailbox_read(attributes, size, data);
	if (is_bell(variable, guid))
		return bell_read(attributes, size, data);
	if (!copy_name(variable, guid))
		return EFI_NOT_FOUND;
	variable_call = (struct variable_call){ .size = capacity < PK_MESSAGE_MAX ? capacity : PK_MESSAGE_MAX };
	status = pk_gate_call(in_get_variable, &variable_call);
	if (status == EFI_SUCCESS && data)
		memcpy(data, pk_mailbox_input, variable_call.size);
	if (status == EFI_SUCCESS || status == EFI_BUFFER_TOO_SMALL) {
		*size = variable_call.size;
		if (attributes)
			*attributes = variable_call.attributes;
	}
	return status;
}

static efi_status_t in_set_variable(void *argument)
{
	struct variable_call *v = argument;
	u32 old = 0;
	bool exists = stored_attributes(&old);
	efi_status_t status;

	status = pk_test_may_set(pk_variable_may_set(exists, old, v->attributes, v->size));
	if (EFI_ERROR(status))
		return status;
	return firmware()->set_variable(name, &vendor, v->attributes, v->size, pk_mailbox_input);
}

static efi_status_t in_mailbox(void *argument)
{
	return pk_mailbox_serve(*(u64 *)argument);
}

static efi_status_t mailbox_write(u64 size, const void *data)
{
	static u64 message_size;
	efi_status_t status;

	if (!size || size > PK_MESSAGE_MAX)
		return EFI_INVALID_PARAMETER;
	memcpy(pk_mailbox_input, data, size);
	message_size = size;
	if (pk_mailbox_needs_timers(size))
		status = pk_gate_call(in_mailbox, &message_size);
	else
		status = pk_gate_call_lean(in_mailbox, &message_size);
	if (pk_leave.requested)
		pk_resume_entry(&pk_handoff, 0);
	return status;
}

static efi_status_t EFIAPI set_variable(efi_char16_t *variable, efi_guid_t *guid, u32 attributes, u64 size,
					void *data)
{
	if (is_mailbox(variable, guid))
		return mailbox_write(size, data);
	if (is_bell(variable, guid)) {
		pk_window_bell();
		return EFI_SUCCESS;
	}
	if (size > PK_MESSAGE_MAX)
		return EFI_OUT_OF_RESOURCES;
	if (!copy_name(variable, guid))
		return EFI_INVALID_PARAMETER;
	if (size)
		memcpy(pk_mailbox_input, data, size);
	variable_call = (struct variable_call){ .attributes = attributes, .size = size };
	return pk_gate_call(in_set_variable, &variable_call);
}

static efi_status_t in_get_next(void *argument)
{
	u64 *size = argument;
	u64 capacity = *size;
	efi_status_t status;
	u32 attributes;

	do {
		*size = capacity;
		status = firmware()->get_next_variable_name(size, name, &vendor);
		if (EFI_ERROR(status))
			return status;
	} while (!stored_attributes(&attributes) || !pk_test_visible(pk_variable_visible(attributes)));
	return status;
}

static efi_status_t put_own_name(const u16 *own, u64 own_size, u64 *size, efi_char16_t *variable, efi_guid_t *guid)
{
	u64 capacity = *size;

	*size = own_size;
	if (capacity < own_size)
		return EFI_BUFFER_TOO_SMALL;
	memcpy(variable, own, own_size);
	*guid = efi_guid_pykexec_mailbox;
	return EFI_SUCCESS;
}

/* The mailbox comes last, after the firmware's own, and then the bell. */
static efi_status_t EFIAPI get_next_variable_name(u64 *size, efi_char16_t *variable, efi_guid_t *guid)
{
	static u64 name_size;
	efi_status_t status;

	if (is_bell(variable, guid) || (is_mailbox(variable, guid) && !pk_handoff.window.size))
		return EFI_NOT_FOUND;
	if (is_mailbox(variable, guid))
		return put_own_name(bell_name, sizeof(bell_name), size, variable, guid);
	if (!copy_name(variable, guid))
		return EFI_INVALID_PARAMETER;
	name_size = *size < sizeof(name) ? *size : sizeof(name);
	status = pk_gate_call(in_get_next, &name_size);
	if (status == EFI_NOT_FOUND)
		return put_own_name(mailbox_name, sizeof(mailbox_name), size, variable, guid);
	if (status == EFI_SUCCESS) {
		memcpy(variable, name, name_size);
		*guid = vendor;
	}
	*size = name_size;
	return status;
}

static struct {
	u32 attributes;
	u64 max;
	u64 remaining;
	u64 max_size;
} query_call;

static efi_status_t in_query(void *argument)
{
	(void)argument;
	return firmware()->query_variable_info(query_call.attributes, &query_call.max, &query_call.remaining,
					       &query_call.max_size);
}

/*
 * Linux calls it for fstatfs() on efivarfs, which is the cheapest bell that it has, and
 * before it writes a variable, so that a full store bricks no machine. When the bell found
 * work the firmware's last answer is still good unless it has run since for anything but
 * bells: drivers of disks and NICs write no variables, and all else may.
 */
static efi_status_t EFIAPI query_variable_info(u32 attributes, u64 *max, u64 *remaining, u64 *max_size)
{
	static u64 asked_at;	/* full switches there were, those of bells aside; 0: never asked */
	static u64 nr_of_bells;
	static efi_status_t status;
	u64 before = pk_gate_statistics.nr_switches;
	bool rung = pk_window_bell();

	nr_of_bells += pk_gate_statistics.nr_switches - before;
	if (!rung || query_call.attributes != attributes ||
	    pk_test_query_age(asked_at != pk_gate_statistics.nr_switches - nr_of_bells)) {
		query_call.attributes = attributes;
		status = pk_gate_call(in_query, NULL);
		asked_at = pk_gate_statistics.nr_switches - nr_of_bells;
	}
	if (status == EFI_SUCCESS) {
		*max = query_call.max;
		*remaining = query_call.remaining;
		*max_size = query_call.max_size;
	}
	return status;
}

static struct {
	struct efi_time time;
	struct efi_time_capabilities capabilities;
} time_call;

static efi_status_t in_get_time(void *argument)
{
	(void)argument;
	return firmware()->get_time(&time_call.time, &time_call.capabilities);
}

static efi_status_t in_set_time(void *argument)
{
	(void)argument;
	return firmware()->set_time(&time_call.time);
}

static efi_status_t EFIAPI get_time(struct efi_time *time, struct efi_time_capabilities *capabilities)
{
	efi_status_t status = pk_gate_call(in_get_time, NULL);

	if (status == EFI_SUCCESS) {
		*time = time_call.time;
		if (capabilities)
			*capabilities = time_call.capabilities;
	}
	return status;
}

static efi_status_t EFIAPI set_time(struct efi_time *time)
{
	time_call.time = *time;
	return pk_gate_call(in_set_time, NULL);
}

static u32 monotonic_count;

static efi_status_t in_monotonic(void *argument)
{
	(void)argument;
	return firmware()->get_next_high_monotonic_count(&monotonic_count);
}

static efi_status_t EFIAPI get_next_high_monotonic_count(u32 *count)
{
	efi_status_t status = pk_gate_call(in_monotonic, NULL);

	if (status == EFI_SUCCESS)
		*count = monotonic_count;
	return status;
}

/*
 * The way back that needs no mailbox (reboot=efi): a payload that was staged
 * is started, anything else is the reset that was asked for, by the firmware
 * itself once its context is restored.
 */
static void EFIAPI reset_system(u32 type, efi_status_t status, u64 size, void *data)
{
	(void)status;
	(void)size;
	(void)data;
	/* Linux has other ways to reset a machine. */
	if (!pk_has_levels_of(pk_handoff.cpu.cr4))
		return;
	pk_leave_reset(type);
	pk_resume_entry(&pk_handoff, 0);
}

/* Linux keeps calling at physical addresses: it reads the table again afterwards. */
static efi_status_t EFIAPI set_virtual_address_map(u64 size, u64 step, u32 version, void *map)
{
	(void)size;
	(void)step;
	(void)version;
	(void)map;
	return EFI_SUCCESS;
}

static efi_status_t EFIAPI unsupported(void)
{
	return EFI_UNSUPPORTED;
}

void pk_runtime_fill(struct efi_runtime_services *services)
{
	services->get_time = get_time;
	services->set_time = set_time;
	services->get_wakeup_time = (void *)unsupported;
	services->set_wakeup_time = (void *)unsupported;
	services->set_virtual_address_map = set_virtual_address_map;
	services->convert_pointer = (void *)unsupported;
	services->get_variable = get_variable;
	services->get_next_variable_name = get_next_variable_name;
	services->set_variable = set_variable;
	services->get_next_high_monotonic_count = get_next_high_monotonic_count;
	services->reset_system = reset_system;
	/* Capsules are the payload's business: here their memory is not the firmware's to read. */
	services->update_capsule = (void *)unsupported;
	services->query_capsule_capabilities = (void *)unsupported;
	services->query_variable_info = query_variable_info;
}
