// SPDX-License-Identifier: Apache-2.0
/*
 * Has standby.py run what the arguments say, here and with the same standard
 * input, output and error; exits with its status. Where nobody stands by, the
 * command itself is run.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { NR_DESCRIPTORS = 4, WORDS_MAX = 1 << 16, NOT_RUN = 127, NOT_ENDED = 126 };

static const struct sockaddr_un standby = { .sun_family = AF_UNIX, .sun_path = "/run/standby" };

static int run_itself(char **words)
{
	static char path[4096];

	if (strcmp(words[0], "pykexec")) {
		snprintf(path, sizeof(path), "/inside/%s", words[0]);
		words[0] = path;
	}
	execvp(words[0], words);
	return NOT_RUN;
}

static int ask(int connection, char **words)
{
	static char text[WORDS_MAX];
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(NR_DESCRIPTORS * sizeof(int))];
	} control = { .header = { .cmsg_len = CMSG_LEN(NR_DESCRIPTORS * sizeof(int)),
				  .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	int descriptors[NR_DESCRIPTORS] = { 0, 1, 2, open(".", O_RDONLY | O_DIRECTORY) };
	struct iovec part = { .iov_base = text };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1,
				  .msg_control = &control, .msg_controllen = sizeof(control) };
	int status = NOT_ENDED;

	memcpy(CMSG_DATA(&control.header), descriptors, sizeof(descriptors));
	for (; *words; words++) {
		size_t size = strlen(*words) + 1;

		if (part.iov_len + size > sizeof(text))
			return NOT_RUN;
		memcpy(text + part.iov_len, *words, size);
		part.iov_len += size;
	}
	part.iov_len--;
	if (sendmsg(connection, &message, 0) < 0)
		return NOT_RUN;
	if (recv(connection, &status, sizeof(status), 0) != sizeof(status))
		return NOT_ENDED;
	return status;
}

int main(int argc, char **argv)
{
	int connection = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (argc < 2)
		return NOT_RUN;
	if (connect(connection, (const struct sockaddr *)&standby, sizeof(standby)))
		return run_itself(argv + 1);
	return ask(connection, argv + 1);
}
