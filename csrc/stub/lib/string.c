// SPDX-License-Identifier: Apache-2.0
/* The few string functions that the stub needs. */
#include <efi/guids.h>
#include <stub/lib/string.h>

u64 pk_strlen(const char *text)
{
	u64 n = 0;

	while (text[n])
		n++;
	return n;
}

const char *pk_option(const char *command_line, const char *name)
{
	u64 length = pk_strlen(name);

	for (const char *p = command_line; *p; p++)
		if ((p == command_line || p[-1] == ' ') && pk_strlen(p) > length && !memcmp(p, name, length) &&
		    p[length] == '=')
			return p + length + 1;
	return NULL;
}

bool pk_has_word(const void *command_line, u64 size, const char *word)
{
	const char *line = command_line;
	u64 length = pk_strlen(word);

	for (u64 i = 0; i + length <= size; i++)
		if ((!i || line[i - 1] == ' ') && (i + length == size || line[i + length] == ' ') &&
		    !memcmp(line + i, word, length))
			return true;
	return false;
}

u64 pk_parse_decimal(const char *text)
{
	u64 value = 0;

	for (; *text >= '0' && *text <= '9' && value < 1000000000; text++)
		value = value * 10 + (u64)(*text - '0');
	return value;
}

bool pk_guid_equal(const void *a, const efi_guid_t *b)
{
	return !memcmp(a, b, sizeof(*b));
}
