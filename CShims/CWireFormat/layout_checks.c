/* The wire format's sizes and offsets, so that a change is never an accident: it needs a new NTLPC_WIRE_VERSION. */
#include "wire_format.h"
#include <stddef.h>

#define SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type)
#define AT(type, field, offset) _Static_assert(offsetof(type, field) == (offset), #type "." #field)

SIZE(ntlpc_region_header, 20);
SIZE(ntlpc_doorbell, 4);
SIZE(ntlpc_notes, 12);
AT(ntlpc_notes, cpu, 0);
AT(ntlpc_notes, closings, 4);
AT(ntlpc_notes, gone, 8);
SIZE(ntlpc_credit, 4);
SIZE(ntlpc_frame, 32);
AT(ntlpc_frame, stamp, NTLPC_STAMP_OFFSET);
AT(ntlpc_frame, connection, 4);
AT(ntlpc_frame, id, 8);
AT(ntlpc_frame, turn, 12);
AT(ntlpc_frame, sender, 16);
AT(ntlpc_frame, callback, 20);
AT(ntlpc_frame, payload_length, 24);
AT(ntlpc_frame, reply_slot, 26);
AT(ntlpc_frame, info, 28);
AT(ntlpc_frame, frame_kind, 30);
AT(ntlpc_frame, frame_flags, 31);
SIZE(ntlpc_reply, 32);
AT(ntlpc_reply, reply, 0);
AT(ntlpc_reply, detail, 4);
AT(ntlpc_reply, sender, 8);
AT(ntlpc_reply, callback, 12);
AT(ntlpc_reply, payload_length, 16);
AT(ntlpc_reply, cpu, NTLPC_REPLY_CPU_OFFSET);
AT(ntlpc_reply, info, 20);
AT(ntlpc_reply, frame_kind, 22);
AT(ntlpc_reply, frame_flags, 23);
SIZE(ntlpc_connect, 40);
SIZE(ntlpc_accepted, 24);
SIZE(ntlpc_control, 56);
SIZE(ntlpc_attached, 40);
_Static_assert(sizeof(ntlpc_attached) + 65535 - 40 <= NTLPC_MAX_PAYLOAD, "the largest message may have attachments");
SIZE(ntlpc_parcel, 32);
SIZE(ntlpc_parcel_item, 24);
SIZE(ntlpc_data_request, 48);
AT(ntlpc_data_request, offset, 32);
_Static_assert(NTLPC_SLOT_STRIDE >= sizeof(ntlpc_reply) + NTLPC_MAX_PAYLOAD, "a slot holds the largest reply");
_Static_assert(NTLPC_RING_BYTES > 2 * (sizeof(ntlpc_frame) + NTLPC_MAX_PAYLOAD), "a ring holds the largest frame beside a skip");
