// SPDX-License-Identifier: Apache-2.0
/* The loop between tpm_vtpm_proxy and the firmware's TPM. */
#include <errno.h>
#include <fcntl.h>
#include <linux/vtpm_proxy.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <common/tpm_filter.h>
#include <native/vtpm.h>

int pk_vtpm_open(u32 *ret_number)
{
	struct vtpm_proxy_new_dev device = { .flags = VTPM_PROXY_FLAG_TPM2 };
	int control = open("/dev/vtpmx", O_RDWR | O_CLOEXEC);
	int error = 0;

	if (control < 0)
		return -errno;
	if (ioctl(control, VTPM_PROXY_IOC_NEW_DEV, &device) < 0)
		error = -errno;
	close(control);
	if (error)
		return error;
	/* A program that is run must not keep the device alive. */
	fcntl((int)device.fd, F_SETFD, FD_CLOEXEC);
	*ret_number = device.tpm_num;
	return (int)device.fd;
}

static u64 answer(u32 code, u8 *response)
{
	pk_tpm_answer(code, response);
	return PK_TPM_HEADER_SIZE;
}

/* Linux' own command of the driver, which no program can send: the firmware's TPM is used at locality 0. */
static u64 set_locality(const u8 *command, u64 size, u8 *response)
{
	if (size != PK_TPM_HEADER_SIZE + 1)
		return answer(PK_TPM_RC_COMMAND_SIZE, response);
	return answer(command[PK_TPM_HEADER_SIZE] ? PK_TPM_RC_LOCALITY : PK_TPM_RC_SUCCESS, response);
}

/* Have the firmware carry out a command; its response takes the command's place. 0 or -errno. */
static int transfer(struct pk_port *port, u8 *buffer, u64 size, u64 *ret_size)
{
	struct pk_descriptor descriptor = {
		.op = PK_OP_TPM_COMMAND,
		.size = size,
		.capacity = PK_TPM_BUFFER_SIZE,
	};
	u8 *data = pk_port_data(port);
	int error;

	memcpy(data, buffer, size);
	error = pk_port_transfer(port, &descriptor, 1);
	memcpy(buffer, data, PK_TPM_BUFFER_SIZE);
	/* Keys and authorization values go this way: none stays in the window. */
	memset(data, 0, PK_TPM_BUFFER_SIZE);
	if (!error && descriptor.status == EFI_SUCCESS && descriptor.result <= PK_TPM_BUFFER_SIZE &&
	    pk_tpm_response_size(buffer, descriptor.result) == descriptor.result)
		*ret_size = descriptor.result;
	else
		*ret_size = answer(PK_TPM_RC_FAILURE, buffer);
	return error;
}

/* Read one command and answer it. 0 or -errno. */
static int serve_one(int fd, struct pk_port *port)
{
	u8 buffer[PK_TPM_BUFFER_SIZE];
	ssize_t size = read(fd, buffer, sizeof(buffer));
	int error = 0;
	u64 answered;

	if (size < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : -errno;
	if (!size)
		return -EPIPE;
	if (!pk_tpm_command_valid(buffer, (u64)size))
		answered = answer(PK_TPM_RC_COMMAND_SIZE, buffer);
	else if (pk_tpm_command_code(buffer) == TPM2_CC_SET_LOCALITY)
		answered = set_locality(buffer, (u64)size, buffer);
	else
		error = transfer(port, buffer, (u64)size, &answered);
	/* Linux takes no response (EIO) to a command that it has given up meanwhile. */
	if (write(fd, buffer, answered) < 0 && errno != EIO)
		error = error ? error : -errno;
	explicit_bzero(buffer, sizeof(buffer));
	return error;
}

int pk_vtpm_serve(int fd, struct pk_port *port, int stop_fd, int idle_ms)
{
	for (;;) {
		struct pollfd files[] = { { .fd = stop_fd, .events = POLLIN }, { .fd = fd, .events = POLLIN } };
		int nr_ready = poll(files, 2, idle_ms);
		int error;

		if (nr_ready < 0 && errno != EINTR)
			return -errno;
		if (nr_ready < 0)
			continue;
		if (!nr_ready)
			return PK_VTPM_IDLE;
		if (files[0].revents)
			return 0;
		if (!(files[1].revents & POLLIN))
			return -EPIPE;
		error = serve_one(fd, port);
		if (error)
			return error;
	}
}
