/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP segments cut and joined as network cards do it, so that Linux passes its network
 * stack once for many frames. Pure: no state but what the caller keeps.
 */
#ifndef PK_NATIVE_SEGMENT_H
#define PK_NATIVE_SEGMENT_H

#include <pykexec/types.h>

/* What leads each packet on the TAP: struct virtio_net_hdr of <linux/virtio_net.h>. */
struct pk_packet_header {
	u8 flags;
	u8 gso_type;
	u16 header_size;
	u16 gso_size;
	u16 checksum_start;
	u16 checksum_offset;
};

/* A packet of Linux that is being cut into frames. */
struct pk_cut {
	const u8 *packet;
	u32 size;
	struct pk_packet_header header;
	u32 header_size;	/* of Ethernet, IP and TCP; 0: the packet is a frame already */
	u32 done;		/* bytes behind the headers; or of the frame */
};

/* False: the packet's headers do not fit its size, it is to be dropped. packet must stay as it is. */
bool pk_cut_begin(struct pk_cut *cut, const struct pk_packet_header *header, const u8 *packet, u32 size);
bool pk_cut_is_done(const struct pk_cut *cut);
/* Write the next frame, checksums included; its size, 0 when it is larger than capacity. */
u32 pk_cut_next(struct pk_cut *cut, u8 *out, u32 capacity);

/* Frames of one TCP stream as one packet: header, then bytes[0..header_size), then the payloads. */
struct pk_joined {
	struct pk_packet_header header;
	u32 header_size;
	u8 bytes[160];		/* headers, changed where they must be */
	u16 payload_size[64];	/* in each frame behind header_size bytes */
};

/*
 * Join the first frames of nr, which lie stride bytes apart: how many of them. Less than
 * two: *ret says nothing, the first frame goes as it is. Frames whose checksum is wrong
 * are never joined. The frames may change meanwhile; nothing beyond them is read then.
 */
u32 pk_join(const u8 *frames, u32 stride, const u16 *sizes, u32 nr, struct pk_joined *ret);

/*
 * Does next say all that frame says, both being pure acknowledgements of one stream?
 * Then frame need not be shown to Linux, to whom each costs as much as a full frame.
 */
bool pk_supersedes(const u8 *frame, u32 size, const u8 *next_frame, u32 next_size);

#endif
